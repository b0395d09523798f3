"""An architecture is a list of stages, so freezing is a slice.

Boundary k is what flows into stage k; boundary 0 is the decoded image, uint8 NCHW. `freeze_depth = k` means
that the first k stages are frozen: no gradient, and in eval mode, so that BatchNorm's running statistics
stay as they were pretrained and dropout is off. Nothing outside the architecture files knows more than this.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

import torch
from torch import Tensor, nn

from trainables.architecture import Preprocessing
from trainables.batches import gather_rows
from trainables.compiling import compiled
from trainables.halves import Halves
from trainables.rates import Rates
from trainables.resizing import enlarged

# An H200 computes the stages of ViT-S 2.8 times as fast in 256 rows as in 64, those of ResNet-50 1.2 times: docs/gpu.md
GPU_ROWS, SMALL_GPU_ROWS = 256, 64
LARGE_GPU = 12 << 30  # bytes


class Normalize(nn.Module):
    """NCHW in [0, 255], uint8 or float32 -> float32 with the checkpoint's mean and std, which are given in [0, 1]."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.tensor(mean).mul(255).view(-1, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(std).mul(255).view(-1, 1, 1), persistent=False)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        return (images_NCHW.float() - self.shift) / self.scale


@dataclass(frozen=True)
class Stage:
    """One named step of an architecture."""

    name: str
    module: nn.Module


