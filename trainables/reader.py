"""What a run reads: its splits, each at the boundary that costs it least, from the store of the node it runs on."""

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from trainables import monitoring, neighbours, planner, siblings
from trainables.architecture import Preprocessing
from trainables.augmentation import NONE, needs_margin
from trainables.batches import CachedSplit, ConcatSplits, Examples, gather_rows
from trainables.boundaries import Chunk, Entry, Facts, Store
from trainables.decoded import facts_of_images, fits_in_memory, image_bytes, key_of, load_in_memory, open_or_cache
from trainables.device_augmentation import CUTS, MEASURED, ChangedOnDevice, seconds_on_a_cpu
from trainables.images import SplitImages
from trainables.memory import PeakMemory
from trainables.planner import Costs, Plan, plan
from trainables.precision import Precision
from trainables.process import ProcessCache
from trainables.resizing import agrees, resized
from trainables.splits import ImagesKey, SplitDigest
from trainables.stages import StagedModel
from trainables.streaming import Streamed, UnstoredSplit, is_unstored

FILLED_ROWS = 64  # computed before they are written


Split = CachedSplit | UnstoredSplit


class Damaged(RuntimeError):
    """What a run has read cannot be trusted: it must run again."""


@dataclass
class Reader:
    """Opens boundaries for one run, and holds them until it is closed.

    Args:
        split_digests, shard: for each split its content and, where a node does not have its images yet, what brings
            them, as they are or with a margin.
        model, model_key: with its frozen stages as they were before training, and what tells it from other models
            of this process.
        preprocessing: how the images were resized.
        epochs, readers: how often the run reads a split that it trains on, and how many runs are likely to read the
            same: see `planner.plan`.
        store: None computes everything in every run.
        cache: what the process keeps from run to run.
        peak: is told of what becomes resident on the device.
        found: what is to be said of the run.
    """

    split_digests: dict[str, SplitDigest]
    shard: Callable[[ImagesKey], SplitImages]
    model: StagedModel
    model_key: Hashable
    variant: str
    preprocessing: Preprocessing
    precision: Precision
    device: torch.device
    store: Store | None
    cache: ProcessCache
    peak: PeakMemory = field(default_factory=lambda: PeakMemory(torch.device("cpu")))
    mode: str = "on"
    epochs: int = 1
    readers: float = 1
    entries: list[Entry] = field(default_factory=list)
    streams: list[Streamed] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    sources: list["SplitReader"] = field(default_factory=list)
    opened_before: dict[str, int] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    def source(
        self,
        *names: str,
        epochs: int | None = None,
        augmentation: str = NONE,
        seed: int = 0,
        images_for: str | None = None,
    ) -> "SplitReader":
        """The named splits, one after the other, as the loop takes them.

        Args:
            epochs: how often they are read, by default as often as the run trains on a split.
            augmentation, seed: changes every image by a draw that follows from the seed.
            images_for: what the loop itself does to images, if anything, which then come at boundary 0.
        """
        epochs = self.epochs if epochs is None else epochs
        self.sources.append(SplitReader(self, names, epochs, augmentation, seed, images_for))
        return self.sources[-1]

    def read(self, name: str, freeze_depth: int, epochs: int) -> Split:
        """A split at the boundary that is best for the freeze depth."""
        at_hand = self.at_hand(name, freeze_depth)
        if at_hand:
            self.plans.append(Plan(freeze_depth, freeze_depth, "stored, as the images are not"))
            return self.select_examples(name, at_hand)
        images = self.images(name)
        chosen = self.plan(name, images, freeze_depth, epochs)
        split = self.boundary(name, chosen.boundary) if chosen.boundary else images
        if split.boundary < chosen.boundary:
            chosen = Plan(freeze_depth, 0, "the store cannot be used")
        self.plans.append(chosen)
        return self.select_examples(name, split)

    def at_hand(self, name: str, freeze_depth: int) -> Split | None:
        """The boundary at the freeze depth where this node or another has it, and this one not the images.

        Nothing can cost less, and a node that comes late need not fetch images that nobody will look at.
        """
        if not freeze_depth or self.mode == "off" or self.store is None or self.store.has(self.facts(name, 0)):
            return None
        entry = neighbours.open_or_copy(
            self.store,
            self.facts(name, freeze_depth),
            self.split_digests[name].length * image_bytes(self.preprocessing),
        )
        return self.register(entry) if entry else None

    def select_examples(self, name: str, split: Split, *, streamed: bool = False) -> Split:
        """What is read of a split, on the device; what others will stream there stays where it is."""
        chosen = self.split_digests[name].chosen
        examples = split if chosen is None else split.only(torch.from_numpy(chosen))
        if streamed or isinstance(examples, UnstoredSplit):
            return examples.with_batches_on(self.device)
        side = examples.images.shape[-1]  # as they are, as the model takes them, or with a margin
        in_memory = f"{key_of(self.split_digests[name], self.preprocessing)} {side}"
        which = examples.file.parent.name if examples.file else in_memory
        rows = None if chosen is None else sha256(chosen.tobytes()).hexdigest()
        return self.cache.residents.bring((which, rows), examples, self.device, self.peak)

    def plan(self, name: str, images: Split, freeze_depth: int, epochs: int) -> Plan:
        digest = self.split_digests[name]
        limit = self.store.limit if self.store else 0
        existing = [k for k in range(1, freeze_depth + 1) if self.store and self.store.has(self.facts(name, k))]
        mode = self.mode if self.store else "off"
        costs = self.costs(images) if mode == "on" and freeze_depth else Costs((), (), 1.0)
        return plan(
            freeze_depth,
            costs,
            images=len(images) if digest.chosen is None else len(digest.chosen),
            stored=len(images),
            epochs=epochs,
            readers=self.readers,
            existing=existing,
            limit=limit,
            mode=mode,
        )

    def costs(self, images: Split) -> Costs:
        """Measured once per process; what images cost that must be decoded whenever they are read, for each split."""
        sample, seconds = images.images, 0.0
        if isinstance(images, UnstoredSplit):
            rows = min(len(images), planner.rows_to_measure(self.model, self.device))
            sample, seconds = images.images.take(images.places[:rows])
        assert isinstance(sample, Tensor)
        size = self.preprocessing.size, sample.shape[-1]  # of the model's, and of those that it is given
        key = (self.variant, *size, self.precision.name, str(self.device), torch.get_num_threads())
        if key not in self.cache.costs:
            depth = self.model.freeze_depth
            self.cache.costs[key] = planner.measure(self.model, sample, self.precision, self.device)
            self.model.freeze(depth)
        return replace(self.cache.costs[key], decode_seconds=seconds / (os.cpu_count() or 1))

    def changes_on_device(self, augmentation: str, splits: Sequence[Split]) -> bool:
        """Whether a GPU itself changes what it trains on: the images are the same, and CPUs would not keep up.

        They are counted as if all that this run may use did nothing else; and a stage's gradients as two forward
        passes.
        """
        stored = [split for split in splits if isinstance(split, CachedSplit)]
        if self.device.type != "cuda" or augmentation not in CUTS or len(stored) < len(splits):
            return False
        side, depth, last = self.preprocessing.size, self.model.freeze_depth, self.model.backbone_stages
        first = stored[0]
        without_margin = CachedSplit(first.images[..., :side, :side], first.labels, first.index)
        costs = self.costs(without_margin)
        on_device = costs.compute(0, depth) + 3 * costs.compute(depth, last)
        target = self.cut_from(margin=needs_margin(augmentation))
        some = gather_rows(first.images, torch.arange(len(first.images))[:MEASURED])
        seconds = seconds_on_a_cpu(augmentation, resized(some, target) if some.shape[-1] < target.size else some)
        return seconds / torch.get_num_threads() > on_device

    def cut_from(self, *, margin: bool) -> Preprocessing:
        """How images are prepared, with a margin around what the model takes where random crops are cut from it."""
        return self.preprocessing.with_margin if margin else self.preprocessing

    def images(self, name: str, *, margin: bool = False, may_be_small: bool = True) -> Split:
        """Boundary 0 of a split: from the store, or else from Ray Data, through the store or into memory.

        Where neither can hold it, it is read whenever it is asked for.

        Args:
            may_be_small: a GPU may get them as they are, and make them as large as they should be itself.
        """
        preprocessing = self.cut_from(margin=margin)
        if may_be_small and (small := self.small_images(name, preprocessing)) is not None:
            return small
        return self.open_images(ImagesKey(name, margin), preprocessing)

    def small_images(self, name: str, preprocessing: Preprocessing) -> CachedSplit | None:
        """Images as they are, where the device makes them larger, to the bit as this CPU would; None where not."""
        side = self.split_digests[name].side
        if side is None or side >= self.preprocessing.size or not enlarges_images(self.device):
            return None
        split = self.open_images(ImagesKey(name, own=True), preprocessing.of_side(side))
        if not isinstance(split, CachedSplit):
            return None
        key = (side, preprocessing, str(self.device))
        if key not in self.cache.enlarges:
            some = gather_rows(split.images, torch.arange(len(split.images))[:MEASURED])
            self.cache.enlarges[key] = agrees(some, preprocessing, self.device)
        if not self.cache.enlarges[key]:
            self.found.append(f"images of {side} px are made larger by CPUs, for the GPU's would not be the same")
            return None
        self.model.enlarges_to = self.preprocessing
        return split

    def open_images(self, images_key: ImagesKey, preprocessing: Preprocessing) -> Split:
        digest, dataset = self.split_digests[images_key.split], partial(self.shard, images_key)
        key, kept = key_of(digest, preprocessing), self.cache.images
        if self.store and key not in kept:
            entry = open_or_cache(self.store, digest, preprocessing, dataset)
            if entry:
                return self.register(entry)
        if key not in kept:
            for stale in kept.keys() - self.keys():
                del kept[stale]
            if not fits_in_memory(digest.length * image_bytes(preprocessing)):
                return UnstoredSplit.of(dataset())
            kept[key] = load_in_memory(dataset())
        return kept[key]

    def keys(self) -> set[str]:
        """Of all images that the run may read."""
        both = (self.preprocessing, self.preprocessing.with_margin)
        keys = {key_of(digest, preprocessing) for digest in self.split_digests.values() for preprocessing in both}
        small = [(digest, digest.side) for digest in self.split_digests.values() if digest.side is not None]
        return keys | {key_of(digest, self.preprocessing.of_side(side)) for digest, side in small}

    def boundary(self, name: str, k: int) -> Split:
        """Boundary k of a split, stored; filled from the nearest that exists; the images where it cannot be stored."""
        assert self.store
        images = self.images(name)
        size = self.costs(images).boundary_bytes[k]
        facts = self.facts(name, k)
        rows = siblings.copied_or_else(
            self.store, facts, images.index, images.labels.cpu(), lambda missing: self.computed(name, k, missing)
        )
        entry = neighbours.open_or_fill(self.store, facts, len(images), size, rows)
        return self.register(entry) if entry else images

    def register(self, entry: Entry) -> CachedSplit:
        self.entries.append(entry)
        monitoring.tell("study_boundaries_read", 1, model=self.variant)
        return entry.split

    def computed(self, name: str, k: int, missing: np.ndarray) -> Iterator[Chunk]:
        """Boundary k at some positions, computed from the nearest that exists, in order."""
        monitoring.tell("study_boundaries_filled", 1, model=self.variant)
        before = self.nearest(name, k)
        size = max(FILLED_ROWS, self.model.rows_at_once(self.device))
        positions = torch.from_numpy(missing)
        some = before if len(missing) == len(before) else before.only(positions)
        batches = some.with_batches_on(self.device).in_order(size)
        for rows, (batch, _) in zip(positions.split(size), batches, strict=True):
            with torch.inference_mode(), self.precision.autocast():
                out = self.model.frozen(before.boundary, k, batch)
            yield rows.numpy(), before.index[rows], before.labels[rows].numpy(), out

    def nearest(self, name: str, k: int) -> Split:
        """The last stored boundary before k."""
        assert self.store
        for earlier in range(k - 1, 0, -1):
            entry = self.store.open(self.facts(name, earlier))
            if entry:
                return self.register(entry)
        return self.images(name)

    def facts(self, name: str, k: int) -> Facts:
        """Everything that determines boundary k of a split."""
        images = facts_of_images(self.split_digests[name], self.preprocessing)
        if not k:
            return images
        return {
            **images,
            "boundary": k,
            "variant": self.variant,
            "stage": self.model.stage_names[k - 1],
            "weights": self.weights(k),
            "precision": self.precision.name,
            "device": device_fingerprint(self.device, self.model.rows_at_once(self.device)),
        }

    def weights(self, k: int) -> str:
        """A hash of the first k stages, which are frozen and so as they were before training."""
        digests = self.cache.digests.setdefault(self.model_key, {})
        for stage in range(k):
            if stage not in digests:
                assert stage < self.model.freeze_depth
                digests[stage] = self.model.digest(stage)
        return sha256(" ".join(digests[stage] for stage in range(k)).encode()).hexdigest()

    @property
    def line(self) -> str:
        """What was planned for the images that the run trains on."""
        here = "; the GPU makes small images larger" if self.model.enlarges_to else ""
        return f"{self.plans[0]}{here}" if self.plans else ""

    @property
    def bytes_read(self) -> int:
        """Of what the run's batches are taken from, each array once: later epochs find it in memory where it fits."""
        return sum(self.opened.values())

    @property
    def opened(self) -> dict[str, int]:
        """The bytes of each array, by the source that opened it and its freeze depth; of another session too."""
        here = {
            f"{number} at {depth}": rows.nbytes
            for number, source in enumerate(self.sources)
            for depth, rows in source.opened.items()
        }
        return here | self.opened_before

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(self.store.notes if self.store else ()), *self.found]))

    def check(self) -> None:
        """Raises Damaged if a file that the run reads is no longer what was verified when it was opened."""
        for entry in self.entries:
            if not entry.intact:
                raise Damaged(f"{entry.path} was changed while it was read")

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
        for entry in self.entries:
            entry.close()
        self.entries.clear()
        self.cache.residents.let_go()


