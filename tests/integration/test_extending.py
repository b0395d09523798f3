"""What it takes to add something of each kind: each is added to a copy of the package, counted, tested and used.

The files of an example lie in `tests/extensions/NAME`, as they lie in the package; what it changes elsewhere is in
`CHANGES`. CONTRIBUTING.md's table has the counts.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "tests" / "extensions"
COPIED = ("trainables", "search_spaces", "study", "tests", "docs/*.md", "pyproject.toml")


@dataclass(frozen=True)
class Change:
    """What becomes of a piece of a file, wherever it occurs there."""

    file: str
    before: str
    after: str
    times: int = 1


CHANGES: dict[str, tuple[Change, ...]] = {
    "dataset": (),
    "architecture": (),
    "hyperparameter": (
        Change(
            "trainables/hyperparameters.py",
            "    schedule: str = declare(\n",
            "    beta2: float = declare(\n"
            '        "Adam\'s beta 2", "how long AdamW remembers squared gradients", default=0.999, low=0, high=1,\n'
            "        below_high=True,\n"
            "    )  # fmt: skip\n"
            "    schedule: str = declare(\n",
        ),
        Change(
            "trainables/optimisation.py",
            "AdamW(described, lr=point.lr, fused=True)",
            "AdamW(described, lr=point.lr, betas=(0.9, point.beta2), fused=True)",
        ),
        Change("docs/record.md", "`optimizer`, `schedule`", "`optimizer`, `beta2`, `schedule`"),
        Change(
            "search_spaces/convmixer.toml",
            "freeze_depth",
            "beta2 = { low = 0.9, high = 0.999 }  # 0.999 is usual, attention takes less\nfreeze_depth",
        ),
    ),
    "metric": (
        Change(
            "trainables/metrics.py",
            '    LOSS = "loss"\n',
            '    WORST_CLASS_ACCURACY = "worst_class_accuracy"\n    LOSS = "loss"\n',
        ),
        Change(
            "trainables/metrics.py",
            "        Metric.MACRO_F1: float(",
            "        Metric.WORST_CLASS_ACCURACY: float((right[there] / support[there]).min()),\n"
            "        Metric.MACRO_F1: float(",
        ),
        Change("docs/record.md", "`val_macro_f1`, ", "`val_macro_f1`, `val_worst_class_accuracy`, ", times=3),
        Change(
            "trainables/loop.py",
            "    train_seconds: float\n    seconds: float\n",
            "    train_seconds: float\n    seconds: float\n    val_worst_class_accuracy: float | None = None\n",
        ),
        Change(
            "trainables/loop.py",
            "val_macro_f1=values.get(Metric.MACRO_F1),\n",
            "val_macro_f1=values.get(Metric.MACRO_F1),\n"
            "                    val_worst_class_accuracy=values.get(Metric.WORST_CLASS_ACCURACY),\n",
        ),
    ),
    "scheduler": (
        Change("study/design/study.py", '("asha", "none")', '("asha", "median", "none")'),
        Change(
            "study/execution/search.py",
            "import AsyncHyperBandScheduler, FIFOScheduler\n",
            "import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule\n",
        ),
        Change(
            "study/execution/search.py",
            "else FIFOScheduler()\n",
            "else FIFOScheduler()\n"
            '    if study.early_stopping == "median":\n'
            '        scheduler = MedianStoppingRule(time_attr="epochs", grace_period=study.recipe.epochs // 5)\n',
        ),
    ),
    "figure": (
        Change("study/report/study/__init__.py", "    looked_at,\n", "    looked_at,\n    memory,\n"),
        Change("study/report/study/__init__.py", "    trials.section,\n", "    trials.section,\n    memory.section,\n"),
        Change("tests/unit/test_report.py", '    "protocol",\n]', '    "memory",\n    "protocol",\n]'),
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
    for path in sorted((EXAMPLES / name).rglob("*.*")):
        target = copy / path.relative_to(EXAMPLES / name)
        assert not target.exists(), f"{target} is there already"
        before[target] = ""
        shutil.copyfile(path, target)
    for change in CHANGES[name]:
        target = copy / change.file
        text = target.read_text(encoding="utf-8")
        assert text.count(change.before) == change.times, f"{change.file} has not so often: {change.before}"
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
    rows = re.findall(r"^\| .+? \| (\d+) \| (\d+) \| .* \(`(\w+)`\) \|$", page, flags=re.MULTILINE)
    assert {name: Size(int(files), int(lines)) for files, lines, name in rows} == extended.sizes


@pytest.mark.long
def test_the_contract_tests_find_a_new_dataset_architecture_and_hyperparameter_and_pass(extended: Extended) -> None:
    files = [
        f"tests/contract/test_{name}.py"
        for name in ("architectures", "datasets", "hyperparameters", "search_spaces", "weights")
    ]
    selected = (
        "(stripes or convmixer or beta2) and not ray_data and not prepared"  # the study below reads through Ray Data
    )
    done = extended.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", selected)
    assert done.returncode == 0, done.stdout
    [number] = re.findall(r"^(\d+) passed", done.stdout, flags=re.MULTILINE)
    assert int(number) > 60, done.stdout


def test_a_study_of_what_was_added_runs_and_its_record_and_page_show_it(extended: Extended, tmp_path: Path) -> None:
    options = ["--model", "convmixer", "--pretraining", "none", "--dataset", "stripes", "--name", "extended"]
    chosen = ["--metric", "worst_class_accuracy", "--early-stopping", "median"]
    budget = ["--trials", "2", "--epochs", "1", "--top-k", "1", "--seeds", "1", "--wandb", "disabled"]
    done = extended.run("-m", "study.run", *options, *chosen, *budget, "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "extended"  # read as plain files: this checkout knows nothing of what was added
    record = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished"
    assert record["model"]["stage_names"][1] == "block1"
    assert list(record["space"]) == ["lr", "weight_decay", "beta2", "freeze_depth"]
    trials = pq.read_table(folder / "trials.parquet").to_pylist()
    assert len({row["beta2"] for row in trials}) == 2
    assert record["winner"]["beta2"] in {row["beta2"] for row in trials}
    completed = [row for row in trials if row["status"] == "completed"]
    assert all(0 <= row["val_worst_class_accuracy"] <= row["val_mean_class_accuracy"] for row in completed)
    assert record["study"]["metric"] == "worst_class_accuracy"
    assert record["study"]["early_stopping"] == "median"
    assert record["data"]["classes"] == ["horizontal", "vertical", "falling", "rising"]
    assert 'id="memory"' in (folder / "report.html").read_text(encoding="utf-8")
