"""The card of a model: what the hub's own reader finds in it, and that no class name can break it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from study.results import card
from study.results.record import Record

OLD = Path(__file__).parents[1] / "old_records" / "alexnet-fashion60k-digits"
HOSTILE = ["a|b", "<script>alert(1)</script>", "*x*", "`y`", "[z](http://w)", *"56789"]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """An old record, of a dataset in a folder, with class names as nobody wants them."""
    folder = shutil.copytree(OLD, tmp_path_factory.mktemp("results") / OLD.name)
    written = json.loads((folder / "study.json").read_text())
    written["data"] |= {"classes": HOSTILE, "name": "/home/me/secret/my photos"}
    for row, name in zip(written["test"]["per_class"], HOSTILE, strict=True):
        row["class"] = name
    (folder / "study.json").write_text(json.dumps(written))
    return Record(folder)


def test_the_hub_reads_what_the_model_is_and_how_good(record: Record) -> None:
    read: Any = ModelCard(card.text(record, "alexnet_mini")).data
    assert (read.library_name, read.pipeline_tag) == ("timm", "image-classification")
    [result] = read.eval_results
    assert (result.metric_type, result.metric_value) == ("accuracy", record.test.accuracies[0])
    assert result.dataset_name == "my photos"


def test_it_says_what_the_accuracy_is_conditional_on_and_how_it_came_about(record: Record) -> None:
    text = card.text(record, "alexnet_mini")
    low, high = record.test.interval
    assert f"95 % interval {low:.2%} to {high:.2%}, given this search, split and draw" in text
    assert record.study.command is not None
    for what in (
        record.study.command,
        "torch 2.14.1",
        record.data.fingerprint,
        "import trainables.timm_models",
        "secret",
    ):
        assert (what in text) == (what != "secret")


def test_class_names_stay_text_in_their_cells(record: Record) -> None:
    body = card.text(record, "alexnet_mini").split("---\n", 2)[2]
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert "<script>" not in html
    assert "<em>x</em>" not in html
    for name in ("a|b", "&lt;script&gt;alert(1)&lt;/script&gt;", "*x*", "`y`", "[z](http://w)"):
        assert f"<td>{name}</td>" in html
    confusion = html.split("Confusion, in")[1].split("</table>")[0]
    assert all(row.count("<td") == 11 for row in confusion.split("<tr>")[2:])


def test_a_model_that_timm_does_not_have_says_nothing_of_timm(record: Record) -> None:
    assert "timm.create_model" not in card.text(record, None)
    assert "from torchvision.models import alexnet" in card.text(record, "alexnet")
