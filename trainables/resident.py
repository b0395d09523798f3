"""What lies on a GPU from run to run: splits at some boundary, whose images and labels no later run copies again.

They take a quarter of what the process may take at most. A run holds what it reads; what earlier runs have left there
makes room, the least recently used first, and all of it where a batch would not fit otherwise: so what a run has on
the device, and how it divides its batches, does not depend on the runs before it.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from trainables.memory import PeakMemory, release, resident_budget

if TYPE_CHECKING:
    from trainables.batches import CachedSplit


@dataclass
class Residents:
    """The splits that lie on this process's device, by key, the least recently used first.

    Attributes:
        held: the keys of those that the run of the moment reads.
    """

    splits: dict[Hashable, "CachedSplit"] = field(default_factory=dict)
    held: set[Hashable] = field(default_factory=set)

    @property
    def nbytes(self) -> int:
        return sum(split.nbytes for split in self.splits.values())

    def bring(self, key: Hashable, split: "CachedSplit", device: torch.device, peak: PeakMemory) -> "CachedSplit":
        """The split with its batches on the device, and its images too where there is room for them.

        Args:
            key: of all that is in the split, and how it is read.
            peak: is told of what becomes resident, and of what does no longer.
        """
        if split.images.device == device:
            return split.with_batches_on(device)
        if key in self.splits:
            kept = self.splits[key] = self.splits.pop(key)  # used last
            if key not in self.held:
                peak.take_over(kept.nbytes)
        else:
            if not self._make_room(split.nbytes, resident_budget(device), peak):
                return split.with_batches_on(device)
            peak.settle()
            with torch.inference_mode(False):  # it may outlive a prediction, whose tensors nobody trains on
                kept = split.to(device)
            if kept.images.device != device:  # there was none after all
                return kept
            self.splits[key] = kept
            peak.hold(kept.nbytes)
        self.held.add(key)
        return kept

    def _make_room(self, size: int, budget: float, peak: PeakMemory) -> bool:
        """Whether so many bytes more find place beside what the run holds; then they do."""
        if size + sum(self.splits[key].nbytes for key in self.held) > budget:
            return False
        for key in [key for key in self.splits if key not in self.held]:
            if self.nbytes + size <= budget:
                break
            self._drop(key, peak)
        return True

    def leave(self, peak: PeakMemory) -> bool:
        """Gives back what the run does not read; whether there was anything."""
        others = self.splits.keys() - self.held
        for key in others:
            self._drop(key, peak)
        if others:
            release()
        return bool(others)

    def _drop(self, key: Hashable, peak: PeakMemory) -> None:
        size = self.splits[key].nbytes
        peak.settle()
        del self.splits[key]
        peak.leave(size)

    def let_go(self) -> None:
        """The run has ended: what it held is there for the next one, or makes room."""
        self.held.clear()

    def clear(self) -> None:
        self.splits.clear()
        self.held.clear()
