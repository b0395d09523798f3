"""What a budget of wall clock left out, in words."""

from study.design.states import Phase
from study.results.record import Record
from study.text import duration, joined, plural

ONE = {Phase.SEARCH: "trial", Phase.REPLICATE: "replicate", Phase.TEST: "test run"}


def by_time(record: Record) -> str:
    """`20 trials, 3 replicates and the tests of the starting point`; nothing where all was done."""
    if record.study.budget is None:
        return ""
    out = record.study.budget.left_out
    parts = [plural(out[phase], one) for phase, one in ONE.items() if phase in out]
    return joined([*parts, *["the tests of the starting point"] * (Phase.START in out)])


def sentence(record: Record) -> str:
    """`0.5 h of wall clock, of which 29 min 12 s were used; left out: 20 trials`; nothing without a budget."""
    budget = record.study.budget
    if budget is None:
        return ""
    used = f"{budget.hours:g} h of wall clock, of which {duration(budget.seconds)} were used"
    over = budget.seconds - 3600 * budget.hours
    if over > 0:
        used = f"{budget.hours:g} h of wall clock, and {duration(over)} more than that: what a result takes at least"
    out = by_time(record)
    return f"{used}; left out: {out}" if out else used
