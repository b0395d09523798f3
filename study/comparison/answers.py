"""What the evidence says, in sentences: pure functions from groups of rows to text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from study.comparison import equal_compute
from study.comparison.gains import Gains, gains
from study.comparison.groups import Group
from study.comparison.rows import UNKNOWN, Row
from study.statistics import Contrast, Difference, Interval, given
from study.statistics.comparison import to_be_found
from study.text import FROM_SCRATCH, joined, sentence, shorten

MOST_NAMED = 6


@dataclass(frozen=True)
class Question:
    question: str
    answer: str


def questions(groups: Sequence[Group]) -> tuple[Question, ...]:
    """What a reader asks, answered for every dataset; a question that the rows cannot answer is left out."""
    candidates = (
        ("Which is the most accurate?", [best(group) for group in groups]),
        ("And at equal compute, not equal trials?", [equal_compute.words(group) for group in groups]),
        ("Attention, convolution or both?", [families(group) for group in groups]),
        ("What does the pretraining change?", [pretraining(group) for group in groups]),
        (
            "Which model gains the most from pretraining?",
            [who_gains(group, found) for group, found in zip(groups, gains(groups), strict=True)],
        ),
    )
    answered = [(question, " ".join(filter(None, each))) for question, each in candidates]
    return tuple(Question(question, conditional(text, groups)) for question, text in answered if text)


def answer(groups: Sequence[Group]) -> str:
    """Which row is the most accurate, in two sentences."""
    if len(groups) == 1:
        return conditional(best(groups[0]), groups)
    if all(len(group.rows) == 1 for group in groups):
        titles = shortly([group.title for group in groups])
        return f"There is one row on each of {titles}. No two rows answered the same test images: nothing is compared."
    return conditional(over_datasets(groups), groups)


def conditional(text: str, groups: Sequence[Group]) -> str:
    """The text behind what it is conditional on: `Given this search, split and draw, no row is first on ...`."""
    first, _, rest = text.partition(" ")
    begin = first.lower() if first in {"On", "No", "The"} else first
    return f"{sentence(given(min(group.repeats for group in groups)))}, {begin} {rest}"


# On one dataset


def best(group: Group) -> str:
    """Who ranks first, and what those who do beat."""
    first = group.rows[0]
    if len(group.rows) == 1:
        return f"{first.label} is the only row on {group.title}: {share(first)}. There is nothing to compare it with."
    if group.not_paired:
        return f"On {group.title} the highest accuracy is that of {first.label}, {share(first)}. {group.not_paired}."
    ahead = leaders(group)
    if len(ahead) == 1:
        place = "ranks first alone" if group.beats_all(first) else "is the most accurate"
        start = f"{first.label} {place} on {group.title}: {share(first)}."
    else:
        start = f"{listed(ahead)} are not distinguishable on {group.title}: {apart(group, ahead)}."
    return " ".join([start, *([sentence(rest) + "."] if (rest := what_they_beat(group, ahead)) else [])])


def leaders(group: Group) -> list[Row]:
    """The rows that none is found to be better than."""
    return [row for row in group.rows if group.ranks[row.name] == 1]


def apart(group: Group, ahead: Sequence[Row]) -> str:
    """How far apart those are that are not told apart, and why they are not where that is not plain."""
    difference = group.between(ahead[0], ahead[-1])
    words = f"{ahead[0].label} is {points(difference)} above {ahead[-1].label}"
    if single := [row.label for row in ahead if len(row.seeds) == 1]:
        return f"{words}, but with one seed ({shorten(single)}) two runs are compared, not two recipes"
    if difference.interval.low > 0:
        words += f", which is no evidence among {difference.among} pairs (p = {difference.p_adjusted:.2f})"
    if (equal := group.equivalences.get((ahead[0].name, ahead[-1].name))) and equal.verdict == "equal":
        return f"{words}; they are equal within {100 * equal.margin:g} points ({equal.equal:.0%})"
    return f"{words}; {could_have_been_found(difference.smallest)}" if difference.smallest else words


def could_have_been_found(smallest: float) -> str:
    """`1.4 points could have been found`; accuracies cannot differ by more than 100."""
    if (points := to_be_found(smallest)) == "none":
        return "no difference could have been found with so few repeats or seeds"
    return f"{points} points could have been found"


def what_they_beat(group: Group, ahead: Sequence[Row]) -> str:
    """`both beat C by 2.1 points [1.0, 3.2]`, and who of the others is not beaten by all of them."""
    subject, beat = {1: ("it", "beats"), 2: ("both", "beat")}.get(len(ahead), ("all of them", "beat"))
    others = [row for row in group.rows if row not in ahead]
    beaten = [other for other in others if all(group.beats(row, other) for row in ahead)]
    partly = [other for other in others if other not in beaten]
    clauses = []
    if beaten:
        least = min(
            (group.between(row, other) for row in ahead for other in beaten), key=lambda difference: difference.mean
        )
        more = " or more" if len(ahead) * len(beaten) > 1 else ""
        clauses.append(f"{subject} {beat} {listed(beaten)} by {points(least)}{more}")
    if len(ahead) == 1 and partly:
        clauses.append(
            f"{'' if beaten else 'it '}is not distinguishable from {listed(partly)}{findable(group, ahead, partly)}"
        )
    elif len(partly) == 1:
        clauses.append(one_by_one(group, ahead, partly[0]))
    elif partly:
        clauses.append(f"{listed(partly)} are each behind some row, but not behind all of these")
    return ", but ".join(clauses)


def one_by_one(group: Group, ahead: Sequence[Row], other: Row) -> str:
    """`A beats B by 3.0 points [1.0, 5.0], C is not distinguishable from B`"""
    winners = [row for row in ahead if group.beats(row, other)]
    if not winners:
        return f"{other.label} is behind other rows only"
    least = min((group.between(row, other) for row in winners), key=lambda difference: difference.mean)
    rest = [row for row in ahead if row not in winners]
    return (
        f"{listed(winners)} {'beats' if len(winners) == 1 else 'beat'} {other.label} by {points(least)}"
        f"{' or more' if len(winners) > 1 else ''}, while {listed(rest)} {'is' if len(rest) == 1 else 'are'} not "
        f"distinguishable from it{findable(group, rest, [other])}"
    )


def findable(group: Group, some: Sequence[Row], others: Sequence[Row]) -> str:
    """` (1.4 points could have been found)`: between any of some rows and others; empty where nothing could."""
    names = [(a.name, b.name) for one in some for other in others for a, b in ((one, other), (other, one))]
    known = [found.smallest for pair in names if (found := group.differences.get(pair)) and found.smallest is not None]
    return f" ({could_have_been_found(max(known))})" if known else ""


def families(group: Group) -> str:
    """Which of convolution, attention and both at once are not beaten among models of one pretraining."""
    sentences = []
    for name in dict.fromkeys(row.pretraining for row in group.rows):
        rows = [row for row in group.rows if row.pretraining == name]
        if len({row.family for row in rows} - {UNKNOWN}) < 2 or group.not_paired:
            continue
        first = [row for row in rows if not any(group.beats(other, row) for other in rows)]
        ahead = by_family(first)
        behind = by_family(row for row in rows if row.family not in ahead)
        are = "is" if len(behind) == 1 else "are"
        where = f"On {group.title} {weights(name)}"
        others = [row for each in behind.values() for row in each]
        if len(ahead) == 1 and any(all(group.beats(row, other) for other in others) for row in first):
            sentences.append(f"{where}, {described(ahead)} ranks first alone; {described(behind)} {are} behind it.")
        elif behind:
            unbeaten = "is not beaten" if len(ahead) == 1 else "are not beaten"
            sentences.append(f"{where}, {described(ahead)} {unbeaten}; {described(behind)} {are} behind some row.")
        else:
            sentences.append(f"{where}, no family is ahead: none of {described(ahead)} is beaten.")
    return " ".join(sentences)


def weights(pretraining: str) -> str:
    return FROM_SCRATCH if pretraining == "none" else f"with {pretraining} weights"


def by_family(rows: Iterable[Row]) -> dict[str, list[Row]]:
    families: dict[str, list[Row]] = {}
    for row in rows:
        families.setdefault(row.family, []).append(row)
    return families


def described(families: dict[str, list[Row]]) -> str:
    words = {"hybrid": "both at once", UNKNOWN: "of unknown family"}
    each = [
        f"{words.get(name, name)} ({', '.join(dict.fromkeys(row.title for row in rows))})"
        for name, rows in families.items()
    ]
    return joined(each)


def pretraining(group: Group) -> str:
    """For every model with several pretrainings, whether one of them is better."""
    if group.not_paired:
        return ""
    sentences = []
    for model in dict.fromkeys(row.model for row in group.rows):
        rows = [row for row in group.rows if row.model == model]
        pairs = [(a, b) for a, b in combinations(rows, 2) if a.pretraining != b.pretraining]
        sure = [(a, b) for a, b in pairs if group.between(a, b).different]
        sentences += [f"On {group.title} {a.label} beats {b.label} by {points(group.between(a, b))}." for a, b in sure]
        if pairs and not sure:
            alike = [row for row in rows if any(row in pair for pair in pairs)]
            sentences.append(f"{listed(alike)} are not distinguishable on {group.title}: {apart(group, alike)}.")
        else:
            sentences += [
                f"{a.label} and {b.label} are not distinguishable{findable(group, [a], [b])}."
                for a, b in pairs
                if (a, b) not in sure
            ]
    return " ".join(sentences)


def who_gains(group: Group, found: Sequence[Gains]) -> str:
    """For any two pretrainings that several models share, who gains the most, and more than whom."""
    return " ".join(gained(group, gain) for gain in found)


def gained(group: Group, gain: Gains) -> str:
    first, *others = gain.each
    words = (
        f"On {group.title}, from {weights_or_none(gain.before)} to {weights_or_none(gain.after)}, {first} gains the "
        f"most, {points(gain.each[first])}"
    )
    less = [name for name in others if gain.more[first, name].different]
    rest = [name for name in others if name not in less]
    if less:
        least = min((gain.more[first, name] for name in less), key=lambda one: one.mean)
        words += f": more than {shortly(less)} by {points(least)}{' or more' if len(less) > 1 else ''}"
    if rest:
        each = shortly([f"{name} ({points(gain.each[name])})" for name in rest])
        words += f"{', but' if less else ', which'} is not found to be more than that of {each}"
    return f"{words}."


def weights_or_none(pretraining: str) -> str:
    return "no pretraining" if pretraining == "none" else pretraining


# Over datasets


def over_datasets(groups: Sequence[Group]) -> str:
    """Whether one row leads everywhere, and whether any two are found in opposite order."""
    ahead = {group.title: [row.label for row in leaders_or_first(group)] for group in groups}
    everywhere = [label for label in next(iter(ahead.values())) if all(label in others for others in ahead.values())]
    titles = shortly(list(ahead))
    if everywhere:
        alone = all(group.ranks and group.beats_all(group.rows[0]) for group in groups)
        if alone:
            first = f"{joined(everywhere)} ranks first alone on {titles}"
        else:
            first = f"{joined(everywhere)} {'is' if len(everywhere) == 1 else 'are'} unbeaten on {titles}"
    else:
        each = [f"on {title} {shortly(labels)}" for title, labels in ahead.items()]
        more = f"; and {len(each) - MOST_NAMED} more" if len(each) > MOST_NAMED else ""
        first = f"No row is unbeaten on all of {titles}; unbeaten are {'; '.join(each[:MOST_NAMED])}{more}"
    return f"{first}. {reversals(groups)}"


def leaders_or_first(group: Group) -> list[Row]:
    return leaders(group) if group.ranks else [group.rows[0]]


def reversals(groups: Sequence[Group]) -> str:
    """Pairs that differ one way on a dataset and the other way on another."""
    found: dict[tuple[str, str], tuple[Group, Difference]] = {}
    for group in groups:
        for (better, worse), difference in group.differences.items():
            if difference.different:
                pair = group.row(better).label, group.row(worse).label
                found.setdefault(pair, (group, difference))
    opposed = [(a, b) for a, b in found if (b, a) in found and a < b]
    if not opposed:
        return "No two rows differ in opposite order on two of them."
    a, b = opposed[0]
    there, back = found[a, b], found[b, a]
    more = f" (and {len(opposed) - 1} more pairs)" if len(opposed) > 1 else ""
    return (
        f"The datasets disagree: {a} beats {b} on {there[0].title} by {points(there[1])}, "
        f"{b} beats {a} on {back[0].title} by {points(back[1])}{more}."
    )


# In words


def share(row: Row) -> str:
    low, high = row.accuracy.interval
    return f"{row.accuracy.mean:.2%} [{low:.2%}, {high:.2%}]"


def points(difference: Contrast) -> str:
    """`2.1 points [1.0, 3.2]`"""
    return f"{100 * difference.mean:.1f} points {in_points(difference.interval)}"


def in_points(interval: Interval) -> str:
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def listed(rows: Sequence[Row]) -> str:
    return shortly([row.label for row in rows])


def shortly(labels: Sequence[str]) -> str:
    return joined(labels) if len(labels) <= MOST_NAMED else shorten(labels)
