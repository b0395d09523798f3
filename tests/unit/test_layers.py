"""The arrows of the design: who may import whom. What only type checkers import counts for nothing here."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("trainables", "search_spaces", "study")

# From the bottom to the top: a room imports lower rooms only. A module belongs to the longest of these that it is in.
ROOMS = {
    "trainables": "models and the loop that trains them; knows no study",
    "search_spaces": "what is searched for each architecture",
    "study.text": "words that are written twice",
    "study.files": "files that are replaced as a whole",
    "study.cluster": "Ray, here or on a cluster",
    "study.statistics": "intervals and tests, on arrays",
    "study.data": "images, their splits, and Ray Data that brings them",
    "study.data.named": "the datasets that have a name",
    "study.data.place": "whether a dataset's name or place can be one",
    "study.data.resolve": "a dataset by its name or its place",
    "study.data.check": "what is in a dataset",
    "study.data.contact_sheet": "the page of what is in a dataset",
    "study.design": "what a study is: frozen, and free of torch and Ray",
    "study.tracking": "W&B, and what it can be told of a study",
    "study.results": "what a study leaves behind",
    "study.terminal": "what a reader of a terminal sees",
    "study.options": "the command line, and files of options",
    "study.prediction": "a study's model, put to use",
    "study.comparison": "what several studies say together",
    "study.report": "pages",
    "study.execution": "search, replicates, test",
    "study.baselines": "what a study is measured against",
    "study.selection": "which backbone: a race",
    "study.data_efficiency": "how accuracy depends on the amount of data",
    "study.rows": "the rows of a comparison, in turn or side by side",
    "study.wandb_report": "W&B's report of a comparison",
    "study": "the commands: python -m study.run, and the `__main__` of any room",
}
ORDER = list(ROOMS)

MAY_NOT_IMPORT = {
    "trainables": {"wandb", "optuna"},
    "search_spaces": {"optuna", "torch", "ray"},
}
ONLY_IN = {
    "wandb": {f"study/tracking/{name}.py" for name in ("client", "copies", "media", "run", "service", "sweep")},
    "wandb_workspaces": {"study/wandb_report/blocks.py"},
    "ray.tune": {f"study/execution/{name}.py" for name in ("actor_deaths", "placing", "search", "searcher")},
    "ray.data": {"study/data/reading.py"},
}
# what each of the others takes from Ray Data is its type of a dataset
TYPES_ONLY = {"study/execution/search.py", "study/execution/pool.py"}


@cache
def modules() -> dict[str, Path]:
    """Every module of the three packages by its name."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imported(tree: ast.AST) -> Iterator[str]:
    """What a file imports, wherever in it: the module, or the name in it, where that is a module too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules() else node.module for name in names)
        yield from imported(node)


@cache
def imports(module: str) -> frozenset[str]:
    return frozenset(imported(ast.parse(modules()[module].read_text(encoding="utf-8"))))


def arrows(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    return {name for name in imports(module) if name in modules()} - {module}


def room(module: str) -> str:
    """The room that a module is in; the commands, which may import all, are above every other."""
    if module == "study" or module.endswith(".__main__"):
        return "study"
    return max((name for name in ROOMS if f"{module}.".startswith(f"{name}.")), key=len)


def uses(module: str, library: str) -> bool:
    return any(name == library or name.startswith(f"{library}.") for name in imports(module))


def in_package(package: str) -> list[str]:
    return [module for module in modules() if f"{module}.".startswith(f"{package}.")]


def test_every_folder_of_the_study_is_a_room_with_a_place_in_the_order() -> None:
    folders = {f"study.{path.parent.name}" for path in (ROOT / "study").glob("*/__init__.py")}
    assert folders <= set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_lower_rooms_only(name: str) -> None:
    here = ORDER.index(name)
    upward = {
        (module, other)
        for module in modules()
        if room(module) == name
        for other in arrows(module)
        if ORDER.index(room(other)) > here
    }
    assert not upward


def test_no_module_imports_itself_by_way_of_others() -> None:
    try:
        TopologicalSorter({module: arrows(module) for module in modules()}).prepare()
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


@pytest.mark.parametrize("package", MAY_NOT_IMPORT)
def test_a_package_does_without_the_libraries_that_it_must_not_know(package: str) -> None:
    for module in in_package(package):
        for library in MAY_NOT_IMPORT[package]:
            assert not uses(module, library), f"{module} imports {library}"


def loaded(tree: ast.Module) -> Iterator[str]:
    """What a file imports when it is imported itself: what stands in no function."""
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from imported(ast.Module([node], []))


@pytest.mark.parametrize("module", in_package("study.design"))
def test_the_design_of_a_study_is_read_without_torch_and_ray(module: str) -> None:
    reached, new = {module}, {module}
    while new:
        names = {name for one in new for name in loaded(ast.parse(modules()[one].read_text(encoding="utf-8")))}
        heavy = {name for name in names if name.partition(".")[0] in {"torch", "torchvision", "timm", "ray"}}
        assert not heavy, f"{heavy} by way of one of {new}"
        new = (names & modules().keys()) - reached
        reached |= new


def test_the_loop_knows_no_ray() -> None:
    for name in ("loop", "stages", "batches", "optimisation", "precision", "world", "boundaries", "planner"):
        assert not uses(f"trainables.{name}", "ray")


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
    for module in in_package("study"):
        path = modules()[module].relative_to(ROOT).as_posix()
        if path in ONLY_IN[library] or (library == "ray.data" and path in TYPES_ONLY):
            continue
        assert not uses(module, library), path


def test_no_file_is_called_utils() -> None:
    assert not [module for module in modules() if "util" in module]
