"""The tables of a comparison hold its numbers, and no name in them is taken for a mark of their language."""

import csv
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from study.comparison import Comparison, compare, tables
from study.comparison.summary import summary
from tests.rows import answers, study

HOSTILE = "a_b & 50% $x$ #1 {y} ~ ^ \\ | <b> *c*"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("rows")
    made = [
        study(folder, "vit", answers(0.95, 0.95, 0.94)),
        study(folder, "resnet", answers(0.85, 0.85, 0.86, seed=1), facts={"trials": 9}),
        study(folder, "vit", answers(0.9, 0.9, 0.91, seed=2), dataset=HOSTILE.replace(" ", "")[:9]),
    ]
    return compare(made, [("CoAtNet in21k", f"no weights: {HOSTILE}")])


@pytest.fixture(scope="module")
def written(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables") / "new"
    tables.write(comparison, folder, "python -m study.compare --from rows")
    return folder


def test_every_file_is_written_as_a_whole(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == [
        *("comparison.csv", "comparison.json", "comparison.md", "comparison.tex"),
    ]


def test_json_has_every_row_difference_and_reason(comparison: Comparison, written: Path) -> None:
    found = json.loads((written / "comparison.json").read_text())
    insects = found["groups"][0]
    assert [row["name"] for row in insects["rows"]] == ["vit-none-insects", "resnet-none-insects"]
    first = comparison.rows[0]
    assert insects["rows"][0]["accuracy"] == {"mean": first.accuracy.mean, "interval": list(first.accuracy.interval)}
    assert [(row["rank"], row["letters"]) for row in insects["rows"]] == [(1, "a"), (2, "b")]
    (difference,) = insects["differences"]
    expected = comparison.groups[0].differences["vit-none-insects", "resnet-none-insects"]
    assert (difference["better"], difference["worse"]) == ("vit-none-insects", "resnet-none-insects")
    assert (difference["mean"], difference["p_adjusted"]) == (expected.mean, expected.p_adjusted)
    assert (difference["different"], difference["established"]) == (True, False)  # of one repeat
    assert found["unequal"] == list(comparison.unequal)
    assert found["left_out"] == [{"row": "CoAtNet in21k", "why": f"no weights: {HOSTILE}"}]
    assert found["answer"] == comparison.answer
    assert re.search("at least 5 data ?sets", found["no_critical_difference"])


def test_json_has_the_expected_best_by_trials_and_by_device_seconds(comparison: Comparison, written: Path) -> None:
    found = json.loads((written / "comparison.json").read_text())["groups"][0]["rows"][0]["expected_best"]
    expected = comparison.rows[0].expected_best
    assert expected is not None
    assert found["trials"] == [1, 2, 3]
    assert found["accuracy"] == expected.accuracy.tolist()
    assert found["device_seconds"][-1] == 20


def test_csv_has_a_line_a_row_in_fractions(comparison: Comparison, written: Path) -> None:
    with (written / "comparison.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(comparison.rows)
    for line, row in zip(rows, comparison.rows, strict=True):
        assert line["name"] == row.name
        assert float(line["accuracy_mean"]) == pytest.approx(row.accuracy.mean, rel=1e-5)
        assert float(line["macro_f1_high"]) == pytest.approx(row.macro_f1.interval.high, rel=1e-5)
        assert line["seeds"] == "3"


def test_what_is_unequal_is_the_first_that_is_read(comparison: Comparison, written: Path) -> None:
    said = "trials differs: 4 (vit-none-insects"
    assert (written / "comparison.md").read_text().startswith(f"**Unequal:** {said}")
    assert (written / "comparison.tex").read_text().startswith(f"% unequal: {said}")
    assert summary(comparison, written).startswith(f"UNEQUAL: {said}")


def test_markdown_tables_have_as_many_cells_in_every_line(written: Path) -> None:
    text = (written / "comparison.md").read_text()
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 3  # two of rows, one of pairs
    for lines in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_no_name_is_a_mark_of_markdown_or_html() -> None:
    assert re.findall(r"(?<!\\)[*_|<>`]", tables.markdown(HOSTILE)) == []


def test_no_name_is_a_mark_of_latex() -> None:
    escaped = tables.latex(HOSTILE)
    assert escaped == (r"a\_b \& 50\% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} | <b> *c*")


def test_a_latex_table_has_as_many_cells_in_every_line_and_rules_of_booktabs(written: Path) -> None:
    text = (written / "comparison.tex").read_text()
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    for block in text.split(r"\end{table}")[:-1]:
        here = [len(re.findall(r"(?<!\\)&", line)) for line in block.splitlines() if line.endswith(r"\\")]
        assert len(set(here)) == 1
        assert block.count(r"\caption{") == block.count(r"\label{tab:") == 1
    assert len(lines) == 2 + 3  # two headings, three rows
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 2
    assert "%" not in re.sub(r"\\%|^%.*$", "", text, flags=re.MULTILINE)


def test_a_comparison_of_one_row_has_no_table_of_pairs(comparison: Comparison, tmp_path: Path) -> None:
    single = replace(comparison, groups=comparison.groups[1:], rows=comparison.rows[-1:])
    tables.write(single, tmp_path, "")
    assert "| pair |" not in (tmp_path / "comparison.md").read_text()
    assert len((tmp_path / "comparison.csv").read_text().splitlines()) == 2


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on PATH")
@pytest.mark.parametrize("columns", ["", "twocolumn"])
def test_latex_fits_the_column(columns: str, written: Path, tmp_path: Path) -> None:
    if subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).returncode:
        pytest.skip("no booktabs")
    label = (re.search(r"\\label{(.*?)}", (written / "comparison.tex").read_text()) or [""])[1]
    (tmp_path / "paper.tex").write_text(
        rf"\documentclass[{columns}]{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}"
        rf"\input{{{written / 'comparison.tex'}}}Table~\ref{{{label}}}.\end{{document}}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    for _ in range(2):  # labels are known the second time
        subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=True)
    said = (tmp_path / "paper.log").read_text(errors="replace")
    assert "Overfull \\hbox" not in said
    assert "undefined" not in said
