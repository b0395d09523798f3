"""How much data each model needs: test accuracy by training images per class, and by freeze depth."""

from collections.abc import Mapping, Sequence
from typing import Any

from study.comparison import Comparison, Group, Row
from study.report import figures
from study.report.blocks import Facts, Figure, Note, Section, empty
from study.report.comparison.extras import requirements
from study.report.comparison.per_dataset import per_dataset
from study.report.comparison.styles import Style, legend, style_of
from study.report.numbers import MISSING, percent, points
from study.report.tables import Column, Table
from study.results.data_efficiency import Measured, alike
from study.statistics import Crossing, Curve, compared, crossings, curve, given, images_needed
from study.statistics.data_efficiency import Needed
from study.text import amount, plural

LEVELS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
ABSENT = "{who}: no data_efficiency.parquet in its folder; python -m study.data_efficiency FOLDER trains what it holds."


def section(comparison: Comparison) -> Section:
    title = "Data requirements"
    if not any(requirements(row) for row in comparison.rows):
        why = (
            "No study here has been trained on parts of its training images: python -m study.data_efficiency does that."
        )
        return empty("requirements", title, why, short="Data")
    return Section(
        "requirements",
        title,
        per_dataset(comparison, blocks),
        lead=(
            "The winner’s recipe on nested, stratified parts of train, one draw per seed; each run is tested once and "
            "none is chosen."
        ),
        short="Data",
    )


def blocks(group: Group, among: Sequence[Row], suffix: str) -> list[Any]:
    measured = {row.name: known for row in group.rows if (known := requirements(row))}
    there = [row for row in group.rows if row.name in measured and measured[row.name].winners]
    absent = [row.label for row in group.rows if row.name not in measured]
    notes = [Note(ABSENT.format(who=", ".join(absent)))] if absent else []
    without = [row.label for row in group.rows if row.name in measured and row not in there]
    notes += [Note(f"{', '.join(without)}: no run was completed at the winner’s freeze depth.")] if without else []
    failed = sum(len(known.failed) for known in measured.values())
    notes += [Note(f"{plural(failed, 'run')} failed.")] if failed else []
    by_depth = depths([*measured.values()], suffix)
    if not there:
        return [*by_depth, *notes]
    curves = {row.name: curve(measured[row.name].winners) for row in there}
    styles = [style_of(row, among) for row in there]
    return [
        figure(there, curves, among, suffix),
        table(there, curves, styles, suffix),
        *pairs([measured[row.name] for row in there], suffix),
        *by_depth,
        *notes,
    ]


def figure(there: Sequence[Row], curves: Mapping[str, Curve], among: Sequence[Row], suffix: str) -> Figure:
    plot = figures.blank(x="training images per class (logarithmic)", y="test accuracy", hovermode="closest")
    ticks = sorted({amount for points in curves.values() for amount in points.images_per_class.tolist()})
    plot.update_xaxes(type="log", tickvals=figures.digits(ticks, 3), ticktext=[amount(tick) for tick in ticks])
    plot.update_yaxes(tickformat=".0%")
    for row in there:
        style, points = style_of(row, among), curves[row.name]
        x = figures.digits(points.images_per_class.tolist())
        low, high = points.low.tolist(), points.high.tolist()
        plot.add_scatter(
            x=[*x, *x[::-1]],
            y=figures.digits([*high, *low[::-1]]),
            fill="toself",
            fillcolor=style.color,
            opacity=min(0.15, 0.5 / len(there)),
            mode="none",
            hoverinfo="skip",
            meta=style.meta,
        )
        plot.add_scatter(
            x=x,
            y=figures.digits(points.accuracy.tolist()),
            mode="lines+markers",
            line=style.line,
            marker=style.marker | {"size": 8},
            customdata=[
                [f"{percent(a)}, {percent(b)}", plural(n, "run")]
                for a, b, n in zip(low, high, points.runs.tolist(), strict=True)
            ],
            hovertemplate=(
                f"{figures.plain(row.label)}<br>%{{x}} images per class: %{{y:.1%}} [%{{customdata[0]}}]"
                "<br>%{customdata[1]}<extra></extra>"
            ),
            meta=style.meta,
        )
    ends = [
        f"{row.label}: {percent(points.accuracy[0])} with {amount(points.images_per_class[0])}, "
        f"{percent(points.accuracy[-1])} with {amount(points.images_per_class[-1])} images per class."
        for row in there
        if (points := curves[row.name])
    ]
    return Figure(
        f"requirements-curve{suffix}",
        "Accuracy by training images per class",
        plot,
        alt=f"Line chart with bands. Test accuracy by training images per class, {len(there)} models. {' '.join(ends)}",
        columns=["name", "label", "images_per_class", "accuracy", "low", "high", "runs"],
        rows=[[row.name, row.label, *point] for row in there for point in curves[row.name].points()],
        caption="Band: 95 % interval over draws, seeds and test images.",
        shape="wide",
        legend=legend(there, among, lines=True),
    )


