"""Which number format the loop computes in, by what the device can do."""

from dataclasses import dataclass

import torch
from torch.amp.grad_scaler import GradScaler

from trainables.choices import GPU_PRECISIONS, PRECISIONS, choose, needs_gpu

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
assert tuple(DTYPES) == PRECISIONS
TF32_CAPABILITY = (8, 0)  # from Ampere on


@dataclass(frozen=True)
class Precision:
    """Autocast to `dtype` on `device`; fp32 and tf32 mean no autocast. fp16 alone needs a gradient scaler.

    fp32 is IEEE arithmetic, in convolutions as in matrix products; torch's own default is TF32 in the former alone,
    which would favour one family of models. tf32 is TF32 in both: operands with the mantissa of fp16, sums in fp32.
    """

    name: str
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.name]

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def scaler(self) -> GradScaler:
        return GradScaler(self.device.type, enabled=self.name == "fp16")

    def apply(self) -> None:
        """Has this process's GPU compute what is fp32 as this says: torch knows that for the whole process only."""
        arithmetic = "tf32" if self.name == "tf32" else "ieee"
        torch.backends.cuda.matmul.fp32_precision = arithmetic
        torch.backends.cudnn.conv.fp32_precision = arithmetic  # type: ignore[attr-defined]


def precision(requested: str, device: torch.device, *, tiny: bool = False) -> Precision:
    """The requested precision, or for "auto" the fastest one that the device computes natively.

    Args:
        requested: auto, fp32, tf32, bf16 or fp16.
        device: where the model runs.
        tiny: the model is of the mini scale, where on a CPU converting costs more than bf16 saves for half of the
            models (`python -m benchmarks.precision`), so auto is fp32 there.

    Raises ValueError for an unknown name, and for one that the device has no arithmetic for.
    """
    choose("precision", requested, ["auto", *PRECISIONS])
    if device.type == "cpu":
        if requested in GPU_PRECISIONS:
            raise ValueError(needs_gpu(requested))
    elif lacking := lacks(requested, device):
        raise ValueError(lacking)
    if requested != "auto":
        return Precision(requested, device)
    if device.type == "cuda":
        return Precision("bf16" if has_bf16() else "fp16", device)
    able = torch.cpu.get_capabilities()
    fast = not tiny and (able.get("avx512_bf16", False) or able.get("amx_bf16", False))
    return Precision("bf16" if fast else "fp32", device)


def lacks(requested: str, device: torch.device) -> str | None:
    """Why a GPU cannot compute in a precision, None if it can."""
    if requested == "bf16" and not has_bf16():
        missing, instead = "bf16", "fp16, fp32"
    elif requested == "tf32" and torch.cuda.get_device_capability(device) < TF32_CAPABILITY:
        missing, instead = "tf32", "fp16, fp32"
    else:
        return None
    return f"{torch.cuda.get_device_name(device)} has no arithmetic for {missing}: choose {instead} or auto"


def has_bf16() -> bool:
    """Whether this process's GPU computes in bf16 natively."""
    return torch.cuda.is_bf16_supported(including_emulation=False)
