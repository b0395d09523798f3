"""What strangers give, to run something here: weights, and names that a page shows."""

import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from study.files import write_json
from study.report import study as report
from study.results.record import Record
from tests import records
from trainables.weights import Weights, reading


@dataclass
class Harm:
    """Unpickled, it calls something."""

    call: Callable[..., Any]
    argument: object

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call, (self.argument,)


def zipped(path: Path, harm: Harm) -> None:
    """As torch has saved since 1.6."""
    torch.save({"weight": torch.ones(2)}, path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, pickle.dumps(harm, 2) if name.endswith("data.pkl") else data)


def plain(path: Path, harm: Harm) -> None:
    path.write_bytes(pickle.dumps(harm))


@pytest.mark.parametrize("form", [zipped, plain])
@pytest.mark.parametrize("name", ["weights.pth", "weights.bin", "weights.safetensors", "weights"])
def test_weights_run_nothing(form: Callable[[Path, Harm], None], name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    form(path, Harm(os.system, f"touch {tmp_path}/harm"))
    with pytest.raises(ValueError, match=r"weights at .* cannot be read") as refusal:
        reading.read(Weights("weights", lambda offline: path), path=path)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "harm").exists()


MARK = "x-stranger"
HOSTILE = (
    f"</script><{MARK}>",
    f'"><{MARK} a="',
    f"'><{MARK}>",
    f"<!--<script><{MARK}>",
    f"--></style></title></textarea><{MARK}>",
    f"&lt;{MARK}&gt;<{MARK} onmouseover=alert(1)>",
    f"javascript:alert(1)//]]>*/{{{{{MARK}}}}}",
)


class Tags(HTMLParser):
    """The names of all elements and attributes of a page, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names |= {tag, *(name for name, _ in attributes)}
        self.links |= {value or "" for name, value in attributes if name in ("href", "src")}


def test_a_page_of_hostile_names_has_no_element_of_theirs(tmp_path: Path) -> None:
    shape = records.Shape(classes=HOSTILE, dataset=HOSTILE[0], trials=4, epochs=2, seeds=2, images_per_class=6)
    records.finished(tmp_path, shape)
    record = Record(tmp_path)
    for row in record.tables["predictions"]:
        assert isinstance(row, dict)
        row["image"] = HOSTILE[1]
    record.replace("predictions", record.tables["predictions"])
    trials = [dict(row, reason=HOSTILE[2], node=HOSTILE[3]) for row in record.tables["trials"]]
    record.replace("trials", trials)
    assert record.study.data
    study = replace_entries(record, command=HOSTILE[4], left_out=((HOSTILE[5], HOSTILE[6]),))
    write_json(tmp_path / "study.json", study)
    page = tmp_path / "report.html"
    report.write(tmp_path)
    tags = Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    assert MARK in page.read_text(encoding="utf-8")
    assert "script" in tags.names
    assert not {name for name in tags.names if MARK in name or name.startswith("on")}
    assert not {link for link in tags.links if link.strip().lower().startswith("javascript:")}


def replace_entries(record: Record, *, command: str, left_out: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    content = record.study.content()
    content["command"] = command
    content["data"]["left_out"] = [list(one) for one in left_out]
    return content
