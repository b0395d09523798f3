"""What is in a dataset, and what a study would do with it.

python -m study.data check path/to/folder
python -m study.data check path/to/folder --html sheet.html
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

from study import entry
from study.data import place
from study.options import arguments
from study.options.keywords import DataKeywords
from study.options.parser import Parser
from study.terminal.mistake import ended
from study.text import shorten

MOST = 4  # rows of problems, and of warnings
LONGEST = 300  # letters of a problem or a warning; half as many of anything else


def parser() -> Parser:
    parser = Parser(
        "study.data",
        "check SOURCE [options]",
        "What is in a dataset, all that is wrong with it, and what a study would do with it.",
    )
    parser.add_argument("action", choices=("check",), help="the only one so far")
    parser.add_argument(
        "source", type=arguments.dataset, metavar="SOURCE", help="a dataset's name, or a place: what --dataset takes"
    )
    parser.add_argument("--json", action="store_true", help="the whole report, for a program")
    parser.add_argument(
        "--html", type=arguments.path, metavar="FILE", help="also a page with a contact sheet of the images"
    )
    parser.add_argument("--offline", action="store_true", help="never fetch anything from the network")
    arguments.add_data(parser.add_argument_group("the images"))
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0 if a study would take the dataset, 1 if not, 2 for a user's mistake, 130 for Ctrl-C."""
    options = parser().parse(given)

    def body() -> int:
        report = run(options)
        if options.json:
            print(json.dumps(report, indent=1))
        else:
            show(report)
        return 0 if report["usable"] else 1

    return ended(body)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report. What reads images is imported after the options are found to be good.

    Raises ValueError for a mistake.
    """
    request = arguments.request(DataKeywords.of(options))
    place.check(options.source, request.settings)
    if options.html is not None and not options.html.parent.is_dir():
        raise ValueError(f"--html {options.html}: there is no folder {options.html.parent}")

    from study.cluster import connection
    from study.data import check, contact_sheet

    connection.quieten()
    try:
        found = check.contents(options.source, request)
    except check.Nothing as refusal:
        return check.nothing(options.source, refusal)
    report = check.report(options.source, found)
    if options.html is not None:
        options.html.write_text(contact_sheet.page(report, found), encoding="utf-8")
    return report


def show(report: dict[str, Any]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in lines(report):
        longest = LONGEST if name in ("problem", "warning") else LONGEST // 2
        table.add_row(Text(name, style="bold"), Text(text if len(text) <= longest else f"{text[:longest]} ..."))
    Console().print(table)


def lines(report: dict[str, Any]) -> list[tuple[str, str]]:
    """The report on one screen, a line per finding; what does not occur has none, what is much is cut."""
    head = [("dataset", report["dataset"]), ("a study", "takes it" if report["usable"] else "refuses it")]
    rows = [*head, *numbered("problem", report["problems"])]
    if report["images"]:
        rows += contents(report)
    return [(name, text) for name, text in rows if text]


def contents(report: dict[str, Any]) -> list[tuple[str, str]]:
    """What is there, and what was taken for what."""
    from study.data.check import HANDLED

    classes, copies = report["classes"], report["copies"]
    each = classes["images"]
    smallest, largest = min(each, key=each.get), max(each, key=each.get)
    if each[smallest] == each[largest]:
        spread = f"{each[smallest]:,} images in each"
    else:
        spread = f"from {smallest!r} ({each[smallest]:,}) to {largest!r} ({each[largest]:,})"
    unreadable = [f"{image['image']} ({image['why']})" for image in report["unreadable"]]
    taken = [f"{path} for {name!r}" for name, path in report["examples"].items()]
    aside = [f"{one['count']:,} {one['kind']} ({one['example']})" for one in report["aside"]]
    columns = [f"{column} for the {what}s" for what, column in report["columns"].items()]
    modes = [f"{mode} {n:,} ({HANDLED.get(mode, 'made 8 bits')})" for mode, n in report["modes"].items()]
    return [
        ("images", f"{report['images']:,}"),
        ("classes", f"{classes['count']:,}, {spread}"),
        ("taken", shorten([*columns, *taken])),
        ("splits", splits(report)),
        ("pixels", f"{ranged(report['width'])} wide, {ranged(report['height'])} high"),
        ("formats", ", ".join(f"{name} {n:,}" for name, n in report["formats"].items())),
        ("colours", shorten(modes, 6)),
        ("rotated", f"{report['rotated']:,} by EXIF (turned upright)" if report["rotated"] else ""),
        ("animated", f"{report['animated']:,} (the first frame is read)" if report["animated"] else ""),
        ("unreadable", f"{len(unreadable):,}: {shorten(unreadable)}" if unreadable else ""),
        ("exact copies", groups(copies["names"])),
        ("across splits", groups(copies["across_splits"])),
        ("two labels", groups(copies["under_two_labels"])),
        ("other files", f"{report['ignored_files']:,} (no image, or in no class)" if report["ignored_files"] else ""),
        ("of these", shorten(aside)),
        ("left out", f"{len(report['left_out']):,} images" if report["left_out"] else ""),
        *numbered("warning", report["warnings"]),
    ]


def numbered(name: str, found: list[str]) -> list[tuple[str, str]]:
    """A row for each of the first, and how many there are besides."""
    more = [(name, f"and {len(found) - MOST} more: --json has all")] if len(found) > MOST else []
    return [(name, text) for text in found[:MOST]] + more


def splits(report: dict[str, Any]) -> str:
    given = f" ({', '.join(report['comes_with'])} as it comes)" if report["comes_with"] else " (drawn by seed)"
    return ", ".join(f"{name} {n:,}" for name, n in report["splits"].items()) + given if report["splits"] else ""


def ranged(spread: dict[str, float] | None) -> str:
    return f"{spread['least']:.0f} to {spread['most']:.0f} (median {spread['median']:.0f})" if spread else "unknown"


def groups(names: list[list[str]]) -> str:
    return f"{len(names):,}: {shorten([' = '.join(group) for group in names])}" if names else ""


if __name__ == "__main__":
    sys.exit(entry.start(main))
