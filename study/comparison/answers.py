"""What the evidence says, in sentences: pure functions from groups of rows to text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from study.comparison.groups import Group
from study.comparison.rows import FROM_SCRATCH, UNKNOWN, Row
from study.data.listing import some
from study.statistics import Difference, Interval


@dataclass(frozen=True)
class Question:
    question: str
    answer: str


def questions(groups: Sequence[Group]) -> tuple[Question, ...]:
    """What a reader asks, answered for every data set; a question that the rows cannot answer is left out."""
    asked = (
        ("Which is the most accurate?", [best(group) for group in groups]),
        ("Attention, convolution or both?", [families(group) for group in groups]),
        ("What does the pretraining change?", [pretraining(group) for group in groups]),
    )
    return tuple(Question(question, said) for question, each in asked if (said := " ".join(filter(None, each))))


def answer(groups: Sequence[Group]) -> str:
    """Which row is the most accurate, in two sentences."""
    return best(groups[0]) if len(groups) == 1 else over_data_sets(groups)


# On one data set


def best(group: Group) -> str:
    """Who ranks first, and what those who do beat."""
    first = group.rows[0]
    if len(group.rows) == 1:
        return f"{first.label} is the only row on {group.title}: {share(first)}. There is nothing to compare it with."
    if group.not_paired:
        return f"On {group.title} the highest accuracy is that of {first.label}, {share(first)}. {group.not_paired}."
    ahead = leaders(group)
    if len(ahead) == 1:
        return f"{first.label} is ahead on {group.title}: {share(first)}. {sentence(what_they_beat(group, ahead))}."
    said = f"{listed(ahead)} are not distinguishable on {group.title}{why_not(group, ahead)}"
    rest = what_they_beat(group, ahead)
    return f"{said}; {rest}." if rest else f"{said}."


def leaders(group: Group) -> list[Row]:
    """The rows that none is established to be better than."""
    return [row for row in group.rows if group.ranks[row.name] == 1]


def why_not(group: Group, ahead: Sequence[Row]) -> str:
    """How far apart those are whose difference is not established."""
    found = group.between(ahead[0], ahead[-1])
    apart = f": {ahead[0].label} less {ahead[-1].label} is {points(found)}"
    single = [row.label for row in ahead if len(row.seeds) == 1]
    if single:
        return f"{apart}, but with one seed ({some(single)}) two runs are compared, not two recipes"
    return apart


def what_they_beat(group: Group, ahead: Sequence[Row]) -> str:
    """`both beat C by 2.1 points [1.0, 3.2]`; leaders that beat others than their equals do are told apart."""
    others = [row for row in group.rows if row not in ahead]
    if not others:
        return ""
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in ahead:
        beaten = tuple(other.name for other in others if group.beats(row, other))
        alike.setdefault(beaten, []).append(row)
    return "; ".join(
        clause(group, who, [group.row(name) for name in beaten], all_of_them=len(alike) == 1, others=others)
        for beaten, who in alike.items()
    )


def clause(group: Group, who: Sequence[Row], beaten: Sequence[Row], *, all_of_them: bool, others: Sequence[Row]) -> str:
    subject = listed(who)
    if all_of_them:
        subject = {1: "it", 2: "both"}.get(len(who), "all of them")
    if not beaten:
        return f"{subject} {'is' if len(who) == 1 else 'are'} not distinguishable from {listed(others)}"
    found = [group.between(one, other) for one in who for other in beaten]
    least = min(found, key=lambda difference: difference.mean)
    more = " or more" if len(found) > 1 else ""
    said = f"{subject} {'beats' if len(who) == 1 else 'beat'} {listed(beaten)} by {points(least)}{more}"
    if open_ := [row for row in others if row not in beaten]:
        said += f", but {'is' if len(who) == 1 else 'are'} not distinguishable from {listed(open_)}"
    return said


def families(group: Group) -> str:
    """Which of convolution, attention and both at once rank first among models of one pretraining."""
    said = []
    for name in dict.fromkeys(row.pretraining for row in group.rows):
        rows = [row for row in group.rows if row.pretraining == name]
        if len({row.family for row in rows} - {UNKNOWN}) < 2 or group.not_paired:
            continue
        first = [row for row in rows if not any(group.beats(other, row) for other in rows)]
        ahead = by_family(first)
        behind = by_family(row for row in rows if row.family not in ahead)
        where = f"On {group.title} {weights(name)}"
        if len(ahead) == 1:
            said.append(f"{where}, {described(ahead)} ranks first alone; {described(behind)} behind it.")
        elif behind:
            said.append(f"{where}, {described(ahead)} share the first rank; {described(behind)} behind them.")
        else:
            said.append(f"{where}, no family is ahead: {described(ahead)} share the first rank.")
    return " ".join(said)


def weights(pretraining: str) -> str:
    return FROM_SCRATCH if pretraining == "none" else f"with {pretraining} weights"


def by_family(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.family, []).append(row)
    return found


def described(families: dict[str, list[Row]]) -> str:
    words = {"hybrid": "both at once", UNKNOWN: "of unknown family"}
    each = [f"{words.get(name, name)} ({', '.join(row.title for row in rows)})" for name, rows in families.items()]
    return joined(each)


def pretraining(group: Group) -> str:
    """For every model with several pretrainings, whether one of them is better."""
    if group.not_paired:
        return ""
    said = []
    for model in dict.fromkeys(row.model for row in group.rows):
        rows = [row for row in group.rows if row.model == model]
        for better, worse in combinations(rows, 2):
            if better.pretraining == worse.pretraining:
                continue
            found = group.between(better, worse)
            told = "beats" if found.established else "is not distinguishable from"
            said.append(f"On {group.title} {better.label} {told} {worse.label}: {points(found)}.")
    return " ".join(said)


# Over data sets


def over_data_sets(groups: Sequence[Group]) -> str:
    """Whether one row leads everywhere, and whether any two are established in opposite order."""
    ahead = {group.title: [row.label for row in leaders_or_first(group)] for group in groups}
    everywhere = [label for label in next(iter(ahead.values())) if all(label in others for others in ahead.values())]
    titles = joined(list(ahead))
    if everywhere:
        alone = all(len(labels) == 1 for labels in ahead.values())
        verb = "is" if len(everywhere) == 1 else "are"
        first = f"{joined(everywhere)} {verb} {'ahead' if alone else 'among the first'} on {titles}"
        if not alone and len(everywhere) == 1:
            first += ", beaten nowhere"
    else:
        each = "; ".join(f"on {title} {shortly(labels)}" for title, labels in ahead.items())
        first = f"No row is first on all of {titles}: {each}"
    return f"{first}. {reversals(groups)}"


def leaders_or_first(group: Group) -> list[Row]:
    return leaders(group) if group.ranks else [group.rows[0]]


def reversals(groups: Sequence[Group]) -> str:
    """Pairs that are established one way on a data set and the other way on another."""
    found: dict[tuple[str, str], tuple[Group, Difference]] = {}
    for group in groups:
        for (better, worse), difference in group.differences.items():
            if difference.established:
                pair = group.row(better).label, group.row(worse).label
                found.setdefault(pair, (group, difference))
    opposed = [(a, b) for a, b in found if (b, a) in found and a < b]
    if not opposed:
        return "No two rows are established in opposite order on two of them."
    a, b = opposed[0]
    there, back = found[a, b], found[b, a]
    more = f" (and {len(opposed) - 1} more pairs)" if len(opposed) > 1 else ""
    return (
        f"The data sets disagree: {a} beats {b} on {there[0].title} by {points(there[1])}, "
        f"{b} beats {a} on {back[0].title} by {points(back[1])}{more}."
    )


# In words


def share(row: Row) -> str:
    low, high = row.accuracy.interval
    return f"{row.accuracy.mean:.2%} [{low:.2%}, {high:.2%}]"


def points(difference: Difference) -> str:
    """`2.1 points [1.0, 3.2]`"""
    return f"{100 * difference.mean:.1f} points {in_points(difference.interval)}"


def in_points(interval: Interval) -> str:
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def listed(rows: Sequence[Row]) -> str:
    return shortly([row.label for row in rows])


def shortly(labels: Sequence[str]) -> str:
    return joined(labels) if len(labels) <= 6 else some(labels)


def joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
