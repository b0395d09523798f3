"""A page as tests read it: its elements, its words, its figures and its downloads."""

import csv
import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import StringIO
from typing import Any

KINDS = ("figure", "confusions", "parallel")  # of scripts that hold data


class Page(HTMLParser):
    """The elements of a page, and the text of those that hold data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.words: list[str] = []
        self.inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        data = next((attributes[f"data-{kind}"] for kind in KINDS if attributes.get(f"data-{kind}")), None)
        self.inside = data or f"{tag} of the page" if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self.inside = None

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[self.inside] = self.scripts.get(self.inside, "") + data
        else:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def said(self) -> str:
        return re.sub(r"[ \n]+", " ", " ".join(self.words))

    def csv(self, name: str) -> list[dict[str, str]]:
        link = next(a for a in self.all("a") if a.get("download") == f"{name}.csv")
        content = b64decode((link["href"] or "").partition(",")[2]).decode()
        return list(csv.DictReader(StringIO(content)))

    def figure(self, name: str) -> dict[str, Any]:
        return json.loads(self.scripts[name])

    def figures(self) -> list[str]:
        return [name for s in self.all("script") if (name := s.get("data-figure"))]
