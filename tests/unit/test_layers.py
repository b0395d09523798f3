"""The arrows of the design: who may import whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_NOT_IMPORT = {
    "trainables": {"study", "search_spaces", "wandb", "optuna"},
    "search_spaces": {"study", "trainables", "optuna", "torch"},
}
ONLY_IN = {
    "wandb": {f"study/tracking/{name}.py" for name in ("client", "media", "run", "service")},
    "wandb_workspaces": {"study/wandb_report/blocks.py"},
    "ray.tune": {"study/execution/search.py", "study/design/study.py"},
    "ray.data": {"study/data/reading.py", "study/data/source.py"},
}
# what each of the others takes from Ray Data is its type of a dataset
TYPES_ONLY = {"study/execution/search.py", "study/execution/pool.py"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", MAY_NOT_IMPORT)
def test_a_lower_layer_imports_none_above_it(package: str) -> None:
    for path in files(package):
        for name in imports(path):
            assert name.split(".")[0] not in MAY_NOT_IMPORT[package], f"{path} imports {name}"


def test_the_loop_knows_no_ray() -> None:
    for name in ("loop", "stages", "batches", "optimisation", "precision", "world", "boundaries", "planner", "process"):
        assert not any(used.split(".")[0] == "ray" for used in imports(ROOT / "trainables" / f"{name}.py"))


DECLARATIONS = ("architecture", "choices", "hyperparameters", "margin", "metrics", "recipe", "splits", "weights")
HEAVY = ("torch", "ray", "timm", "torchvision")


def test_what_the_command_line_reads_imports_neither_torch_nor_ray() -> None:
    script = (
        f"import sys; {'; '.join(f'import trainables.{name}' for name in DECLARATIONS)}\n"
        "from trainables.architecture import every; list(every())\n"
        f"sys.exit(' '.join({set(HEAVY)} & set(sys.modules)) or None)"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_known_where_it_belongs(library: str) -> None:
    for path in files("study"):
        here = path.relative_to(ROOT).as_posix()
        if here in ONLY_IN[library] or (library == "ray.data" and here in TYPES_ONLY):
            continue
        assert not any(used == library or used.startswith(f"{library}.") for used in imports(path)), here


def test_no_file_is_called_utils() -> None:
    assert not [path for package in ("study", "trainables") for path in files(package) if "util" in path.stem]
