"""Which number format is chosen, and what it means for the loop."""

import pytest
import torch

from trainables.precision import DTYPES, Precision, precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def cpu_that_has(monkeypatch: pytest.MonkeyPatch, *able: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(able, True))


@pytest.mark.parametrize("able", ["avx512_bf16", "amx_bf16"])
def test_auto_is_bf16_on_a_cpu_that_has_arithmetic_for_it(monkeypatch: pytest.MonkeyPatch, able: str) -> None:
    cpu_that_has(monkeypatch, able)
    assert precision("auto", CPU).name == "bf16"


def test_auto_is_fp32_on_a_cpu_that_would_emulate_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_that_has(monkeypatch, "avx2", "avx512_f")
    assert precision("auto", CPU).name == "fp32"


def test_auto_is_fp32_for_a_tiny_model_on_any_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu_that_has(monkeypatch, "avx512_bf16", "amx_bf16")
    assert precision("auto", CPU, tiny=True).name == "fp32"


@pytest.mark.parametrize(("native", "chosen"), [(True, "bf16"), (False, "fp16")])
@pytest.mark.parametrize("tiny", [False, True])
def test_auto_on_a_gpu_is_bf16_where_that_is_native_and_else_fp16(
    monkeypatch: pytest.MonkeyPatch, native: bool, chosen: str, tiny: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert precision("auto", CUDA, tiny=tiny) == Precision(chosen, CUDA)


def test_this_cpu_can_be_asked_what_it_has() -> None:
    assert precision("auto", CPU).name in {"fp32", "bf16"}


@pytest.mark.parametrize("name", ["fp32", "bf16"])
@pytest.mark.parametrize("tiny", [False, True])
def test_what_is_asked_for_is_taken(name: str, tiny: bool) -> None:
    assert precision(name, CPU, tiny=tiny) == Precision(name, CPU)


def test_fp16_is_refused_on_a_cpu_and_taken_on_a_gpu() -> None:
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        precision("fp16", CPU)
    assert precision("fp16", CUDA).name == "fp16"


def test_tf32_is_refused_on_a_cpu_and_on_a_gpu_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="tf32 needs a GPU"):
        precision("tf32", CPU)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    with pytest.raises(ValueError, match=r"^Tesla V100 has no arithmetic for tf32: choose fp16, fp32 or auto$"):
        precision("tf32", CUDA)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert precision("tf32", CUDA).dtype == torch.float32


def test_bf16_is_refused_on_a_gpu_that_would_emulate_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with pytest.raises(ValueError, match=r"^Tesla T4 has no arithmetic for bf16: choose fp16, fp32 or auto$"):
        precision("bf16", CUDA)


@pytest.mark.parametrize(("name", "arithmetic"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")])
def test_convolutions_and_matrix_products_compute_in_the_same_arithmetic(name: str, arithmetic: str) -> None:
    Precision(name, CUDA).apply()
    assert torch.backends.cuda.matmul.fp32_precision == arithmetic
    assert torch.backends.cudnn.conv.fp32_precision == arithmetic  # type: ignore[attr-defined]
    Precision("fp32", CUDA).apply()


@pytest.mark.parametrize("name", ["fp32", "tf32"])
def test_what_is_fp32_is_not_cast(name: str) -> None:
    linear = torch.nn.Linear(4, 4)
    with Precision(name, CPU).autocast():
        assert linear(torch.ones(1, 4)).dtype == torch.float32


def test_an_unknown_precision_is_refused_with_its_name_and_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'bf61'.*did you mean bf16\?"):
        precision("bf61", CPU)


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_matrix_products_are_computed_in_the_precision_and_the_weights_stay_fp32(name: str) -> None:
    linear = torch.nn.Linear(4, 4)
    with Precision(name, CPU).autocast():
        assert linear(torch.ones(1, 4)).dtype == DTYPES[name]
    assert linear.weight.dtype == torch.float32


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_gradients_are_not_scaled_where_the_exponent_is_wide_enough(name: str) -> None:
    scaler = Precision(name, CPU).scaler()
    assert not scaler.is_enabled()
    assert scaler.scale(torch.tensor(2.0)) == 2.0


def test_fp16_has_a_gradient_scaler() -> None:
    assert Precision("fp16", CPU).scaler().is_enabled()  # `precision` would not give it; the scaler itself works
