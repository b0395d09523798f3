"""What a model looked at: Grad-CAM and rollout beside what they must be where that is known."""

import pytest
import torch
from torch import nn

from trainables import architecture
from trainables.architecture import Variant
from trainables.saliency import grad_cam, maps, rollout


def test_grad_cam_is_the_class_activation_map_where_a_linear_head_follows_the_average() -> None:
    """Selvaraju et al. 2017, section 3.1: there it generalises CAM, whose weights are the head's own."""
    features = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    head = torch.randn(5, generator=torch.Generator().manual_seed(1))
    found = grad_cam(features, (features.mean(dim=(2, 3)) @ head).sum())
    cam = torch.einsum("nchw,c->nhw", features, head).relu()
    torch.testing.assert_close(found, (cam / cam.amax(dim=(1, 2), keepdim=True)).detach())


def test_rollout_finds_the_place_that_the_class_token_attends_to() -> None:
    tokens = 1 + 16
    attention = torch.eye(tokens).expand(1, 2, tokens, tokens).clone()
    attention[:, :, 0] = 0
    attention[:, :, 0, 1 + 6] = 1  # row 1, column 2
    found = rollout([attention, torch.eye(tokens).expand(1, 2, tokens, tokens)])
    assert found is not None
    assert found.shape == (1, 4, 4)
    assert found[0, 1, 2] == 1
    assert found.sum() == 1


def test_rollout_goes_through_an_average_of_two_by_two_places() -> None:
    fine, coarse = torch.eye(16).expand(1, 1, 16, 16), torch.zeros(1, 1, 4, 4)
    coarse[..., 3] = 1  # every place attends to the last quarter
    found = rollout([fine, coarse])
    assert found is not None
    last = torch.zeros(4, 4)
    last[2:, 2:] = 1
    torch.testing.assert_close(found[0], last)


def test_windows_have_no_rollout() -> None:
    assert rollout([torch.ones(4, 1, 9, 9), torch.ones(1, 1, 9, 9)]) is None


MINI = [architecture.get(name).variant("mini", "none") for name in architecture.names()]


@pytest.mark.parametrize("variant", MINI, ids=[variant.name for variant in MINI])
def test_each_family_shows_what_it_is_built_of(variant: Variant) -> None:
    family = architecture.get(variant.name.partition("_")[0])
    model = variant.build(3).eval()
    images = torch.randn(2, 3, 32, 32)
    found = maps(model, images, torch.tensor([0, 2]), convolutions=family.family != "attention")
    there = {name for name, map_ in vars(found).items() if map_ is not None}
    assert (
        there
        == {
            "convolution": {"convolution"},
            "attention": {"attention"},
            "hybrid": {"convolution", "attention"},
        }[family.family]
    )
    for map_ in (found.convolution, found.attention):
        assert map_ is None or (len(map_) == 2 and map_.min() >= 0 and map_.max() <= 1)
    assert all(getattr(module, "fused_attn", True) for module in model.modules())  # as it was


def test_a_model_that_looks_at_one_corner_is_seen_to() -> None:
    corner = nn.Conv2d(3, 2, 1, bias=False)
    nn.init.ones_(corner.weight)
    head = nn.Linear(2, 2, bias=False)
    nn.init.ones_(head.weight)
    body = nn.Sequential(Only(), corner)
    model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    found = maps(model, torch.ones(1, 3, 64, 64), torch.tensor([0]))
    assert found.convolution is not None
    assert found.convolution[0, :4, :4].min() > 0
    assert found.convolution[0, 4:].max() == 0


class Only(nn.Module):
    """8 x 8 places, of which all but the first 4 x 4 are nothing."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(images, 8)
        seen = torch.zeros_like(small)
        seen[:, :, :4, :4] = small[:, :, :4, :4]
        return seen