class StagedModel(nn.Module):
    """An ordered list of stages, the last of which is the head.

    Attributes:
        compiles: whether stages that train are computed as `torch.compile` has them; set for each run.
        enlarges_to: what makes smaller images as large as the model takes them, on its device; set for each run.

    Args:
        whole: the model that the stages were cut from; it is used once, to remember under which name its own
            library knows each tensor, so that `library_state_dict` gives a checkpoint that timm or torchvision loads.
        frozen_rows: the size of the batches in which frozen stages compute on a CPU.
    """

    def __init__(self, stages: Sequence[Stage], whole: nn.Module, frozen_rows: int = 32) -> None:
        super().__init__()
        self.frozen_rows = frozen_rows
        self.stages = nn.ModuleDict({stage.name.replace(".", "_"): stage.module for stage in stages})
        self.stage_names = tuple(stage.name for stage in stages)
        self.freeze_depth = 0
        self.compiles = False
        self.enlarges_to: Preprocessing | None = None
        self._compiled: dict[int, Callable[..., Tensor]] = {}  # by the place of a stage
        self._untouched = 0  # so many stages are as `load` left them: they have been frozen ever since
        self._halves = Halves()
        theirs = {id(t): name for name, t in whole.state_dict(keep_vars=True).items()}
        ours = self.state_dict(keep_vars=True)
        missing = set(theirs) - {id(t) for t in ours.values()}
        assert not missing, f"no stage holds {[theirs[i] for i in missing]}"
        self._library_names = {name: theirs[id(t)] for name, t in ours.items()}
        self._structures = [repr(stage) for stage in self.stages.values()]  # as built: `set_rates` changes what it says
        self._rates = Rates(list(self.stages.values()))

    @property
    def backbone_stages(self) -> int:
        """How many stages may be frozen: all but the head."""
        return len(self.stages) - 1

    def freeze(self, depth: int) -> Self:
        """Freezes the first `depth` stages and unfreezes the others."""
        if not 0 <= depth <= self.backbone_stages:
            raise ValueError(f"freeze_depth must be 0 to {self.backbone_stages}, got {depth}")
        self.freeze_depth = depth
        self._untouched = min(self._untouched, depth)
        self._halves.forget(depth)
        for position, stage in enumerate(self.stages.values()):
            stage.requires_grad_(position >= depth)
        return self.train(self.training)

    @property
    def features(self) -> tuple[str, ...]:
        """What it has layers for: dropout, drop_path."""
        return self._rates.features

    def set_rates(self, *, dropout: float | None = None, drop_path: float = 0.0) -> Self:
        """Sets dropout and stochastic depth of the trained stages; frozen ones are as built, as all are by default."""
        self._rates.set(dropout=dropout, drop_path=drop_path, frozen=self.freeze_depth)
        return self

    def train(self, mode: bool = True) -> Self:
        self.training = self.stages.training = mode
        for position, stage in enumerate(self.stages.values()):
            trains = mode and position >= self.freeze_depth
            if stage.training != trains:  # a frozen backbone is not walked through at every epoch
                stage.train(trains)
        return self

    def between(self, start: int, stop: int, boundary: Tensor) -> Tensor:
        """Carries boundary `start` to boundary `stop`, in whatever mode the stages are, with a graph.

        Args:
            start, stop: 0 is the images; k is what flows into stage k; the number of stages is the logits.
            boundary: (N, ...) as stage `start` takes it: of 0 (N, 3, H, W), uint8 or float32 in [0, 255].

        Returns:
            (N, ...) as stage `stop - 1` gives it, in the dtype that it computes in: of all stages (N, classes).
        """
        if start == 0 and self.enlarges_to and boundary.shape[-1] < self.enlarges_to.size:
            boundary = enlarged(boundary, self.enlarges_to)
        for position in range(start, stop):
            boundary = self.stage(position, boundary.device)(boundary)
        return boundary

    def stage(self, position: int, device: torch.device) -> Callable[[Tensor], Tensor]:
        """What computes a stage: itself, or where it trains what `torch.compile` made of it.

        Where it is frozen, under a GPU's autocast, a copy with nothing to cast.
        """
        own = list(self.stages.values())[position]
        if self._is_compiled(position):
            return self._compiled_stage(position)
        if position >= self.freeze_depth or not casts_weights(device):
            return own
        return self._halves.of(position, own, torch.get_autocast_dtype(device.type), device)

    def _is_compiled(self, position: int) -> bool:
        """What trains is, but for the head, which is too small for it to pay."""
        return self.compiles and self.training and self.freeze_depth <= position < self.backbone_stages

    def _compiled_stage(self, position: int) -> Callable[[Tensor], Tensor]:
        if position not in self._compiled:
            self._compiled[position] = compiled(list(self.stages.values())[position])
        return self._compiled[position]

    def rows_at_once(self, device: torch.device) -> int:
        """The size of the batches in which frozen stages compute on a device."""
        if device.type != "cuda":
            return self.frozen_rows
        large = torch.cuda.get_device_properties(device).total_memory >= LARGE_GPU
        return GPU_ROWS if large else SMALL_GPU_ROWS

    @torch.no_grad()
    def frozen(self, start: int, stop: int, boundary: Tensor) -> Tensor:
        """Carries boundary `start` to boundary `stop`, both frozen, without a graph.

        Kernels round a row differently in batches of different sizes. So this always computes batches of
        `rows_at_once`, the last one filled up: then a boundary is the same, bit for bit, whoever computes it.
        """
        if not 0 <= start <= stop <= self.freeze_depth:
            raise ValueError(f"boundaries {start} to {stop} are not frozen at freeze_depth {self.freeze_depth}")
        if start == stop:
            return boundary
        batches = []
        size = self.rows_at_once(boundary.device)
        if boundary.is_cuda and start == 0 and boundary.is_floating_point():
            size = min(size, len(boundary))  # mixed images: nobody else computes or stores what becomes of them
        for rows in boundary.split(size):
            missing = size - len(rows)
            full = (
                gather_rows(rows, torch.arange(size, device=rows.device).clamp(max=len(rows) - 1)) if missing else rows
            )
            batches.append(self.between(start, stop, full)[: len(rows)])
        return torch.cat(batches)

    def suffix(self, boundary: Tensor) -> Tensor:
        """Boundary `freeze_depth` to logits (N, classes)."""
        return self.between(self.freeze_depth, len(self.stages), boundary)

    def forward(self, boundary: Tensor, start: int = 0) -> Tensor:
        """Boundary `start`, by default the images (N, 3, H, W) uint8, to logits (N, classes)."""
        return self.suffix(self.frozen(start, self.freeze_depth, boundary))

    def digest(self, stage: int) -> str:
        """A hash of all that a frozen stage computes with: its structure as built, parameters and buffers."""
        module = list(self.stages.values())[stage]
        content = sha256(self._structures[stage].encode())
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            content.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            content.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
        return content.hexdigest()

    @property
    def head(self) -> nn.Module:
        return list(self.stages.values())[-1]

    @property
    def classes(self) -> int:
        """How many logits the head gives: its last layer is linear, or a convolution of 1 x 1."""
        return list(self.head.parameters())[-1].shape[0]

    def parameter_counts(self) -> tuple[int, int]:
        """(all, trained) parameters."""
        counts = [(p.numel(), p.numel() * p.requires_grad) for p in self.parameters()]
        return sum(a for a, _ in counts), sum(t for _, t in counts)

    def tensors(self, *, head: bool) -> dict[str, Tensor]:
        """The model's own tensors, with or without the head's, under the names that its library uses."""
        own = f"stages.{list(self.stages)[-1]}."
        return {
            self._library_names[name]: t for name, t in self.state_dict().items() if head or not name.startswith(own)
        }

    def library_state_dict(self) -> dict[str, Tensor]:
        """A checkpoint that the model's own library loads."""
        return {name: t.contiguous() for name, t in self.tensors(head=True).items()}

    def trained_state(self) -> dict[str, Tensor]:
        """The parameters and buffers of what is not frozen, as this model names them; they go on changing."""
        frozen = tuple(f"stages.{name}." for name in list(self.stages)[: self.freeze_depth])
        return {name: t for name, t in self.state_dict().items() if not name.startswith(frozen)}

    @torch.no_grad()
    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Copies what `trained_state` gave at the same freeze depth."""
        own = self.trained_state()
        assert own.keys() == state.keys()
        for name, tensor in own.items():
            tensor.copy_(state[name])

    def load(self, state: dict[str, Tensor], *, head: bool) -> None:
        """Copies a state under the library's names into the model, with or without its head."""
        self._untouched = 0
        self.restore(state, head=head)

    def restore(self, state: dict[str, Tensor], *, head: bool) -> None:
        """The same for the state that was loaded last: copies the stages alone that may have changed since."""
        *backbone, own = [f"stages.{name}." for name in self.stages]
        self._halves.forget(self._untouched)
        same = tuple(backbone[: self._untouched]) + (() if head else (own,))
        for name, tensor in self.state_dict().items():
            if not name.startswith(same):
                tensor.copy_(state[self._library_names[name]])
        self._untouched = self.freeze_depth


def casts_weights(device: torch.device) -> bool:
    """Whether weights are cast here that need not be: a CPU's memory is the process's, and its casts cost less."""
    return device.type == "cuda" and torch.is_autocast_enabled(device.type)
