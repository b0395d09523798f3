"""A finished study's model as a file for other runtimes, tried on sample images before it is written.

    python -m study.export results/NAME --to onnx     # results/NAME/best/model.onnx, for onnxruntime
    python -m study.export results/NAME --to torch    # results/NAME/best/model.pt2, for torch.export.load

docs/model.md says what the files take and give.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from study import entry
from study.options import arguments
from study.options.parser import Parser
from study.results import bucket
from study.terminal.mistake import ended
from study.terminal.supervisor import in_order

TO = {"onnx": ".onnx", "torch": ".pt2"}


def parser() -> Parser:
    parser = Parser("study.export", "STUDY --to FORMAT [options]", "A study's model as a file for other runtimes.")
    parser.add_argument("study", type=arguments.results, metavar="STUDY", help="its folder, or that of a model")
    parser.add_argument("--to", required=True, choices=tuple(TO), help="ONNX, or a program of torch.export")
    parser.add_argument(
        "--output", type=arguments.path, metavar="FILE", help="default: model.onnx, or model.pt2, beside the weights"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file, if it is there")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0; 1 where the file does not answer as the model; 2 for a user's mistake; 130 when interrupted."""
    options = parser().parse(given)

    def body() -> int:
        with bucket.mirrored(options.study, lambda line: print(line, file=sys.stderr)):
            print(export(options))
        return 0

    return ended(body, interrupted="interrupted: nothing was written")


def export(options: argparse.Namespace) -> object:
    """Raises ValueError for a mistake, Failed for an export that is not the model, OSError."""
    from study.prediction import exporting, loading

    place = loading.folder_of_model(options.study)
    path: Path = options.output or place / f"model{TO[options.to]}"
    exporting.check(options.to, path, overwrite=options.overwrite)
    with in_order(signal.default_int_handler):
        return exporting.export(loading.load(options.study, device="cpu"), options.to, path)


if __name__ == "__main__":
    sys.exit(entry.start(main))
