"""A comparison of paper size on 8 to 512 GPUs, simulated from measured costs: how long, and what becomes the limit.

    python -m benchmarks.cluster_simulation

Eight rows (four models, two pretrainings each), 64 trials a row, three repeats of everything; 10 epochs of 24,000 +
3,000 images; then four candidates under three seeds, and three test runs. Simulated are the GPUs, which whoever waits
longest gets; each row's own process, which does one thing at a time (it suggests, takes results, writes the record);
the disk of each node, which its GPUs share; and the network of the head, from which each node fetches the images once.
What things take was measured, but for what the constants call assumed. ASHA is real, on trials whose accuracy is drawn.

The longest chain is a row's slowest trial, replicate and test run, one after the other: no number of GPUs is faster.
"""

import argparse
import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import simpy

from study.results import cost
from trainables import architecture

GOAL = "none: it says where the limits are"

# docs/gpu.md: images a second of training with nothing frozen, at 224 px, bf16, on one H200
TRAINED_PER_SECOND = {"alexnet": 14_311, "resnet": 2_245, "vit": 2_416, "coatnet": 875}
HEAD_STEP = 1.6e-3  # s: docs/gpu.md, the least that a step of 64 images takes, whatever is trained
READ, WRITE = 6e9, 1.2e9  # bytes/s of a node's disk: docs/gpu.md: "reading 4.2 to 12.3 GB/s", "0.8 to 1.8"
DECODED = 700  # images/s of a CPU core: JPEGs of 35 kB to 256 px
CORES = 8  # of a node, for each GPU
HEAD_NETWORK = 12.5e9 / 8  # bytes/s: an m6i.2xlarge's
JPEG = 35_000  # bytes
# Of a row's process, in s, as `benchmarks.scaling --profile` had them with 250 and 1,000 trials (profiled: so too high)
SUGGEST, SUGGEST_EACH = 3e-3, 0.03e-3  # and for each trial before
RESULT, END = 2.5e-3, 8e-3  # an epoch's result; a trial's end, with its row
START = 6.0  # s: a process's first run, imports and the model's weights: assumed

ROWS = tuple((model, number) for model in TRAINED_PER_SECOND for number in range(2))
TRAIN, VAL, TEST = 24_000, 3_000, 3_600
EPOCHS, GRACE, REDUCTION = 10, 2, 3
PER_NODE = 8  # GPUs
GPUS = (8, 16, 32, 64, 128, 256, 512)

Steps = Generator[Any, Any, None]  # of a simulated process


@dataclass(frozen=True)
class Plan:
    """What is run, and how."""

    trials: int = 64
    repeats: int = 3
    candidates: int = 4
    seeds: int = 3
    head_only: bool = False  # else the freeze depth is searched
    shared: bool = True  # boundaries, between trials
    asha: bool = True


@dataclass(frozen=True)
class Model:
    """Seconds and bytes of one image, by freeze depth."""

    training: tuple[float, ...]  # frozen stages computed, the others trained
    trained: tuple[float, ...]  # the trained ones alone
    frozen: tuple[float, ...]  # the frozen ones, forward
    stored: tuple[int, ...]  # bytes at the boundary

    @property
    def depths(self) -> int:
        return len(self.training)


def described(name: str) -> Model:
    """A model of the paper, from its FLOPs by stage and what training all of it takes."""
    family = architecture.get(name)
    variant = family.variant("paper")
    flops = cost.flops(name, "paper", variant.name, 257)
    second = 1 / TRAINED_PER_SECOND[name] / flops.training(0)
    depths = range(len(flops.stages))
    return Model(
        training=tuple(max(flops.training(k) * second, HEAD_STEP / 64) for k in depths),
        trained=tuple(max(flops.training(k, stored=True) * second, HEAD_STEP / 64) for k in depths),
        frozen=tuple(sum(flops.stages[:k]) * second for k in depths),
        stored=tuple(boundary_bytes(name, variant.name)),
    )


