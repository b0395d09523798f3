"""Corruptions of test images: the same for everyone, and worse with severity."""

import json
from pathlib import Path

import pytest
import torch

from study.report import comparison as report
from study.results import corruptions as record
from tests.comparisons import FOUR, compared
from tests.pages import Page
from trainables.corruptions import CLEAN, CORRUPTIONS, SEVERITIES, versions


def images(side: int = 32) -> torch.Tensor:
    """A gradient and some squares, as smooth and as sharp as photographs are."""
    ramp = torch.linspace(60, 190, side).expand(4, 3, side, side).clone()
    ramp[:, :, side // 4 : side // 2, side // 4 : side // 2] = 30
    ramp[:, :, side // 2 : -4, side // 2 : -4] = 220
    return ramp.to(torch.uint8)


@pytest.mark.parametrize("side", [32, 96])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_keeps_the_kind_of_images_and_changes_them_more_with_severity(name: str, side: int) -> None:
    batch = images(side)
    cases = [(CLEAN, 0), *((name, severity) for severity in SEVERITIES)]
    changed = [one for _, one in versions(batch, cases, 0)]
    assert torch.equal(changed[0], batch)
    apart = [(one.float() - batch.float()).abs().mean().item() for one in changed]
    assert all((one.shape, one.dtype) == (batch.shape, torch.uint8) for one in changed)
    assert 0 == apart[0] < apart[1] < apart[2] < apart[3]


def test_noise_is_the_same_for_every_model_and_another_in_every_batch() -> None:
    first, again, other = (next(versions(images(), [("noise", 1)], number))[1] for number in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_page_has_a_table_of_the_rows_that_were_measured(tmp_path: Path) -> None:
    found = compared(tmp_path, FOUR[:2])
    rows = [
        {"corruption": name, "severity": severity, "right": right, "images": 100}
        for name, severity, right in (("none", 0, 90), ("blur", 1, 80), ("blur", 2, 60), ("noise", 1, 50))
    ]
    (found.rows[0].record.folder / record.FILE).write_text(json.dumps({"format": 1, "seed": 1, "rows": rows}))
    (told,) = Page(report.render(found)).csv("corruptions")
    assert (told["label"], told["none"], told["blur"], told["noise"]) == (found.rows[0].label, "0.9", "0.7", "0.5")
    assert told["mean"] == "0.6"
    (found.rows[0].record.folder / record.FILE).write_text("{")
    with pytest.raises(ValueError, match=r"corruptions\.json cannot be read"):
        record.read(found.rows[0].record.folder)
