"""The names that timm has, read from the text of its modules: the command line checks a name without importing it."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from trainables.choices import did_you_mean

PREFIX = "timm/"
MODEL = re.compile(r"^@register_model\s*\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
TAG = re.compile(r"^\s+['\"](\w+)\.(\w+)['\"]\s*:", re.MULTILINE)
UNTRAINED = "untrained"


@cache
def tags() -> Mapping[str, tuple[str, ...]]:
    """The names of timm.list_models(), each with the tags of its pretrained weights that are written in its module.

    A few tags are computed and so not among them; `weights.described` asks timm itself.
    """
    spec = find_spec("timm")
    assert spec is not None and spec.submodule_search_locations is not None
    texts = [
        path.read_text(encoding="utf-8")
        for path in sorted((Path(spec.submodule_search_locations[0]) / "models").glob("*.py"))
    ]
    found: dict[str, list[str]] = {name: [] for text in texts for name in MODEL.findall(text)}
    for name, tag in (pair for text in texts for pair in TAG.findall(text)):
        if name in found and tag != UNTRAINED:
            found[name].append(tag)
    return {name: tuple(dict.fromkeys(own)) for name, own in sorted(found.items())}


def parted(given: str) -> tuple[str, str]:
    """Of timm/NAME or timm/NAME.TAG the name and the tag. Raises ValueError, with the nearest, for an unknown name."""
    name, _, tag = given.removeprefix(PREFIX).partition(".")
    if name not in tags():
        near = did_you_mean(name, tags(), PREFIX)
        raise ValueError(
            f"unknown model {given!r}: timm {version('timm')} has {len(tags()):,} names, timm.list_models() lists them"
            f"{near}"
        )
    return name, tag
