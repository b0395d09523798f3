"""Modules that architecture files cut their stages with, where no library has them."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from timm.models.vision_transformer import VisionTransformer


class Embed(nn.Module):
    """ViT's patches to tokens (N, 1 + patches, width): projection, class token, positions."""

    def __init__(self, vit: "VisionTransformer") -> None:
        super().__init__()
        self.patch_embed = vit.patch_embed
        assert vit.cls_token is not None and vit.pos_embed is not None
        self.cls_token = vit.cls_token
        self.pos_embed = vit.pos_embed

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch_embed(x)
        return torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], dim=1) + self.pos_embed


class ClassToken(nn.Module):
    """ViT's normalised class token (N, width); the norm is per token, so the others need none."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(tokens[:, 0])
