"""What the data requirements of some studies say, each sentence from the runs that it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from study.results.record import Record, Row
from study.statistics import Crossing, Curve, Difference, compared, crossings, curve, images_needed
from study.statistics.data_efficiency import Answers, Compared
from study.text import joined, plural

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True)
class Measured:
    """What one study's table holds.

    Attributes:
        images: what tells its images and splits from those of other studies.
        depths: number of stages that can be frozen.
        completed, failed: rows of `requirements.parquet`.
    """

    name: str
    images: str
    classes: int
    winners_depth: int
    depths: int
    completed: Sequence[Row]
    failed: Sequence[Row]

    @classmethod
    def of(cls, record: Record, rows: Sequence[Row]) -> Self:
        facts = record.study
        completed = [row for row in rows if row["status"] == "completed"]
        return cls(
            name=facts["study"]["name"],
            images=facts["data"]["fingerprint"],
            classes=len(facts["data"]["classes"]),
            winners_depth=facts["winner"]["freeze_depth"],
            depths=len(facts["model"]["stage_names"]) - 1,
            completed=completed,
            failed=[row for row in rows if row["status"] != "completed"],
        )

    def answers(self, freeze_depth: int) -> Answers:
        """By images a class, the mean one where classes differ."""
        rows = [row for row in self.completed if row["freeze_depth"] == freeze_depth]
        by_amount: dict[float, list[list[bool]]] = {}
        for row in sorted(rows, key=lambda row: (row["images"], row["seed"])):
            by_amount.setdefault(row["images"] / self.classes, []).append(row["correct"])
        return {n: np.array(correct) for n, correct in by_amount.items()}

    @property
    def by_depth(self) -> dict[int, Answers]:
        return {depth: self.answers(depth) for depth in sorted({row["freeze_depth"] for row in self.completed})}

    @property
    def winners(self) -> Answers:
        """At the winner's freeze depth; empty where that was not tried."""
        return self.answers(self.winners_depth)


def alike(studies: Sequence[Measured]) -> list[dict[str, Answers]]:
    """What may be compared: studies of the same images, by name, at their winners' freeze depths."""
    return [
        {study.name: study.winners for study in studies if study.images == images}
        for images in dict.fromkeys(study.images for study in studies)
    ]


def summary(studies: Sequence[Measured]) -> str:
    """Every curve, and what can be said of them."""
    blocks = [block for study in studies for block in (*tables(study), depths(study), failures(study))]
    blocks += [needs(studies), *comparisons(studies)]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def tables(study: Measured) -> list[list[str]]:
    """A table a freeze depth: a line an amount."""
    found = []
    for depth, answers in study.by_depth.items():
        rows = {row["images"] / study.classes: row for row in study.completed if row["freeze_depth"] == depth}
        points = curve(answers)
        whose = ", the winner's" if depth == study.winners_depth else ""
        lines = [f"{study.name}, freeze depth {depth} of {study.depths}{whose}: test accuracy by images a class"]
        for n, accuracy, low, high, runs in by_point(points):
            lines.append(
                f"  {shown(n):>6}  {accuracy:7.2%}  95 % band {low:.2%} to {high:.2%}"
                f"  ({plural(runs, 'run')} of {plural(rows[n]['epochs'], 'epoch')}"
                f"{'' if rows[n]['images_per_class'] else ', all of train'})"
            )
        if (points.runs == 1).any():
            lines.append("  the band of a single run covers the test images, not draws and seeds")
        found.append(lines)
    return found


def by_point(points: Curve) -> list[tuple[float, float, float, float, int]]:
    columns = (points.images_per_class, points.accuracy, points.low, points.high, points.runs)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def depths(study: Measured) -> list[str]:
    """The best freeze depth at every amount that has several, and where one depth overtakes another."""
    by_depth = study.by_depth
    differences = compared(by_depth)
    lines = []
    for n in sorted({n for _, _, n in differences}):
        means = {depth: answers[n].mean() for depth, answers in by_depth.items() if n in answers}
        best = max(means, key=lambda depth: (means[depth], depth))
        equal = [str(depth) for depth in means if depth != best and not is_better(differences, best, depth, n)]
        but = f"; {joined(equal)} {'is' if len(equal) == 1 else 'are'} not established to be worse" if equal else ""
        lines.append(f"  {shown(n):>6}  freeze depth {best} has the best mean, {means[best]:.2%}{but}")
    lines += [f"  freeze depth {overtaking(one)}" for one in crossings(differences)]
    return [f"{study.name}: the best freeze depth, all at the winner's learning rate", *lines] if lines else []


def is_better(differences: Compared[int], a: int, b: int, n: float) -> bool:
    """Whether depth a is established to be better than depth b."""
    one = differences[min(a, b), max(a, b), n]
    return one.established and (one.mean > 0) == (a < b)


def overtaking(one: Crossing[Any]) -> str:
    return (
        f"{one.after} overtakes {one.before} at about {shown(one.images_per_class)} images a class "
        f"(established to be worse at {shown(one.low)}, better at {shown(one.high)})"
    )


def failures(study: Measured) -> list[str]:
    if not study.failed:
        return []
    reasons = "; ".join(sorted({row["reason"] for row in study.failed}))
    return [f"{study.name}: {plural(len(study.failed), 'run')} failed: {reasons}"]


def needs(studies: Sequence[Measured]) -> list[str]:
    """Images a class for round accuracies, of each study at its winner's freeze depth."""
    lines = []
    for study in studies:
        answers = study.winners
        if len(answers) < 2:
            continue
        points = curve(answers)
        for level in LEVELS:
            need = images_needed(points, level)
            if need.images_per_class is not None and need.images_per_class > points.images_per_class[0]:
                lines.append(
                    f"  {study.name} reaches {level:.0%} with {shown(need.images_per_class)} images a class "
                    f"(by its band {shown(need.fewest or need.images_per_class)} "
                    f"{'or more' if need.most is None else f'to {shown(need.most)}'})"
                )
        best = points.accuracy.max()
        if never := [level for level in LEVELS if images_needed(points, level).images_per_class is None]:
            lines.append(f"  {study.name} does not stay at {never[0]:.0%} with these images; its best is {best:.2%}")
    return ["Images a class, at the winner's freeze depth", *lines] if lines else []


def comparisons(studies: Sequence[Measured]) -> list[list[str]]:
    """Of studies of the same images, at their winners' freeze depths: which is better where, and the crossings."""
    found = []
    for group in alike(studies):
        differences = compared(group)
        lines = [
            sentence
            for a, b in dict.fromkeys((a, b) for a, b, _ in differences)
            for sentence in ordering(a, b, {n: one for (x, y, n), one in differences.items() if (x, y) == (a, b)})
        ]
        lines += [f"  {overtaking(one)}" for one in crossings(differences)]
        if lines:
            found.append(["Compared, p adjusted by Holm over all pairs and amounts", *lines])
    return found


def ordering(a: str, b: str, differences: Mapping[float, Difference]) -> list[str]:
    """Where one of a pair is established to be better."""
    lines = []
    for better, worse, sign in ((a, b, 1), (b, a, -1)):
        where = [shown(n) for n, one in differences.items() if one.established and one.mean * sign > 0]
        if where:
            lines.append(f"  {better} is better than {worse} at {joined(where)} images a class")
    if not lines:
        at = joined([shown(n) for n in differences])
        return [f"  {a} and {b}: no difference is established at {at} images a class"]
    return lines


def shown(images_per_class: float) -> str:
    """`1`, `7.43`, `108`."""
    return f"{images_per_class:.0f}" if images_per_class >= 10 else f"{images_per_class:.3g}"