def boundary_bytes(model: str, variant: str) -> Iterator[int]:
    """Of one image at each boundary: two bytes a number, and one a colour of the images themselves."""
    import torch

    from trainables import building

    family = architecture.get(model)
    described = family.variant("paper", name=variant)
    size = described.preprocessing.size
    yield 3 * size * size
    with torch.device("meta"), torch.no_grad():
        built = building.assemble(family, described, 257).eval()
        x = torch.empty((1, 3, size, size), dtype=torch.uint8)
        for stage in range(len(built.stages) - 1):
            x = built.between(stage, stage + 1, x)
            yield 2 * x.numel()


@dataclass
class Node:
    """A machine with GPUs, and what its disk holds."""

    disk: simpy.Resource
    filled: dict[Any, simpy.Event] = field(default_factory=dict)


@dataclass
class Cluster:
    """What runs share."""

    now: simpy.Environment
    free: simpy.Store  # of the nodes, one for each free GPU
    network: simpy.Resource
    gpu_seconds: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)

    def use(self, resource: simpy.Resource, seconds: float, what: str) -> Steps:
        with resource.request() as mine:
            yield mine
            yield self.now.timeout(seconds)
            self.busy[what] = self.busy.get(what, 0.0) + seconds


@dataclass
class Row:
    """One search of one model, with what follows it."""

    cluster: Cluster
    name: str
    model: Model
    plan: Plan
    draws: random.Random
    process: simpy.Resource
    rungs: dict[int, list[float]] = field(default_factory=dict)
    suggested: int = 0
    ended: list[tuple[float, int]] = field(default_factory=list)  # accuracy and freeze depth of complete trials
    longest: list[float] = field(default_factory=list)  # of each step the longest run

    def run(self, slots: int) -> Steps:
        now = self.cluster.now
        yield from self.step([now.process(self.slot()) for _ in range(min(slots, self.plan.trials))])
        best = sorted(self.ended, reverse=True)[: self.plan.candidates] or [(0.0, 0)]
        seeds = range(self.plan.seeds)
        yield from self.step([now.process(self.train(depth, TRAIN, None)) for _, depth in best for _ in seeds])
        yield from self.step([now.process(self.train(best[0][1], TRAIN + VAL, None)) for _ in seeds])

    def step(self, runs: list[simpy.Process]) -> Steps:
        self.longest.append(0.0)
        yield self.cluster.now.all_of(runs)

    def slot(self) -> Steps:
        """One after the other, as long as there are trials."""
        while self.suggested < self.plan.trials:
            self.suggested += 1
            depth, quality = self.draws.randrange(self.model.depths), self.draws.random()
            depth = self.model.depths - 1 if self.plan.head_only else depth
            yield from self.driver(SUGGEST + SUGGEST_EACH * self.suggested)
            if (yield from self.train(depth, TRAIN, quality)):
                self.ended.append((quality, depth))

    def driver(self, seconds: float) -> Steps:
        yield from self.cluster.use(self.process, seconds, self.name)

    def train(self, depth: int, images: int, quality: float | None) -> Generator[Any, Any, bool]:
        """One run on the first GPU that is free. Whether it came to its last epoch."""
        cluster, model = self.cluster, self.model
        node: Node = yield cluster.free.get()
        begun = cluster.now.now
        yield from self.images(node)
        reads = self.plan.shared and depth > 0 and model.stored[depth] / READ < model.frozen[depth]
        if reads:
            yield from self.boundary(node, depth)
        complete = True
        for epoch in range(1, EPOCHS + 1):
            seconds = images * (model.trained[depth] if reads else model.training[depth])
            seconds += VAL * (model.trained[depth] / 3 if reads else model.frozen[-1])
            yield cluster.now.timeout(seconds)
            if reads:
                yield from cluster.use(node.disk, images * model.stored[depth] / READ / PER_NODE, "disks")
            yield from self.driver(RESULT)
            if quality is not None and not self.goes_on(epoch, quality):
                complete = False
                break
        took = cluster.now.now - begun
        cluster.gpu_seconds += took
        self.longest[-1] = max(self.longest[-1], took)
        yield cluster.free.put(node)
        yield from self.driver(END)
        return complete

    def goes_on(self, epoch: int, quality: float) -> bool:
        """ASHA: among the best third of those that came as far."""
        if not self.plan.asha or epoch == EPOCHS or epoch not in (GRACE, GRACE * REDUCTION):
            return True
        seen = self.rungs.setdefault(epoch, [])
        seen.append(quality + self.draws.gauss(0, 0.1))
        return seen[-1] >= sorted(seen, reverse=True)[max(0, len(seen) // REDUCTION - 1)]

    def once(self, node: Node, key: Any, work: Any) -> Steps:
        """What a node does once, and others there wait for."""
        if key in node.filled:
            yield node.filled[key]
            return
        node.filled[key] = self.cluster.now.event()
        yield from work
        node.filled[key].succeed()

    def images(self, node: Node) -> Steps:
        def fetched() -> Steps:
            total = TRAIN + VAL + TEST
            yield from self.cluster.use(self.cluster.network, total * JPEG / HEAD_NETWORK, "the head's network")
            yield self.cluster.now.timeout(START + total / (DECODED * CORES))

        size = self.model.stored[0]
        yield from self.once(node, size, fetched())

    def boundary(self, node: Node, depth: int) -> Steps:
        def filled() -> Steps:
            yield self.cluster.now.timeout((TRAIN + VAL) * self.model.frozen[depth])
            written = (TRAIN + VAL) * self.model.stored[depth] / WRITE
            yield from self.cluster.use(node.disk, written, "disks")

        # rows of one model have other weights, and repeats of one row the same
        yield from self.once(node, (self.name.partition(" repeat")[0], depth), filled())


@dataclass(frozen=True)
class Result:
    hours: float
    gpu_hours: float
    busy: float  # of the GPUs' time
    chain: float  # the longest, of the whole time
    driver: float  # the busiest row's process, of the whole time
    network: float
    disks: float


def simulate(gpus: int, plan: Plan, seed: int = 0) -> Result:
    """The comparison on so many GPUs."""
    now = simpy.Environment()
    per_node = min(PER_NODE, gpus)
    nodes = [Node(simpy.Resource(now, per_node)) for _ in range(gpus // per_node)]
    free = simpy.Store(now)
    free.items.extend(node for _ in range(per_node) for node in nodes)
    cluster = Cluster(now, free, simpy.Resource(now))
    models = {name: described(name) for name, _ in ROWS}
    rows = [
        Row(
            cluster,
            f"{name} {number} repeat {repeat}",
            models[name],
            plan,
            random.Random(f"{seed} {name} {number} {repeat}"),
            simpy.Resource(now),
        )
        for repeat in range(plan.repeats)
        for name, number in ROWS
    ]
    now.run(now.all_of([now.process(row.run(gpus)) for row in rows]))
    own = {"disks", "the head's network"}
    return Result(
        hours=now.now / 3600,
        gpu_hours=cluster.gpu_seconds / 3600,
        busy=cluster.gpu_seconds / (gpus * now.now),
        chain=max(sum(row.longest) for row in rows) / now.now,
        driver=max(seconds for what, seconds in cluster.busy.items() if what not in own) / now.now,
        network=cluster.busy.get("the head's network", 0.0) / now.now,
        disks=cluster.busy.get("disks", 0.0) / now.now / (len(nodes) * per_node),
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for title, plan in {"freeze depth searched": Plan(), "heads alone": Plan(head_only=True)}.items():
        print(
            f"{title}:\nGPUs   hours  GPU-hours  GPUs busy  longest chain  busiest row's process  head's network  disks"
        )
        for gpus in GPUS:
            one = simulate(gpus, plan)
            shares = f"{one.busy:9.0%}  {one.chain:13.0%}  {one.driver:21.1%}  {one.network:14.1%}  {one.disks:5.1%}"
            print(f"{gpus:4}  {one.hours:6.2f}  {one.gpu_hours:9.1f}  {shares}", flush=True)
        print()
    plan = Plan()
    for title, variant in {
        "shared boundaries, early stopping": plan,
        "early stopping alone": replace(plan, shared=False),
        "shared boundaries alone": replace(plan, asha=False),
        "neither": replace(plan, shared=False, asha=False),
    }.items():
        result = simulate(64, variant)
        print(f"{title}: {result.gpu_hours:.1f} GPU-hours, {result.hours:.2f} hours on 64 GPUs", flush=True)


if __name__ == "__main__":
    main()
