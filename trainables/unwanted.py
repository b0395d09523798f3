"""What a library would import here and nobody needs: timm takes W&B along wherever it is imported.

That is a second in every process that trains, and two temporary folders that stay when it is killed.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

UNWANTED = {"wandb": "timm.utils.summary"}  # a package, and the module that is told that it is not installed


class Absent:
    """Finds nothing, and says so to those who need not have it; for everybody else the next one looks."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in UNWANTED:
            frame = sys._getframe(1)
            while frame and frame.f_globals.get("__name__", "").startswith("importlib"):
                frame = frame.f_back  # type: ignore[assignment]
            if frame and frame.f_globals.get("__name__") == UNWANTED[name]:
                raise ModuleNotFoundError(f"{UNWANTED[name]} does without {name}", name=name)
        return None


def leave_out() -> None:
    if Absent not in sys.meta_path:
        sys.meta_path.insert(0, Absent)
