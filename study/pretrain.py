"""Pretrains the mini variants on Fashion-MNIST: the weights that ship in `trainables/weights`, made again.

    python -m study.pretrain                         # all four models, 6,000 and 60,000 images
    python -m study.pretrain --model vit --images 6000

Trains on Fashion-MNIST's training images (or a stratified 6,000 of them) at full depth from random weights with
the training loop of the studies, and scores once on its 10,000 test images. Both amounts of data get the same
number of steps. Expect 0.82 to 0.88 from 6,000 images and 0.88 to 0.92 from 60,000: the table beside the weights
says which reached what. It takes an hour or two on two cores.
"""

import argparse
import sys
from collections.abc import Sequence

from study import entry
from study.options import arguments
from study.options.parser import Parser
from study.terminal.mistake import ended
from trainables import architecture, weights

AMOUNTS = {6_000: "fashion6k", 60_000: "fashion60k"}


def parser() -> Parser:
    parser = Parser("study.pretrain", "[options]", __doc__ or "")
    parser.add_argument("--model", choices=architecture.names(), action="append", help="default: all of them")
    parser.add_argument("--images", type=int, choices=AMOUNTS, action="append", help="default: both")
    parser.add_argument("--out", type=arguments.path, default=weights.PACKAGED, metavar="DIR", help="of the weights")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default %(default)s")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0, 2 for a user's mistake, 130 when interrupted."""
    options = parser().parse(given)
    return ended(lambda: run(options), interrupted="interrupted: the weights that are written are whole")


def run(options: argparse.Namespace) -> int:
    """Returns 0. Raises ValueError for a mistake; OSError."""
    if options.seed < 0:
        raise ValueError(f"seed must be 0 or more, got {options.seed}")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{options.out} cannot be written ({error.strerror}): choose another --out") from None

    from study.cluster import connection
    from study.data import named
    from study.execution import pretraining

    connection.quieten()
    source = named.load("fashion_mnist")
    with connection.connected():
        for name in options.model or architecture.names():
            family = architecture.get(name)
            for images in options.images or AMOUNTS:
                variant = family.variant("mini", AMOUNTS[images])
                pretraining.pretrain(family, variant, source, images, options.out, options.seed)
    pretraining.table(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(entry.start(main))
