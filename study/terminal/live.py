"""The part of a terminal that is drawn again and again, below the lines that stay."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.control import Control
from rich.live import Live
from rich.live_render import LiveRender
from rich.segment import Segment

from study.terminal.supervisor import tell

A_SECOND = 2  # times that it is drawn: each costs some milliseconds of a core that trains


@contextmanager
def drawn(console: Console, what: RenderableType) -> Iterator[None]:
    """Inside, `what` is drawn below all that is printed; what is written to standard output and errors goes above."""
    live = Live(
        console=console,
        get_renderable=lambda: what,
        refresh_per_second=A_SECOND,
        transient=True,
        redirect_stderr=sys.stderr.isatty(),
    )
    live._live_render = Redrawn(live.get_renderable(), console)
    try:
        with live:
            live.refresh()
            yield
    finally:
        tell(drawn=0)


class Redrawn(LiveRender):
    """Finds its own lines again after the terminal has become narrower, which then breaks each into several."""

    def __init__(self, renderable: RenderableType, console: Console) -> None:
        super().__init__(renderable)
        self._console = console
        self._widths: list[int] = []
        self._told = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments = list(super().__rich_console__(console, options))
        lines = Segment.split_lines(one for one in segments if isinstance(one, Segment))
        self._widths = [cell_len("".join(part.text for part in line).rstrip()) for line in lines]
        if len(self._widths) != self._told:  # if this process is killed, the other one removes them
            self._told = len(self._widths)
            tell(drawn=self._told)
        yield from segments

    def position_cursor(self) -> Control:
        self._broken()
        return super().position_cursor()

    def restore_cursor(self) -> Control:
        self._broken()
        return super().restore_cursor()

    def _broken(self) -> None:
        """Counts the rows that the lines take at the width that the terminal has now."""
        if self._shape is not None and self._widths:
            width, _ = self._shape
            now = max(self._console.width, 1)
            self._shape = width, sum(max(-(-one // now), 1) for one in self._widths)
