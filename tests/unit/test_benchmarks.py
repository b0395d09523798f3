"""What the benchmarks keep: figures that belong to a commit."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.__main__ import changed, page


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "benchmarks").mkdir()
    for name in ("code.py", "benchmarks/results.json", "benchmarks/results.md"):
        (tmp_path / name).write_text("1\n")
    author = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*author, "commit", "-q", "-m", "Everything"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_what_the_benchmarks_write_themselves_changes_nothing_that_they_measure(checkout: Path) -> None:
    (checkout / "benchmarks" / "results.json").write_text("2\n")
    (checkout / "benchmarks" / "results.md").write_text("2\n")
    assert changed(checkout) == []


def test_a_file_that_is_changed_or_new_is_named(checkout: Path) -> None:
    (checkout / "code.py").write_text("2\n")
    (checkout / "a new one.py").write_text("")
    assert sorted(changed(checkout)) == ["a new one.py", "code.py"]


def test_a_row_that_was_measured_with_changes_is_marked() -> None:
    row = {"goal": "fast", "result": ["3 s"], "when": "2026-11-25 18:30", "hardware": {"cores": 2}}
    text = page({name: {**row, "versions": {"commit": name}} for name in ("02f949a", "02f949b-dirty")})
    assert "| `02f949a` | fast | 3 s | 2026-11-25 18:30 02f949a, cores 2 |" in text
    assert "2026-11-25 18:30 02f949b **and changes since**, cores 2 |" in text
