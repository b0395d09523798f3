"""An instant baseline: ridge regression on frozen features, seconds after the features exist.

    python -m study.probe --models alexnet resnet vit coatnet

`study.baselines.probe` says what is computed and what a seed means here.
"""

import sys

from study.baselines.probe import main

if __name__ == "__main__":
    sys.exit(main())