def table(there: Sequence[Row], curves: Mapping[str, Curve], styles: Sequence[Style], suffix: str) -> Table:
    """Images per class from which on an accuracy is reached and kept."""
    best = max(points.accuracy.max() for points in curves.values())
    levels = [level for level in LEVELS if level <= best]
    columns = [
        Column("label", "Model"),
        *(Column(f"reaches_{level:g}", f"{level:.0%}", kind="text") for level in levels),
        Column("best", "With all images", percent, "share"),
    ]
    rows = [
        {
            "label": row.label,
            "best": curves[row.name].accuracy[-1],
            **{f"reaches_{level:g}": needed(images_needed(curves[row.name], level)) for level in levels},
        }
        for row in there
    ]
    return Table(
        f"requirements-needed{suffix}",
        "Images per class that an accuracy takes",
        columns,
        rows,
        caption="From how many on the mean stays there, between the amounts by a line; in brackets, by the band.",
        styles=styles,
    )


def needed(images: Needed) -> str:
    if images.images_per_class is None:
        return "not reached"
    ends = amount(images.fewest or images.images_per_class), "…" if images.most is None else amount(images.most)
    return f"{amount(images.images_per_class)} [{', '.join(ends)}]"


def pairs(studies: Sequence[Measured], suffix: str) -> list[Any]:
    """Who is ahead at which amount, and where one overtakes another."""
    differences = [compared(group) for group in alike(studies)]
    amounts = sorted({n for one in differences for _, _, n in one})
    if not amounts:
        return []
    rows, sure = [], []
    for one in differences:
        for a, b in dict.fromkeys((a, b) for a, b, _ in one):
            at = {n: one[a, b, n] for n in amounts if (a, b, n) in one}
            sure.append({n for n, difference in at.items() if difference.different})
            different = ", ".join(map(amount, sorted(sure[-1]))) or "nowhere"
            means = {f"at_{n:g}": difference.mean for n, difference in at.items()}
            rows.append({"first": a, "second": b, "different": different, **means})
    ahead = Table(
        f"requirements-pairs{suffix}",
        "Who is ahead with how many images per class",
        [
            Column("first", "First"),
            Column("second", "Second"),
            *(
                Column(f"at_{n:g}", amount(n), lead, "number", frozenset(i for i, at in enumerate(sure) if n in at))
                for n in amounts
            ),
            Column("different", "Different at"),
        ],
        rows,
        caption=(
            "How many points of accuracy the first is above the second. Different, and marked: p below 5 %, adjusted "
            f"by Holm over all pairs and amounts, {given(1)}."
        ),
    )
    met = [crossing for one in differences for crossing in crossings(one)]
    entries = [(f"{one.after} overtakes {one.before}", where(one)) for one in met]
    none = "No model is found to be behind at one amount and ahead at a larger one."
    return [ahead, Facts("Where one overtakes another", entries) if entries else Note(none)]


def lead(difference: float | None) -> str:
    return MISSING if difference is None else points(difference)


def where(one: Crossing[Any]) -> str:
    return (
        f"at about {amount(one.images_per_class)} images per class: found to be worse at {amount(one.low)}, "
        f"better at {amount(one.high)}"
    )


def depths(studies: Sequence[Measured], suffix: str) -> list[Any]:
    """Accuracy at every freeze depth that was tried, by amount, of those models that tried several."""
    several = [study for study in studies if len(study.by_depth) > 1]
    if not several:
        return []
    tried = sorted({depth for study in several for depth in study.by_depth})
    rows: list[dict[str, Any]] = []
    for study in several:
        for n in sorted({n for answers in study.by_depth.values() for n in answers}):
            means = {depth: float(answers[n].mean()) for depth, answers in study.by_depth.items() if n in answers}
            best = max(means, key=lambda depth: means[depth])
            shares = {f"depth_{depth}": mean for depth, mean in means.items()}
            rows.append({"label": study.name, "images_per_class": n, "best": best, **shares})
    table = Table(
        f"requirements-depths{suffix}",
        "Accuracy by freeze depth",
        [
            Column("label", "Model"),
            Column("images_per_class", "Images per class", amount, "number"),
            *(
                Column(
                    *(f"depth_{depth}", f"{depth} frozen", percent, "number"),
                    frozenset(i for i, row in enumerate(rows) if row["best"] == depth),
                )
                for depth in tried
            ),
            Column("best", "Best", kind="number"),
        ],
        rows,
        caption="Means over runs, all at the winner’s learning rate and weight decay. Marked: the best at that amount.",
    )
    entries = [
        (f"{study.name}: depth {one.after} overtakes depth {one.before}", where(one))
        for study in several
        for one in crossings(compared(study.by_depth))
    ]
    return [table, *([Facts("Where one freeze depth overtakes another", entries)] if entries else [])]
