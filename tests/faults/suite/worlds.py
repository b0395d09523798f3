"""What faults happen to: a study, a comparison, a measurement of data efficiency, a study over two Ray nodes."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.faults.suite.victim import Victim

if TYPE_CHECKING:
    from tests import nodes  # which imports Ray

RESNET = ["--model", "resnet", "--pretraining", "none", "--scale", "mini", "--name", "victim"]
SMALL = ["--max-concurrent", "1", "--max-failures", "9", "--top-k", "1", "--seeds", "1", "--epochs", "2"]
OFTEN = ["--checkpoint-every", "0"]  # after every step, so that each run that was ended goes on from one
VICTIM = ["study.run", *RESNET, *SMALL, *OFTEN]
FEW = ["--images-per-class", "8"]
STUDY = [*VICTIM, *FEW, "--trials", "10"]
FINISHED = [*VICTIM, "--fix", "freeze_depth=all", "--trials", "2"]
CLASSES, IMAGES, SIDE = 3, 30, 12


@dataclass(frozen=True)
class World:
    """
    Attributes:
        words: of its command.
        again: what that is given besides, to go on.
        variables: of its environment.
        before: of a study that has to be finished first.
        begins: lays out what it needs.
        nodes: it runs on two Ray nodes beside a head.
        always: what happens in each of its studies, undisturbed ones too, which counts as a fault.
    """

    words: Sequence[str]
    again: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    begins: Callable[[Victim, Path], None] = lambda victim, finished: None
    nodes: bool = False
    always: str = ""

    def victim(self, folder: Path, finished: Path) -> Victim:
        """A new one. `finished` is the folder of results of the study that is to be finished before."""
        words = [*self.words, "--results", "results"] if self.words[0] != "study.data_efficiency" else self.words
        victim = Victim(folder, words, self.again, self.variables)
        self.begins(victim, finished)
        return victim


def a_finished_study(victim: Victim, finished: Path) -> None:
    shutil.copytree(finished, victim.results, symlinks=True)


def images(victim: Victim, finished: Path) -> None:
    """A folder of pictures of noise around a shade for each class."""
    random = np.random.default_rng(0)
    for label in range(CLASSES):
        for number in range(IMAGES):
            pixels = np.clip(random.normal(60 + 60 * label, 60, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
            path = victim.data / f"class{label}" / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


COMPARISON = ["study.compare", "--models", "resnet", "alexnet", "--pretraining", "none", "--scale", "mini"]
MEASURED = ["study.data_efficiency", "results/victim", "--images-per-class", "1", "2", "4", "--seeds", "3"]

WORLDS = {
    "study": World(STUDY, ["--resume"]),
    "comparison": World(
        [*COMPARISON, "--name", "victims", *SMALL, *OFTEN, *FEW, "--trials", "4", "--datasets", "digits"]
    ),
    "data efficiency": World(
        [*MEASURED, "--max-concurrent", "1", "--max-failures", "9"], before=FINISHED, begins=a_finished_study
    ),
    "images": World(
        [*VICTIM, "--trials", "8", "--dataset", "data", "--early-stopping", "none"],
        ["--resume"],
        {"STUDY_CACHE_GIB": "0.0000001"},  # so that they are read and decoded again in every epoch
        begins=images,
    ),
    "workers": World([*VICTIM, *FEW, "--trials", "4", "--workers-per-trial", "2"], ["--resume"]),
    "two nodes": World(STUDY, ["--resume"], nodes=True),
    "NaN": World(
        STUDY,
        ["--resume"],
        {"FAULTS_ALWAYS": "the loss is not finite@resnet_mini/trial-002"},
        always="in a run: the loss is not finite",
    ),
    "CUDA": World(
        STUDY,
        ["--resume"],
        {"FAULTS_ALWAYS": "out of memory on CUDA@resnet_mini/trial-001"},
        always="in a run: out of memory on CUDA (simulated)",
    ),
}
ALIKE = {"NaN": "study", "CUDA": "study"}  # the faults of which world happen in another one, too


@dataclass
class Nodes:
    """Two, with one CPU each, beside a head that has none."""

    running: "nodes.Nodes"
    each: Mapping[str, Any]

    def lose(self, how: str) -> None:
        """One of them ("kill", "stop"), and adds another."""
        {"kill": self.running.kill, "stop": self.running.stop}[how](self.running.nodes.pop())
        self.running.add(**self.each)

    def end_the_stopped(self) -> None:
        self.running.end_the_stopped()


@contextmanager
def two_nodes(victim: Victim) -> Iterator[Nodes]:
    from tests.nodes import ray_nodes

    each = {"num_cpus": 1, "env_vars": dict(victim.own)}
    with ray_nodes(victim.folder, 0, each, each) as running:
        victim.variables = {**victim.variables, "RAY_ADDRESS": running.cluster.address}
        yield Nodes(running, each)
