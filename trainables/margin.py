"""The margin that a random crop moves in: AlexNet's is 224 px of 256, and as much of images of other sizes.

Imports neither torch nor Ray.
"""

WITH_MARGIN, CROPPED = 256, 224  # px


def margin_side(side: int) -> int:
    """The side of what a random crop of `side` is cut from."""
    return round(side * WITH_MARGIN / CROPPED)


def crop_side(side: int) -> int:
    """The side of a random crop of something `side` wide; `crop_side(margin_side(side)) == side`."""
    return round(side * CROPPED / WITH_MARGIN)
