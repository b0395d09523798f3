"""What a finished study's model says of images, one or a million: a table as CSV, JSON or Parquet.

    python -m study.predict results/NAME photos/ more/*.jpg --output predictions.csv
    find / -name '*.jpg' | python -m study.predict results/NAME - > predictions.csv

Images become inputs as in training, bit for bit. One that cannot be read is a row with the reason. docs/model.md.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from study import entry
from study.options import arguments
from study.options.parser import Parser
from study.results import bucket
from study.terminal import streams
from study.terminal.mistake import ended
from study.terminal.supervisor import in_order
from study.text import plural

if TYPE_CHECKING:
    from study.prediction.predicting import Row

SEEDS = ("first", "all")


def parser() -> Parser:
    parser = Parser(
        "study.predict",
        "STUDY IMAGES [IMAGES ...] [options]",
        "What a study's model says of images: a row each, with the likeliest classes.",
    )
    parser.add_argument("study", type=arguments.results, metavar="STUDY", help="its folder, or that of a model")
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGES",
        help="files, folders, patterns as 'a/**/*.jpg', Parquet tables; - for a list of paths on standard input",
    )
    parser.add_argument(
        "--output",
        type=arguments.path,
        metavar="FILE",
        help=".csv, .json or .parquet (default: CSV to standard output)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file, if it is there")
    parser.add_argument("--top-k", type=int, default=3, metavar="K", help="classes of a row (default %(default)s)")
    parser.add_argument(
        "--seeds",
        default="first",
        choices=SEEDS,
        help="all: average the models of all test runs, which --keep-models kept (default %(default)s)",
    )
    parser.add_argument("--image-column", metavar="NAME", help="of a table (default: the only one that can be)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images at a time (default: the device's)")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0, 2 for a user's mistake and where nothing could be predicted, 130 when interrupted."""
    options = parser().parse(given)
    return ended(lambda: predict(options), interrupted="interrupted: what was predicted is written, in whole rows")


def predict(options: argparse.Namespace) -> int:
    """Raises ValueError for a mistake, OSError for what cannot be written."""
    for name in ("top_k", "batch_size"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise ValueError(f"{name.replace('_', '-')} must be at least 1, got {value}")

    from study.data import libjpeg
    from study.prediction import images, loading, predicting, tables

    if options.output:
        tables.check(options.output, overwrite=options.overwrite)
    images.check(options.images, options.image_column)
    bucket.fetch(options.study)
    model = loading.load(options.study, seeds=options.seeds)
    top_k = min(options.top_k, len(model.classes))
    columns = predicting.columns(model, top_k)
    items = images.items(options.images, sys.stdin, options.image_column)
    rows = predicting.rows(model, items, top_k=top_k, batch=options.batch_size)
    done = failed = 0
    example = ""
    with (
        in_order(signal.default_int_handler),
        libjpeg.unheard() as terminal,
        progress(terminal, options) as advance,
        opened(options, columns) as add,
    ):
        for portion in rows:
            add(portion)
            advance(len(portion))
            done += len(portion)
            bad = [row for row in portion if row.get("problem")]
            failed += len(bad)
            example = example or "".join(f"{row['path']}: {row['problem']}" for row in bad[:1])
    if not done:
        raise ValueError("there were no images: standard input named none")
    if failed == done:
        raise ValueError(f"none of {plural(done, 'image')} could be read ({example}); the rows say why")
    more = f", {failed:,} of them could not be read, as {example}" if failed else ""
    print(f"{plural(done, 'image')}{more}: {options.output or 'standard output'}", file=sys.stderr)
    return 0


@contextmanager
def opened(options: argparse.Namespace, columns: dict[str, type]) -> "Iterator[Callable[[list[Row]], None]]":
    """What adds rows: to the file that was asked for, or to standard output."""
    from study.prediction import tables

    if options.output:
        with tables.written(options.output, columns, overwrite=options.overwrite) as file:
            yield file.add
        return
    table = tables.Csv(sys.stdout.buffer, columns)

    def add(rows: "list[Row]") -> None:
        try:
            table.add(rows)
            table.end()  # whoever reads them need not wait for the last
        except BrokenPipeError:
            raise SystemExit(streams.BROKEN_PIPE) from None

    yield add


@contextmanager
def progress(terminal: TextIO, options: argparse.Namespace) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, with images a second and the time left; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from study.prediction import images

    console = Console(file=terminal)
    columns = (
        *(TextColumn("predicted"), BarColumn(24), MofNCompleteColumn()),
        *(TextColumn("{task.fields[pace]}"), TimeRemainingColumn()),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        total = images.count(options.images, options.image_column) if console.is_terminal else None
        task = bar.add_task("predicted", total=total, pace="")
        since = monotonic()

        def advance(number: int) -> None:
            bar.advance(task, number)
            pace = bar.tasks[0].completed / max(monotonic() - since, 1e-9)
            bar.update(task, pace=f"{pace:,.0f} images/s")

        yield advance


if __name__ == "__main__":
    sys.exit(entry.start(main))
