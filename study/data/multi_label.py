"""Data with several labels an image, which no study takes: how it looks, and what is said of it."""

from collections.abc import Iterable, Mapping, Sequence

ZERO_OR_ONE = {"0", "1", "0.0", "1.0", "True", "False", "true", "false"}
SEPARATORS = "|;, "


def refusal(name: str, seen: str) -> str:
    return (
        f"{name} has several labels an image ({seen}), which is not supported: loss, metrics and intervals here are of "
        "one class an image; keep one label an image, or make a dataset of each label"
    )


def columns(values: Mapping[str, Sequence[object]]) -> list[str]:
    """The columns of nothing but 0 and 1, of which a multi-hot table has one for each label."""
    return [name for name, column in values.items() if column and {str(one) for one in column} <= ZERO_OR_ONE]


def joint(labels: Iterable[str]) -> str | None:
    """A label that is made of others, where several are: `cat|dog` where there is a `cat` and a `dog`."""
    found = set(labels)
    for separator in SEPARATORS:
        made = [label for label in sorted(found) if separator in label and is_made_of(label.split(separator), found)]
        if made and (
            separator in "|;" or 3 * len(made) >= len(found)
        ):  # a fire truck among fires and trucks is a class
            return made[0]
    return None


def is_made_of(parts: Sequence[str], labels: set[str]) -> bool:
    return all(part.strip() in labels for part in parts)
