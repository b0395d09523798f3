"""Several studies side by side: pure functions from their records to a `Comparison`.

`compare(folders)` reads the records and nothing else: it trains nothing, prints nothing and writes nothing.
"""

from study.comparison.answers import Question
from study.comparison.comparison import Comparison, compare
from study.comparison.groups import Group
from study.comparison.rows import Row, Score

__all__ = ["Comparison", "Group", "Question", "Row", "Score", "compare"]
