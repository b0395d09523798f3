"""A file for Ray's cluster launcher, checked before `ray up` starts anything that costs money.

    python -m study.cluster ray_cluster.yaml

Ray's own check takes any key under `provider`; this one names what is misspelled, what no trial fits on, and what would
let strangers in. Nothing is started, and no network is needed.
"""

import sys
from collections.abc import Sequence

from study import entry
from study.options import arguments
from study.options.parser import Parser
from study.terminal.mistake import ended


def parser() -> Parser:
    parser = Parser("study.cluster", "FILE.yaml", __doc__ or "")
    parser.add_argument("file", type=arguments.path, metavar="FILE.yaml", help="such as ray_cluster.yaml")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0, 2 for a file with a mistake, 130 when interrupted."""
    options = parser().parse(given)

    def body() -> int:
        from study.cluster import file

        print(f"{options.file} is good. {file.read(options.file)}")
        return 0

    return ended(body)


if __name__ == "__main__":
    sys.exit(entry.start(main))
