"""The frame of a page: one template with its styles and scripts inside, and the sections it is handed."""

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from time import time

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from study.report.blocks import Section

PLOTLY = "plotly-cartesian.min.js.gz"


def page(title: str, sections: Sequence[Section], *, kind: str = "", refresh: float | None = None) -> str:
    """A self-contained page. The first section is the first screen; the others are in the navigation.

    Args:
        kind: a class of the whole page, for the styles.
        refresh: seconds after which it is loaded again, for there may be more; None for a page that stays as it is.
    """
    body = Markup(environment().get_template("sections.html").render(sections=sections))
    scripts = ["view.js", "tables.js", "theme.js", "choices.js"]
    if "data-keeps" in body:
        scripts.append("keeps.js")
    if "data-parallel" in body:
        scripts.append("parallel.js")
    draws = 'class="plot"' in body
    if draws:
        scripts += ["confusions.js", "labels.js", "figures.js"]
    scripts.append("live.js")
    return (
        environment()
        .get_template("page.html")
        .render(
            title=title,
            kind=kind,
            refresh=refresh,
            written=f"{time():.3f}",
            sections=sections,
            body=body,
            scripts=scripts,
            plotly_gzip_base64=plotly() if draws else "",
        )
    )


@cache
def environment() -> Environment:
    result = Environment(
        loader=PackageLoader("study.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result.globals["asset"] = asset
    return result


def asset(name: str) -> Markup:
    """A file of ours, as it is: styles and scripts are not text to escape."""
    return Markup(files("study.report").joinpath("assets", name).read_text(encoding="utf-8"))


@cache
def plotly() -> str:
    """plotly.js as the page carries it, compressed: browsers have unpacked gzip by themselves since 2023."""
    return b64encode(files("study.report").joinpath("assets", PLOTLY).read_bytes()).decode()
