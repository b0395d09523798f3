"""Compiled stages: which they are, that they compute the same, and what is said where they cannot be had."""

import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from study.cluster import compiler, environment, gpu
from study.options import machine
from tests.contract.tiny import POINT, RECIPE, digits, numbers, run, untrained
from tests.unit.test_config import study
from trainables import compiling, stages, trainer
from trainables.process import ProcessCache
from trainables.resources import Resources
from trainables.run import Model, Run
from trainables.splits import SplitDigest

ONE_EPOCH = replace(RECIPE, epochs=1)


@pytest.mark.parametrize(("depth", "expected"), [(0, 5), (2, 3), (5, 0)])
def test_stages_that_train_are_compiled_once_and_neither_the_head_nor_what_is_frozen(
    depth: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[nn.Module] = []

    def compiled(stage: nn.Module) -> nn.Module:
        asked.append(stage)
        return stage

    monkeypatch.setattr(stages, "compiled", compiled)
    model = untrained("resnet")
    model.compiles = True
    run(model, digits(32), digits(16, start=32), point=replace(POINT, freeze_depth=depth), recipe=ONE_EPOCH)
    assert model.backbone_stages == 5
    assert asked == list(model.stages.values())[depth:-1]
    assert len(asked) == expected


def test_validation_computes_without_what_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "compiled", lambda stage: pytest.fail("this does not train"))
    model = untrained("resnet").eval()
    model.compiles = True
    with torch.no_grad():
        model(digits(2).images)


def test_a_run_of_compiled_stages_is_the_run_of_those_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit where the compiler only traces; a real one rounds otherwise."""
    monkeypatch.setattr(compiling, "HOW", {"backend": "eager"})
    point = replace(POINT, freeze_depth=4)
    plain, compiles = untrained("resnet"), untrained("resnet")
    compiles.compiles = True
    assert numbers(run(plain, digits(32), point=point)) == numbers(run(compiles, digits(32), point=point))


def test_a_stage_that_cannot_be_compiled_is_the_failure_of_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise OSError("no room for a kernel\nand much more")

    def fit(model: stages.StagedModel, *arguments: Any, **named: Any) -> None:
        run(model, digits(32), recipe=ONE_EPOCH, point=replace(POINT, freeze_depth=4))

    monkeypatch.setattr(compiling, "HOW", {"backend": broken})
    monkeypatch.setattr(trainer, "fit", fit)
    digests = {"train": SplitDigest("x", 10), "val": SplitDigest("y", 10)}
    asked = Run("run", Model("resnet", "mini", "resnet_mini", 10), POINT, ONE_EPOCH, 0, digests, compile=True)
    outcome = trainer.work(asked, {}, Resources(), lambda row: None, ProcessCache())
    assert outcome.failure == (
        "torch.compile cannot compile a stage: OSError: no room for a kernel: leave out --compile"
    )


def test_another_error_is_not_taken_for_the_compiler_s() -> None:
    assert compiling.reason(RuntimeError("CUDA error: device-side assert triggered")) is None


def test_a_run_that_compiles_goes_on_from_no_checkpoint_of_one_that_does_not() -> None:
    digests = {"train": SplitDigest("x", 10), "val": SplitDigest("y", 10)}
    plain = Run("run", Model("resnet", "mini", "resnet_mini", 10), POINT, RECIPE, 0, digests)
    told = [one.digest(precision="fp32", device="cpu", workers=1) for one in (plain, replace(plain, compile=True))]
    assert told[0] != told[1]


def test_a_missing_compiler_is_one_line_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "address", lambda: None)
    monkeypatch.setattr(gpu, "available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"^compile needs a C\+\+ compiler, .*: install it, or leave out --compile$"):
        machine.check(study(compile=True))
    machine.check(study())


def test_missing_headers_of_python_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    assert compiler.lacking(on_gpu=False) == f"Python's headers, and {tmp_path / 'Python.h'} is not there"


@pytest.mark.parametrize(
    ("capability", "package", "reason"),
    [
        ((6, 1), object(), "a GPU from Volta on, which GTX 1080 is not"),
        ((8, 0), None, "the package triton, which this torch came without"),
        ((8, 0), object(), None),
    ],
)
def test_a_gpu_needs_triton_and_must_not_be_too_old_for_it(
    capability: tuple[int, int], package: object, reason: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(compiler, "find_spec", lambda name: package)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GTX 1080")
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/gcc" if name == "gcc" else None)
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    assert compiler.lacking(on_gpu=True) == reason
