"""Images on one machine's disk, trials on others that do not see them: each node has its store, or streams."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from study.results.record import Record
from tests.contract.photographs import CLASSES, folder_of
from tests.nodes import Nodes, ray_nodes

EACH = 60  # images of each of three classes: 108 are trained on
TRAIN = 108
SPACE = "lr = { low = 1e-3, high = 1e-2, log = true }\nfreeze_depth = { choices = [4, 5] }\n"  # trial 0 freezes nothing
STUDY = [
    *["--model", "resnet", "--pretraining", "none", "--scale", "mini", "--boundaries", "always"],
    *["--trials", "3", "--epochs", "2", "--top-k", "1", "--seeds", "1", "--early-stopping", "none"],
    *["--wandb", "disabled", "--quiet", "--max-concurrent", "1"],
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("data") / "photos", dict.fromkeys(CLASSES, EACH))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with ray_nodes(tmp_path_factory.mktemp("nodes"), 1) as running:
        yield running


@dataclass
class Done:
    """A study, and what lies in the store of the node that its trials ran on."""

    record: Record
    said: str
    cache: Path

    @property
    def numbers(self) -> list[Any]:
        names = ("run_id", "epoch", "train_loss", "val_loss", "val_accuracy")
        validated = [row for row in self.record.tables["curves"] if row["val_loss"] is not None]
        return sorted(tuple(row[name] for name in names) for row in validated)

    @property
    def stored(self) -> list[tuple[int, int]]:
        """(boundary, rows) of each entry."""
        entries = [json.loads(path.read_text()) for path in self.cache.glob("*/entry.json")]
        return sorted((entry["facts"]["boundary"], entry["shape"][0]) for entry in entries)


def done(nodes: Nodes, place: Path, name: str) -> Done:
    """On the node that was added last, which has the cluster's only GPU."""
    (space := nodes.folder / "space.toml").write_text(SPACE)
    ran = nodes.run(
        "study.run", *STUDY, "--space", str(space), "--dataset", str(place), "--name", name, "--results", "results"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    record = Record(nodes.folder / "results" / name)
    assert [row["status"] for row in record.trials] == ["completed"] * 3, [row["reason"] for row in record.trials]
    return Done(record, ran.stdout + ran.stderr, nodes.folder / f"cache-{len(nodes.nodes) - 1}")


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nothing")


@pytest.fixture(scope="module")
def elsewhere(nodes: Nodes, place: Path, nothing: Path) -> Done:
    """On a node that does not see the images."""
    nodes.add(num_cpus=2, num_gpus=1, sees={place: nothing})
    return done(nodes, place, "elsewhere")


@pytest.fixture(scope="module")
def streamed(
    elsewhere: Done, nodes: Nodes, place: Path, nothing: Path, tmp_path_factory: pytest.TempPathFactory
) -> Done:
    """On a node that does not see them either, and has room for the images of train neither on disk nor in memory."""
    nodes.kill(nodes.nodes[-1])
    little = tmp_path_factory.mktemp("proc") / "meminfo"
    little.write_text(Path("/proc/meminfo").read_text().replace("MemAvailable:", "MemAvailable: 1000 kB\nWas:"))
    limits = {"STUDY_CACHE_GIB": str(250_000 / (1 << 30)), "RAY_memory_monitor_refresh_ms": "0"}
    nodes.add(num_cpus=2, num_gpus=1, sees={place: nothing, Path("/proc/meminfo"): little}, env_vars=limits)
    return done(nodes, place, "streamed")


def test_images_on_the_heads_disk_are_read_there_and_kept_once_by_the_node_that_trains(elsewhere: Done) -> None:
    images = [rows for boundary, rows in elsewhere.stored if boundary == 0]
    assert sorted(images) == [36, 36, TRAIN]  # val, test and train: once each, for three trials and a replicate


@pytest.mark.nodes
def test_what_fits_neither_the_store_nor_memory_is_streamed_and_gives_the_same_numbers(
    elsewhere: Done, streamed: Done
) -> None:
    assert (0, TRAIN) not in streamed.stored
    assert len(elsewhere.numbers) >= 3 * 2
    assert streamed.numbers == elsewhere.numbers


@pytest.mark.nodes
def test_a_boundary_that_is_smaller_than_the_images_is_stored_where_these_are_not(streamed: Done) -> None:
    assert any("stored, as the images are not" in row["boundary"] for row in streamed.record.trials)
