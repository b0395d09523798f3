"""docs/python.md is run as a notebook would."""

import re
from pathlib import Path
from typing import Any

import pytest

from study.result import ComparisonResult, ProbeResult, StudyResult
from study.results.record import Record

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.usefixtures("ray_session")
def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(example, names)
    printed = capsys.readouterr().out

    result = names["result"]
    assert isinstance(result, StudyResult)
    record = Record(tmp_path / result.folder)
    assert result.accuracy == record.test.accuracy
    assert f"{result.accuracy:.1%}, 95 % interval" in printed
    assert str(result.winner["lr"]) in printed
    assert "resnet_mini" in str(result)
    assert record.study.command is not None
    assert "python -m study.run" in record.study.command
    assert "--fix freeze_depth=all" in record.study.command

    baseline = names["baseline"]
    assert isinstance(baseline, ProbeResult)
    assert baseline.folder is None
    assert all(0.1 < accuracy <= 1 for accuracy in baseline.accuracies.values())

    comparison = names["comparison"]
    assert isinstance(comparison, ComparisonResult)
    assert [row.name for row in comparison.comparison.rows] == [record.configuration.name]
    assert comparison.answer in printed
    assert (tmp_path / comparison.folder / "report.html").exists()
