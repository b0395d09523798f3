"""One module a dataset, found by file name: each has `load(request) -> Source`, or, if it is of encoded images,
`listing(request) -> Listing`; and `SETTINGS` if it takes any.
"""

from importlib import import_module
from pkgutil import iter_modules

from study.data.files import source_of
from study.data.image_index import ImageIndex
from study.data.source import DatasetRequest, ExampleSource
from trainables.choices import choose


def names() -> list[str]:
    return sorted(module.name for module in iter_modules(__path__))


def settings(name: str) -> dict[str, str]:
    """What `--data-option` may set, and what each means."""
    return getattr(import_module(f"study.data.named.{name}"), "SETTINGS", {})


def load(name: str, request: DatasetRequest | None = None) -> ExampleSource:
    """The named dataset. Raises ValueError for an unknown one, or one whose files are not to be had."""
    request = request or DatasetRequest()
    found = listing(name, request)
    return source_of(found, request) if found else import_module(f"study.data.named.{name}").load(request)


def listing(name: str, request: DatasetRequest) -> ImageIndex | None:
    """What it holds before it was looked at; None where its images are not encoded one by one."""
    choose("dataset", name, names())
    for given in request.settings:
        if not settings(name):
            raise ValueError(f"{name} takes no --data-option, got {given!r}")
        choose(f"--data-option of {name}", given, settings(name))
    module = import_module(f"study.data.named.{name}")
    return module.listing(request) if hasattr(module, "listing") else None
