"""The cached activations and images on this machine: what is stored, whether it is whole, and an end of it.

    python -m study.cache            # the same as list
    python -m study.cache verify
    python -m study.cache clear

They lie in $STUDY_CACHE (default ~/.cache/attention-or-convolution) and take at most $STUDY_CACHE_GIB (default: half of
what the disk has free). Nothing there is needed: what is missing is computed again.
"""

import sys
from collections.abc import Sequence

from study import entry
from study.options.parser import Parser
from study.terminal.mistake import ended


def parser() -> Parser:
    parser = Parser("study.cache", "[list|verify|clear]", __doc__ or "")
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=("list", "verify", "clear"),
        help="what is there (default), remove what is damaged, remove all that no process reads",
    )
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0, 1 if an entry is damaged, 2 for a user's mistake, 130 when interrupted."""
    options = parser().parse(given)

    def body() -> int:
        from study.terminal import store
        from trainables.boundaries import Store

        actions = {"list": store.show, "verify": store.verify, "clear": store.clear}
        return actions[options.action](Store.here())

    return ended(body)


if __name__ == "__main__":
    sys.exit(entry.start(main))
