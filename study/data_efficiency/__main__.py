"""How much data a finished study's winner needs: accuracy by training images per class, and by freeze depth.

    python -m study.data_efficiency results/resnet-fashion60k-digits results/vit-fashion60k-digits

Trains the winner's hyperparameters on nested, stratified parts of train, a draw per seed, and tests each run once. All
of them are reported and none is chosen: docs/protocol.md says what that means. On two cores, digits and the ladder of
amounts that is the default it takes some minutes a study. `data_efficiency.parquet` in the study's folder has a row per
run: see docs/record.md. What it holds is not trained again.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from study import entry
from study.data_efficiency.checking import check
from study.options import arguments
from study.options.keywords import DataEfficiencyKeywords
from study.options.parser import Parser
from study.results import provenance
from study.terminal.mistake import ended
from study.terminal.supervisor import tell

if TYPE_CHECKING:
    from study.terminal.progress import Terminal


def parser() -> Parser:
    parser = Parser(
        "study.data_efficiency",
        "STUDY [STUDY ...] [options]",
        "Accuracy of a finished study's winner by training images per class, and by freeze depth.",
    )
    parser.add_argument(
        "studies", nargs="+", type=arguments.results, metavar="STUDY", help="folder of a finished study"
    )
    parser.add_argument(
        "--images-per-class",
        nargs="+",
        type=arguments.images_per_class,
        metavar="N",
        help="numbers, or all; default: 1 2 5 10 20 50... up to the smallest class, and all",
    )
    parser.add_argument(
        "--freeze-depths", nargs="+", default=["winner"], metavar="DEPTH", help="numbers, all, or winner (default)"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="runs of each amount and depth; default: the study's")
    parser.add_argument("--max-concurrent", type=int, metavar="N", help="runs at a time")
    arguments.add_failures(parser)
    parser.add_argument("--data-dir", type=arguments.path, metavar="DIR", help="as the study had it")
    parser.add_argument("--weights", type=arguments.path, metavar="PATH", help="as the study had it")
    parser.add_argument("--offline", action="store_true", help="never fetch anything from the network")
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0, 2 for a user's mistake, 130 when interrupted, 1 if a study has no completed run."""
    options = parser().parse(given)
    command = provenance.command(options.words, module="study.data_efficiency")
    tell(again=command)
    return ended(lambda: run(DataEfficiencyKeywords.of(options)), again=command)


def run(options: DataEfficiencyKeywords, terminal: "Terminal | None" = None) -> int:
    """`terminal` is one that shows something already.

    Raises ValueError for a mistake; KeyboardInterrupt."""
    check(options)

    from study.cluster import connection

    connection.check()  # before the imports, which take seconds

    from study.data_efficiency.measure import measure
    from study.execution.session import Interrupted

    connection.quieten()
    try:
        return measure(options, terminal)
    except Interrupted:
        raise KeyboardInterrupt from None


if __name__ == "__main__":
    sys.exit(entry.start(main))
