"""What a library would import here and nobody needs: timm takes W&B along, and Ray Tune looks for its own use of it.

That is a second in every process, and two temporary folders that stay when it is killed.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

# a package, and the modules that are told that it is not installed
UNWANTED = {"wandb": {"timm.utils.summary", "ray.air.integrations.wandb"}}


class Absent:
    """Finds nothing, and says so to those who need not have it; for everybody else the next one looks."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in UNWANTED:
            frame = sys._getframe(1)
            while frame and frame.f_globals.get("__name__", "").startswith("importlib"):
                frame = frame.f_back  # type: ignore[assignment]
            if frame and (asks := frame.f_globals.get("__name__")) in UNWANTED[name]:
                raise ModuleNotFoundError(f"{asks} does without {name}", name=name)
        return None


def leave_out() -> None:
    if Absent not in sys.meta_path:
        sys.meta_path.insert(0, Absent)
