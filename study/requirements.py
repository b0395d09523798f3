"""The former name of `python -m study.data_efficiency`, for one version."""

import sys
from collections.abc import Sequence

from study import entry
from study.data_efficiency import __main__ as data_efficiency


def main(arguments: Sequence[str] | None = None) -> int:
    print("note: study.requirements is called study.data_efficiency now", file=sys.stderr)
    return data_efficiency.main(arguments)


if __name__ == "__main__":
    sys.exit(entry.start(main))
