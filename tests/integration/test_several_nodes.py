"""Studies on real Ray nodes: they end, whatever nodes there are and whichever go, with the numbers of any other."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from study.results import corruptions
from study.results.record import Record
from study.run import main
from tests.nodes import Nodes, ray_nodes

STUDY = ("study.run", "--model", "alexnet", "--scale", "mini", "--epochs", "2", "--early-stopping", "none")
SMALL = (*STUDY, "--seeds", "2", "--top-k", "1", "--wandb", "disabled")
SECONDS = 200
ENDING = 10  # seconds after Ctrl-C, for who only waits


@contextmanager
def started(cluster: Nodes, *words: str) -> Iterator[tuple["subprocess.Popen[str]", Path, Path]]:
    """A command, with the files that its output and its errors go to."""
    out, err = cluster.folder / "out", cluster.folder / "err"
    with out.open("w") as stdout, err.open("w") as stderr:
        process = cluster.start(*words, stdout=stdout, stderr=stderr)
        try:
            yield process, out, err
        finally:
            process.kill()
            process.wait()


def wait_until(happened: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def results(record: Record) -> list[tuple[object, ...]]:
    """What came out of every run, whenever and wherever it ran."""
    rows = [*record.trials, *record.runs]
    named = [(row.get("run_id") or row["trial_id"], row) for row in rows]
    return sorted((name, row["status"], row["epochs"], row["lr"], row["val_accuracy"]) for name, row in named)


@pytest.mark.nodes
def test_a_study_ends_on_nodes_of_one_and_two_cpus_though_one_dies_in_the_middle_and_is_that_of_one_machine(
    ray_session: None, tmp_path: Path
) -> None:
    # of points drawn at random, whichever ends first
    folder, study = tmp_path / "results", (*SMALL, "--trials", "7", "--train-fraction", "0.5")
    assert main([*study[1:], "--name", "here", "--results", str(folder), "--quiet"]) == 0
    with (
        ray_nodes(tmp_path, 1, 2, 2) as cluster,
        started(cluster, *study, "--name", "there") as (process, out, err),
    ):
        wait_until(lambda: "search 1/7" in out.read_text() or process.poll() is not None, "no trial ended")
        cluster.kill(cluster.nodes[2])
        assert process.wait(SECONDS) == 0, err.read_text()
        (said,) = err.read_text().splitlines() or [""]
        assert said.startswith("note: a node was lost, and what it ran goes on elsewhere: trial-00")
    there = Record(folder / "there")
    assert results(there) == results(Record(folder / "here"))
    resources = there.study.resources
    assert resources is not None
    assert (resources.processes, resources.threads) == (5, 1)


@pytest.mark.nodes
def test_a_study_waits_for_gpus_says_so_and_ends_with_fewer_than_were_declared(tmp_path: Path) -> None:
    """The head declares four; two come, after a while. torch has no CUDA here, so they compute on the CPU."""
    head = {"num_cpus": 1, "resources": {"autoscaled_gpus": 4}}
    with ray_nodes(tmp_path, head) as cluster:
        refused = cluster.run(*SMALL, "--workers-per-trial", "8", timeout=180)
        assert refused.returncode == 2
        assert refused.stderr == "error: workers-per-trial must be at most 4, the GPUs there are, got 8\n"
        with started(cluster, *SMALL, "--trials", "2", "--name", "left") as (process, _, err):
            wait_until(lambda: "waiting" in err.read_text() or process.poll() is not None, "it says nothing")
            process.send_signal(signal.SIGINT)
            assert process.wait(ENDING) == 130
        with started(cluster, *SMALL, "--trials", "2", "--name", "few", "--corruptions") as (process, _, err):
            wait_until(lambda: "waiting" in err.read_text() or process.poll() is not None, "it says nothing")
            for _ in range(2):
                cluster.add(num_cpus=2, num_gpus=1)
            assert process.wait(SECONDS) == 0, err.read_text()
        waiting, goes_on = err.read_text().splitlines()
        assert waiting.startswith("note: waiting for nodes since ")
        assert waiting.endswith(
            ": a run asks for 1 CPU and 1 GPU, and the cluster has 1 node with 1 CPU and 0 GPUs, and 4 nodes with 4 "
            "GPUs may come"
        )
        assert goes_on.startswith("note: it goes on, after ")
        record = Record(tmp_path / "results" / "few")
        assert {row["status"] for row in [*record.trials, *record.runs]} == {"completed"}
        assert (record.folder / corruptions.FILE).is_file()
        # what is no run has a process with a GPU, too
        probed = cluster.run("study.probe", "--model", "alexnet", "--scale", "mini", timeout=SECONDS)
        assert (probed.returncode, probed.stderr) == (0, "")


@pytest.mark.nodes
def test_one_cpu_is_enough_for_a_study_and_a_gpu_that_no_node_has_is_refused_in_one_line(tmp_path: Path) -> None:
    with ray_nodes(tmp_path, 1) as cluster:
        refused = cluster.run(*SMALL, "--precision", "fp16", timeout=180)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: precision fp16 needs a GPU")
        assert refused.stderr.count("\n") == 1
        done = cluster.run(*STUDY, "--trials", "2", "--seeds", "1", "--wandb", "disabled", timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.nodes
def test_four_workers_train_together_on_two_nodes_of_two_cpus(tmp_path: Path) -> None:
    with ray_nodes(tmp_path, 2, 2) as cluster:
        few = ("--trials", "1", "--seeds", "1", "--workers-per-trial", "4", "--name", "four", "--wandb", "disabled")
        done = cluster.run(*STUDY, *few, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, "")
    resources = Record(tmp_path / "results" / "four").study.resources
    assert resources is not None
    assert (resources.workers, resources.pack, resources.threads) == (4, False, 1)


@pytest.mark.nodes
def test_a_run_that_asked_a_node_for_a_place_which_has_stopped_finds_another_in_minutes(tmp_path: Path) -> None:
    """Ray takes a minute to find it, and seven for a placement group that it was asked for."""
    few = (*STUDY, "--trials", "8", "--seeds", "1", "--top-k", "1", "--max-concurrent", "1", "--wandb", "disabled")
    with ray_nodes(tmp_path, 0, 1) as cluster, started(cluster, *few) as (process, out, err):
        wait_until(lambda: "search 1/8" in out.read_text() or process.poll() is not None, "no trial ended")
        other = cluster.add(num_cpus=1)
        time.sleep(5)  # of which Ray's head has asked it how it is
        cluster.stop(other)
        cluster.kill(cluster.nodes[1])
        wait_until(lambda: "a node was lost" in err.read_text() or process.poll() is not None, "no node was lost")
        cluster.add(num_cpus=1)
        assert process.wait(SECONDS) == 0, err.read_text()
