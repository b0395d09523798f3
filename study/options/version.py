"""Which version of this package runs."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

NAME = "attention-or-convolution"


def version() -> str:
    """`attention-or-convolution 0.1.0 (commit 0123456789ab)`; without the commit where this is no checkout."""
    from study.results.provenance import commit

    try:
        number = installed(NAME)
    except PackageNotFoundError:
        number = "(not installed)"
    head = commit()
    return f"{NAME} {number}{f' (commit {head})' if head else ''}"
