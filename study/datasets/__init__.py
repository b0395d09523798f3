"""One module a dataset, found by file name: each has `load() -> Source`. The only place that imports ray.data."""

from importlib import import_module
from pkgutil import iter_modules

from study.datasets.source import Source
from trainables.choices import choose


def names() -> list[str]:
    """The datasets there are: one module each, besides those that hold what they share."""
    return sorted({module.name for module in iter_modules(__path__)} - {"source", "reading"})


def load(name: str) -> Source:
    """The named dataset. Raises ValueError for an unknown one, or one whose files are not to be had."""
    choose("dataset", name, names())
    return import_module(f"study.datasets.{name}").load()
