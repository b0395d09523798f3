"""What is studied and how it is judged. In Python: `from study import run, compare, probe, select, load_best`."""

import os
import signal
import sys
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any


def leave(number: int, frame: FrameType | None) -> None:
    """Ctrl-C before a command has begun."""
    os.write(2, b"interrupted\n")
    os._exit(128 + number)


if sys.argv[:1] == ["-m"] or os.path.basename(sys.argv[0] if sys.argv else "") == "study":  # this package is a command
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)

from study.cluster import environment  # noqa: E402  (not before Ctrl-C is heeded)

if TYPE_CHECKING:
    from study.api import compare, load_best, probe, run, select

__all__ = ["compare", "load_best", "probe", "run", "select"]

environment.prepare()


class Package(ModuleType):
    """Has functions named as its commands, which are modules: importing one must not put it in the function's place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """The functions, imported when they are asked for: `import study` alone is light."""
        if name in __all__:
            from study import api

            return getattr(api, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


sys.modules[__name__].__class__ = Package
