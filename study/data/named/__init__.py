"""One module per dataset, found by its file name.

Each has `load(request) -> ExampleSource`, or, where its images are encoded one by one,
`image_index(request) -> ImageIndex`; and `SETTINGS` if it takes any. Reads none of them before it is asked for one.
"""

import ast
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from study.data.source import DatasetRequest, ExampleSource
from trainables.choices import choose

if TYPE_CHECKING:
    from study.data.image_index import ImageIndex


def names() -> list[str]:
    return sorted(module.name for module in iter_modules(__path__))


def settings(name: str) -> dict[str, str]:
    """What `--data-option` may set, and what each means: SETTINGS, read without importing what reads the images."""
    for statement in ast.parse((Path(__path__[0]) / f"{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if ast.unparse(targets[0]) == "SETTINGS":
                return ast.literal_eval(statement.value)
    return {}


def check_settings(name: str, given: Iterable[str]) -> None:
    """Raises ValueError for a setting that the dataset has not."""
    for setting in given:
        if not settings(name):
            raise ValueError(f"{name} takes no --data-option, got {setting!r}")
        choose(f"--data-option of {name}", setting, settings(name))


def load(name: str, request: DatasetRequest | None = None) -> ExampleSource:
    """The named dataset. Raises ValueError for an unknown one, or one whose files are not to be had."""
    from study.data.files import source_of

    request = request or DatasetRequest()
    index = image_index(name, request)
    return source_of(index, request) if index else import_module(f"study.data.named.{name}").load(request)


def image_index(name: str, request: DatasetRequest) -> "ImageIndex | None":
    """Its images before they are scanned; None where they are not encoded one by one."""
    choose("dataset", name, names())
    check_settings(name, request.settings)
    module = import_module(f"study.data.named.{name}")
    return module.image_index(request) if hasattr(module, "image_index") else None
