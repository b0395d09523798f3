"""Which number format the loop computes in, by what the device can do."""

from dataclasses import dataclass

import torch
from torch.amp.grad_scaler import GradScaler

from trainables.choices import PRECISIONS, choose

DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.bfloat16, torch.float16), strict=True))


@dataclass(frozen=True)
class Precision:
    """Autocast to `dtype` on `device`; fp32 means no autocast. fp16 needs a gradient scaler, the others do not."""

    name: str
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.name]

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.name != "fp32")

    def scaler(self) -> GradScaler:
        return GradScaler(self.device.type, enabled=self.name == "fp16")


def precision(requested: str, device: torch.device, *, tiny: bool = False) -> Precision:
    """The requested precision, or for "auto" the fastest one that the device computes natively.

    Args:
        requested: auto, fp32, bf16 or fp16.
        device: where the model runs.
        tiny: the model is of the mini scale, where on a CPU converting costs more than bf16 saves for half of the
            models (`python -m benchmarks.precision`), so auto is fp32 there.

    Raises ValueError for an unknown name, and for fp16 on a CPU, which has no arithmetic for it.
    """
    choose("precision", requested, ["auto", *PRECISIONS])
    if requested == "fp16" and device.type == "cpu":
        raise ValueError("precision fp16 needs a GPU: a CPU takes minutes a step; choose bf16, fp32 or auto")
    if requested != "auto":
        return Precision(requested, device)
    if device.type == "cuda":
        return Precision("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16", device)
    able = torch.cpu.get_capabilities()
    fast = not tiny and (able.get("avx512_bf16", False) or able.get("amx_bf16", False))
    return Precision("bf16" if fast else "fp32", device)
