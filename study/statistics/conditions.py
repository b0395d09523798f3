"""What a result is conditional on, and what a difference is called: decided here alone, by the number of repeats.

A repeat is the whole procedure once more, with a search, a split and a draw of training images of its own. Seeds repeat
the last step alone: of whole studies of one model, another search seed was told apart in 18 to 20 % (docs/protocol.md).
So a difference that one repeat shows is one between two models that were found, and is not called established.
"""


def given(repeats: int) -> str:
    """`given this search, split and draw`: what every interval and verdict is conditional on."""
    return "given this search, split and draw" if repeats == 1 else f"over {repeats} searches, splits and draws"


def different(repeats: int) -> str:
    """What a difference is called that chance alone would show in less than 5 % of comparisons."""
    return "different given this search" if repeats == 1 else "established"
