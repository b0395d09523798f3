"""What some studies' data efficiency says, each sentence from the runs that it is about."""

from collections.abc import Mapping, Sequence
from typing import Any

from study.results.data_efficiency import Measured, alike
from study.statistics import Crossing, Difference, compared, crossings, curve, given, images_needed
from study.statistics.data_efficiency import Compared
from study.text import amount, joined, plural

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def summary(studies: Sequence[Measured]) -> str:
    """Every curve, and what can be said of them."""
    blocks = [block for study in studies for block in (*tables(study), depths(study), failures(study))]
    blocks += [needs(studies), *comparisons(studies)]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def tables(study: Measured) -> list[list[str]]:
    """A table per freeze depth, a line per amount."""
    found = []
    for depth, answers in study.by_depth.items():
        rows = {row["images"] / study.classes: row for row in study.completed if row["freeze_depth"] == depth}
        points = curve(answers)
        whose = ", the winner's" if depth == study.winners_depth else ""
        lines = [f"{study.name}, freeze depth {depth} of {study.depths}{whose}: test accuracy by images per class"]
        for n, accuracy, low, high, runs in points.points():
            lines.append(
                f"  {amount(n):>6}  {accuracy:7.2%}  95 % band {low:.2%} to {high:.2%}"
                f"  ({plural(runs, 'run')} of {plural(rows[n]['epochs'], 'epoch')}"
                f"{'' if rows[n]['images_per_class'] else ', all of train'})"
            )
        if (points.runs == 1).any():
            lines.append("  the band of a single run covers the test images, not draws and seeds")
        found.append(lines)
    return found


def depths(study: Measured) -> list[str]:
    """The best freeze depth at every amount that has several, and where one depth overtakes another."""
    by_depth = study.by_depth
    differences = compared(by_depth)
    lines = []
    for n in sorted({n for _, _, n in differences}):
        means = {depth: answers[n].mean() for depth, answers in by_depth.items() if n in answers}
        best = max(means, key=lambda depth: (means[depth], depth))
        equal = [str(depth) for depth in means if depth != best and not is_better(differences, best, depth, n)]
        but = f"; {joined(equal)} {'is' if len(equal) == 1 else 'are'} not found to be worse" if equal else ""
        lines.append(f"  {amount(n):>6}  freeze depth {best} has the best mean, {means[best]:.2%}{but}")
    lines += [f"  freeze depth {overtaking(one)}" for one in crossings(differences)]
    return [f"{study.name}: the best freeze depth, all at the winner's learning rate", *lines] if lines else []


def is_better(differences: Compared[int], a: int, b: int, n: float) -> bool:
    """Whether depth a is found to be better than depth b."""
    one = differences[min(a, b), max(a, b), n]
    return one.different and (one.mean > 0) == (a < b)


def overtaking(one: Crossing[Any]) -> str:
    return (
        f"{one.after} overtakes {one.before} at about {amount(one.images_per_class)} images per class "
        f"(found to be worse at {amount(one.low)}, better at {amount(one.high)})"
    )


def failures(study: Measured) -> list[str]:
    if not study.failed:
        return []
    reasons = "; ".join(sorted({row["reason"] for row in study.failed}))
    return [f"{study.name}: {plural(len(study.failed), 'run')} failed: {reasons}"]


def needs(studies: Sequence[Measured]) -> list[str]:
    """Images per class for round accuracies, of each study at its winner's freeze depth."""
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
                    f"  {study.name} reaches {level:.0%} with {amount(need.images_per_class)} images per class "
                    f"(by its band {amount(need.fewest or need.images_per_class)} "
                    f"{'or more' if need.most is None else f'to {amount(need.most)}'})"
                )
        best = points.accuracy.max()
        if never := [level for level in LEVELS if images_needed(points, level).images_per_class is None]:
            lines.append(f"  {study.name} does not stay at {never[0]:.0%} with these images; its best is {best:.2%}")
    return ["Images per class, at the winner's freeze depth", *lines] if lines else []


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
            found.append([f"Compared, p adjusted by Holm over all pairs and amounts, {given(1)}", *lines])
    return found


def ordering(a: str, b: str, differences: Mapping[float, Difference]) -> list[str]:
    """Where one of a pair is found to be better."""
    lines = []
    for better, worse, sign in ((a, b, 1), (b, a, -1)):
        where = [amount(n) for n, one in differences.items() if one.different and one.mean * sign > 0]
        if where:
            lines.append(f"  {better} is better than {worse} at {joined(where)} images per class")
    if not lines:
        at = joined([amount(n) for n in differences])
        return [f"  {a} and {b}: no difference is found at {at} images per class"]
    return lines