@dataclass
class SplitReader:
    """Some splits of a run, one after the other, at the boundary that suits a freeze depth."""

    reader: Reader
    names: tuple[str, ...]
    epochs: int
    augmentation: str = NONE
    seed: int = 0
    images_for: str | None = None
    opened: dict[int, Examples] = field(default_factory=dict)

    @property
    def reads_images(self) -> bool:
        """Whatever is frozen."""
        return self.augmentation != NONE or self.images_for is not None

    def at(self, freeze_depth: int) -> Examples:
        depth = 0 if self.reads_images else freeze_depth  # one stream for all phases
        if depth not in self.opened:
            self.opened[depth] = self.open(freeze_depth)
        return self.opened[depth]

    def open(self, freeze_depth: int) -> Examples:
        if self.reads_images:
            return self.open_images(freeze_depth)
        splits = [self.reader.read(name, freeze_depth, self.epochs) for name in self.names]
        if len({split.boundary for split in splits}) > 1:
            return self.images()
        return self.together(splits)

    def open_images(self, freeze_depth: int) -> Examples:
        reasons = [f"{self.images_for} needs images"] if self.images_for else []
        if self.augmentation == NONE:
            self.reader.plans.append(Plan(freeze_depth, 0, ", ".join(reasons)))
            return self.images(may_be_small=False)  # what is mixed is what the model takes
        reader, margin = self.reader, needs_margin(self.augmentation)
        read = {name: reader.images(name, margin=margin) for name in self.names}
        here = reader.changes_on_device(self.augmentation, [*read.values()])
        if not here and any(isinstance(images, CachedSplit) and is_small(images, reader) for images in read.values()):
            read = {name: reader.images(name, margin=margin, may_be_small=False) for name in self.names}
        where = "" if reader.device.type != "cuda" else " on the GPU" if here else " on CPUs"
        reasons.insert(0, f"{self.augmentation} changes them at random{where}")
        reader.plans.append(Plan(freeze_depth, 0, ", ".join(reasons)))
        splits = [reader.select_examples(name, images, streamed=not here) for name, images in read.items()]
        if here:
            target = reader.cut_from(margin=margin)
            return ChangedOnDevice(self.together(splits), self.augmentation, self.seed, target)
        return self.together(splits, streamed=True)

    def images(self, *, may_be_small: bool = True) -> Examples:
        read = {name: self.reader.images(name, may_be_small=may_be_small) for name in self.names}
        return self.together([self.reader.select_examples(name, images) for name, images in read.items()])

    def together(self, splits: Sequence[Split], *, streamed: bool = False) -> Examples:
        """One after the other; where they must be changed or decoded in every epoch, as a stream."""
        rows = splits[0] if len(splits) == 1 else ConcatSplits(*splits)
        if not streamed and not is_unstored(rows):
            return rows
        stream = Streamed(rows, self.augmentation, self.seed, self.epochs)
        self.reader.streams.append(stream)
        return stream


def enlarges_images(device: torch.device) -> bool:
    """Whether small images are kept as they are for it: a CPU would do the same work in every epoch again."""
    return device.type == "cuda"


def is_small(images: CachedSplit, reader: Reader) -> bool:
    """Whether they are smaller than the model takes them."""
    return images.images.shape[-1] < reader.preprocessing.size


@cache
def device_fingerprint(device: torch.device, rows: int) -> str:
    """What computes: models of it round differently, and a GPU's kernels in batches of another size too."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {rows} rows at once"
    return " ".join(sorted(name for name, able in torch.cpu.get_capabilities().items() if able is True))
