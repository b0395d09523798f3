"""The former name of `python -m study.data_efficiency`, for one version."""

import sys

from study.data_efficiency.measure import main

if __name__ == "__main__":
    print("note: study.requirements is called study.data_efficiency now", file=sys.stderr)
    sys.exit(main())
