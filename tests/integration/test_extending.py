"""What it takes to add something of each kind: each is added to a copy of the package, counted, tested and used.

The files of an example lie in `tests/extensions/NAME`, as they lie in the package; what it changes elsewhere is in
`CHANGES`. CONTRIBUTING.md's table has the counts.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import pytest

from study.results.record import Record

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests" / "extensions"
COPIED = ("trainables", "search_spaces", "study", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Change:
    """What becomes of a piece of a file; it occurs there once."""

    file: str
    before: str
    after: str


CHANGES: dict[str, tuple[Change, ...]] = {
    "architecture": (),
    "dataset": (),
    "figure": (
        Change(
            "study/report/study/__init__.py",
            "import answer, classes, confusion, images, learning, protocol, search, trials",
            "import answer, classes, confusion, images, learning, memory, protocol, search, trials",
        ),
        Change("study/report/study/__init__.py", "    trials.section,\n", "    trials.section,\n    memory.section,\n"),
    ),
}


@dataclass(frozen=True)
class Size:
    """Files that an example adds or changes, and the lines that it adds or changes in them."""

    files: int
    lines: int


def tracked() -> list[str]:
    """The files of this checkout, those that are not committed yet included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *COPIED],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout, so what belongs to it is not known")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def apply(name: str, copy: Path) -> Size:
    """Adds an example to the copy. Files that it adds must not be there yet, what it replaces must be, once."""
    before: dict[Path, str] = {}
    for path in sorted((EXAMPLES / name).rglob("*.py")):
        target = copy / path.relative_to(EXAMPLES / name)
        assert not target.exists(), f"{target} is there already"
        before[target] = ""
        shutil.copyfile(path, target)
    for change in CHANGES[name]:
        target = copy / change.file
        text = target.read_text(encoding="utf-8")
        assert text.count(change.before) == 1, f"{change.file} has not once: {change.before}"
        before.setdefault(target, text)
        target.write_text(text.replace(change.before, change.after), encoding="utf-8")
    return Size(len(before), sum(added(text, path.read_text(encoding="utf-8")) for path, text in before.items()))


def added(before: str, after: str) -> int:
    lines = unified_diff(before.splitlines(), after.splitlines(), n=0)
    return sum(line.startswith("+") and not line.startswith("+++") for line in lines)


@dataclass(frozen=True)
class Extended:
    copy: Path
    sizes: dict[str, Size]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of Python in the copy, which sees nothing of this checkout."""
        environment = {**os.environ, "PYTHONPATH": str(self.copy)}
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.copy, env=environment, capture_output=True, text=True, timeout=500
        )


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    """A copy of the package with every example."""
    copy = tmp_path_factory.mktemp("package")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    return Extended(copy, {name: apply(name, copy) for name in CHANGES})


def test_the_table_of_contributing_has_the_files_and_lines_of_every_example(extended: Extended) -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+? \| (\d+) \| (\d+) \| .*?tests/extensions/(\w+)\b", page, flags=re.MULTILINE)
    assert {name: Size(int(files), int(lines)) for files, lines, name in rows} == extended.sizes


@pytest.mark.slow
def test_the_contract_tests_find_a_new_dataset_and_a_new_architecture_and_pass(extended: Extended) -> None:
    files = [f"tests/contract/test_{name}.py" for name in ("architectures", "datasets", "search_spaces", "weights")]
    selected = "(stripes or convmixer) and not ray_data and not prepared"  # the study below reads through Ray Data
    done = extended.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", selected)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[3-9]\d passed", done.stdout, flags=re.MULTILINE), done.stdout


@pytest.mark.slow
def test_a_study_of_what_was_added_runs_and_its_record_and_page_show_it(extended: Extended, tmp_path: Path) -> None:
    options = ["--model", "convmixer", "--pretraining", "none", "--dataset", "stripes", "--name", "extended"]
    budget = ["--trials", "2", "--epochs", "2", "--top-k", "1", "--seeds", "1", "--wandb", "disabled"]
    done = extended.run("-m", "study.run", *options, *budget, "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    record = Record(tmp_path / "extended")
    assert record.study["status"] == "finished"
    assert record.study["model"]["stage_names"][1] == "block1"
    assert record.study["data"]["classes"] == ["horizontal", "vertical", "falling", "rising"]
    assert 'id="memory"' in (tmp_path / "extended" / "report.html").read_text(encoding="utf-8")
