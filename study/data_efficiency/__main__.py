"""Accuracy of finished studies' winners by training images per class, and by freeze depth.

python -m study.data_efficiency results/resnet-fashion60k-digits results/vit-fashion60k-digits
"""

import sys

from study.data_efficiency.measure import main

if __name__ == "__main__":
    sys.exit(main())
