"""What is in a dataset, and what a study would do with it.

python -m study.data check path/to/folder
python -m study.data check caltech256 --data-dir DIR --json
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from study.cluster import connection
from study.data.check import HANDLED, checked
from study.options import command_line
from study.terminal.progress import fail
from study.text import shorten


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if a study would take the dataset, 1 if not, 2 for a user's mistake, 130 for Ctrl-C."""
    parser = command_line.Parser(
        prog="python -m study.data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("check",))
    parser.add_argument("source", metavar="SOURCE", help="a dataset's name, or a place: what --dataset takes")
    parser.add_argument("--json", action="store_true", help="everything, for a program")
    parser.add_argument("--offline", action="store_true", help="never fetch anything from the network")
    command_line.add_data_arguments(parser.add_argument_group("the images"))
    options = parser.parse_args(arguments)
    connection.quieten()
    try:
        found = checked(options.source, command_line.request(options))
    except ValueError as mistake:
        return fail(str(mistake))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        show(found)
    return 0 if found["usable"] else 1


def show(found: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in lines(found):
        table.add_row(Text(name, style="bold"), Text(text))
    Console().print(table)


def lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The report, a line a finding; what does not occur has none."""
    classes, copies = found["classes"], found["copies"]
    smallest = min(classes["images"], key=classes["images"].get)
    largest = max(classes["images"], key=classes["images"].get)
    each = classes["images"]
    unreadable = [f"{one['image']} ({one['why']})" for one in found["unreadable"]]
    rows = [
        ("dataset", found["dataset"]),
        ("a study", found["study"]),
        ("images", f"{found['images']:,}"),
        ("classes", f"{classes['count']:,}, from {smallest!r} ({each[smallest]:,}) to {largest!r} ({each[largest]:,})"),
        ("splits", splits(found)),
        ("pixels", f"{ranged(found['width'])} wide, {ranged(found['height'])} high"),
        ("formats", ", ".join(f"{name} {n:,}" for name, n in found["formats"].items())),
        (
            "colours",
            ", ".join(f"{mode} {n:,} ({HANDLED.get(mode, 'made 8 bits')})" for mode, n in found["modes"].items()),
        ),
        ("rotated", f"{found['rotated']:,} by EXIF (turned upright)" if found["rotated"] else ""),
        ("animated", f"{found['animated']:,} (the first frame is read)" if found["animated"] else ""),
        ("unreadable", f"{len(unreadable):,}: {shorten(unreadable)}" if unreadable else ""),
        ("exact copies", groups(copies["names"])),
        ("across splits", groups(copies["across_splits"])),
        ("two labels", groups(copies["under_two_labels"])),
        ("other files", f"{found['ignored_files']:,} (no image, or in no class)" if found["ignored_files"] else ""),
        ("left out", f"{len(found['left_out']):,} images" if found["left_out"] else ""),
    ]
    return [(name, text) for name, text in rows if text]


def splits(found: dict[str, Any]) -> str:
    given = f" ({', '.join(found['comes_with'])} as it comes)" if found["comes_with"] else " (drawn by seed)"
    return ", ".join(f"{name} {n:,}" for name, n in found["splits"].items()) + given if found["splits"] else ""


def ranged(spread: dict[str, float] | None) -> str:
    return f"{spread['least']:.0f} to {spread['most']:.0f} (median {spread['median']:.0f})" if spread else "unknown"


def groups(names: list[list[str]]) -> str:
    return f"{len(names):,}: {shorten([' = '.join(group) for group in names])}" if names else ""


if __name__ == "__main__":
    sys.exit(main())
