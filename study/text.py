"""Words that are written in more than one place: durations, plurals, lists, p values."""

from collections.abc import Sequence

SHOWN = 3
FROM_SCRATCH = "from scratch"  # a model without pretraining


def duration(seconds: float) -> str:
    """`1 h 02 min`, `2 min 05 s`, `7 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def plural(number: int, noun: str) -> str:
    """`1 seed`, `1,000 seeds`, `2 studies`, `2 classes`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'sh', 'tch')) else 's'}"


def joined(words: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; nothing for none."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def shorten(names: Sequence[str], most: int = SHOWN) -> str:
    """The first few of them, and how many there are besides: `a, b, c and 7 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def amount(images_per_class: float) -> str:
    """`1`, `7.43`, `108`."""
    return f"{images_per_class:.0f}" if images_per_class >= 10 else f"{images_per_class:.3g}"


def p_value(p: float | None) -> str:
    """`0.034`, `< 0.001`, `–` for none."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def last_part(name: str) -> str:
    """`photos` of `/data/photos`, `s3://bucket/photos/`; a name that is no place stays as it is."""
    return name.rstrip("/").rpartition("/")[2] or name


def sentence(words: str) -> str:
    """With a capital at the beginning."""
    return words[:1].upper() + words[1:]
