"""A report that is saved in W&B, and known again: saved once more, it takes the place of what it was."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from study.files import write_json

if TYPE_CHECKING:
    from study.wandb_report.blocks import Report


class Refused(Exception):
    """W&B did not take the report, or did not answer."""


def save(folder: Path, report: "Report") -> str:
    """Saves the report in W&B, notes its id in `wandb/published.json` in `folder`, and returns its address.

    Raises Refused.
    """
    noted = folder / "wandb" / "published.json"
    where = {"entity": report.entity, "project": report.project}
    before = json.loads(noted.read_text(encoding="utf-8")) if noted.is_file() else {}
    again = {name: before.get(name) for name in where} == where
    if again:
        report.id = before["id"]
    try:
        report.save()
        url = report.url
    except ValueError as error:  # the project is not there, as long as no run of it is uploaded
        raise Refused(one_line(error)) from error
    except Exception as error:
        raise Refused(one_line(error) + (f" (to save a new report, remove {noted})" if again else "")) from error
    noted.parent.mkdir(parents=True, exist_ok=True)
    write_json(noted, {**where, "id": report.id, "url": url})
    return url


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
