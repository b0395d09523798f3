"""`ray up ray_cluster.local.yaml` onto three hosts made here, studies on them, a host that dies, a job, and `ray down`.

    make cluster-test

Prints what it does, what came of it and when; ends with 0 if all of it held, and with one line where this machine
cannot make hosts. Everything lies in a temporary folder, and everything that it starts ends with it.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from tests.cluster.hosts import Host, hosts, why_not

ROOT = Path(__file__).parents[2]
RAY = str(ROOT / ".venv" / "bin" / "ray")
JOBS = 8265  # the dashboard's port, which takes jobs
URL = f"http://127.0.0.1:{JOBS}"
STORE = "--object-store-memory=200000000"  # bytes: the hosts share this machine's memory
BEGUN = time.monotonic()


def say(line: str) -> None:
    print(f"{time.monotonic() - BEGUN:5.0f} s  {line}", flush=True)


def cluster_file(folder: Path, head: Host, workers: list[Host]) -> Path:
    """ray_cluster.local.yaml with these hosts' addresses; Python and its packages are this checkout's."""
    text = (ROOT / "ray_cluster.local.yaml").read_text().replace("ray start ", f"ray start {STORE} ")
    given = yaml.safe_load(text)
    given["provider"] |= {"head_ip": head.address, "worker_ips": [worker.address for worker in workers]}
    given["auth"] = {"ssh_user": "root", "ssh_private_key": str(folder / "key")}
    given["file_mounts"] = {
        remote: local if local.startswith("~") else str(ROOT / local) for remote, local in given["file_mounts"].items()
    }
    setup = [command for command in given["setup_commands"] if "pip" not in command]
    assert len(setup) < len(given["setup_commands"])
    code = "export PYTHONPATH=$HOME/attention-or-convolution"
    given["setup_commands"] = [
        f"ln -sfn {ROOT}/.venv ~/venv",
        *setup,
        f"grep -q PYTHONPATH ~/.bashrc || echo '{code}' >> ~/.bashrc",
    ]
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    return path


class Laptop:
    """Where the user sits: it can reach the hosts by SSH, and is no node of the cluster."""

    def __init__(self, host: Host, file: Path) -> None:
        self.host, self.file, self.key = host, file, str(file.parent / "key")

    def ray(self, command: str, *words: str, timeout: float = 300) -> str:
        """What a `ray` command printed. Raises AssertionError where it failed."""
        environment = ["env", "RAY_USAGE_STATS_ENABLED=0", f"PATH={ROOT}/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        ended = self.host.run(*environment, RAY, command, *words, timeout=timeout)
        assert ended.returncode == 0, f"ray {command}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def python(self, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """A command of the package, on the laptop."""
        return self.host.run("env", f"PYTHONPATH={ROOT}", f"{ROOT}/.venv/bin/python", "-m", *words, timeout=timeout)

    def exec(self, command: str, timeout: float = 300) -> str:
        return self.ray("exec", str(self.file), command, timeout=timeout)


def until(true: Callable[[], Any], what: str, seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(1)
    return answer


def alive(laptop: Laptop) -> int:
    """Nodes of the cluster."""
    program = (
        "import ray; ray.init(address='auto', log_to_driver=False, logging_level='error'); "
        "print('alive', sum(node['Alive'] for node in ray.nodes()))"
    )
    printed = laptop.exec(f'python -c "{program}"')
    return int(printed.split("alive ")[-1].split()[0])


def study_json(head: Host, name: str, folder: str = "results") -> dict[str, Any]:
    """Of a study's record on the head."""
    written: dict[str, Any] = json.loads((head.home / folder / name / "study.json").read_text())
    return written


def finished(head: Host, name: str, trials: int, folder: str = "results") -> str:
    """Checks that a study is complete, and says so in a line."""
    study = study_json(head, name, folder)
    rows = pq.read_table(head.home / folder / name / "trials.parquet").to_pylist()
    assert study["status"] == "finished", study["status"]
    assert len(rows) == trials, rows
    assert all(row["status"] in ("completed", "pruned") for row in rows), rows
    page = (head.home / folder / name / "report.html").read_text()
    assert "<html" in page
    low, high = study["test"]["interval"]
    nodes = ", ".join(sorted({row["node"] for row in rows}))
    return f"{trials} trials on {nodes}; test accuracy {study['test']['accuracy']:.1%} [{low:.1%}, {high:.1%}]; a page"


def main() -> int:
    if reason := why_not():
        print(f"cluster-test is skipped: {reason}")
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as folder,
        hosts(Path(folder), ["laptop", "head", "one", "two"]) as (laptop, head, *workers),
    ):
        check(Laptop(laptop, cluster_file(Path(folder), head, workers)), head, workers)
    say("all of it held")
    return 0


def check(laptop: Laptop, head: Host, workers: list[Host]) -> None:
    up(laptop, head, workers)
    search(laptop, head)
    job(laptop, head)
    a_host_dies(laptop, head, workers)
    down(laptop, head, workers)


def up(laptop: Laptop, head: Host, workers: list[Host]) -> None:
    laptop.ray("get-auth-token", "--generate")
    laptop.ray("up", "-y", str(laptop.file))
    say("ray up: the head is there")
    until(lambda: alive(laptop) == 1 + len(workers), "all nodes", 180)
    say(f"{1 + len(workers)} nodes are there")


def study(name: str, trials: int) -> str:
    return (
        f"python -m study.run --model vit --trials {trials} --epochs 3 --seeds 2 --top-k 2 --wandb disabled "
        f"--name {name}"
    )


def search(laptop: Laptop, head: Host) -> None:
    laptop.exec(f"{study('first', 6)} --results ~/results", timeout=300)
    say(f"a study by ray exec: {finished(head, 'first', 6)}")


def job(laptop: Laptop, head: Host) -> None:
    """A study that needs no terminal, submitted from a machine that is no node, through SSH."""
    ssh = ["ssh", "-N", "-L", f"{JOBS}:127.0.0.1:{JOBS}", "-i", laptop.key, "-o", "StrictHostKeyChecking=no"]
    command = laptop.host.enter(*ssh, f"root@{head.address}")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tunnel:
        try:
            until(lambda: laptop.python("study.status", "--address", URL).returncode == 0, "the dashboard", 60)
            submitted = laptop.python(
                "study.submit", "--address", URL, "--follow", "--", *study("by-job", 3).split()[2:]
            )
            assert submitted.returncode == 0, submitted.stdout + submitted.stderr
        finally:
            tunnel.terminate()
    say(f"a study by job: {finished(head, 'by-job', 3, folder='study-results')}")


def a_host_dies(laptop: Laptop, head: Host, workers: list[Host]) -> None:
    dies, log = workers[-1], head.home / "second.log"
    long = study("second", 8).replace("--epochs 3", "--epochs 8")
    long = f"{long} --early-stopping none --verbose --results ~/results"
    laptop.exec(f"nohup {long} > ~/second.log 2>&1 & sleep 1")
    until(lambda: f"begins on {dies.name}" in log.read_text(), f"a trial on {dies.name}", 200)
    dies.kill()
    say(f"SIGKILL for {dies.name} and all that runs there, where a trial had begun")
    until(lambda: study_json(head, "second")["status"] != "running", "the study", 400)
    say(f"the study ended: {finished(head, 'second', 8)}")
    said = [line for line in log.read_text().splitlines() if line.startswith("note: a node was lost")]
    assert said, log.read_text()
    say(f"it had said: {said[0]}")


def down(laptop: Laptop, head: Host, workers: list[Host]) -> None:
    laptop.ray("down", "-y", str(laptop.file))
    left = [head, *workers[:-1]]
    until(
        lambda: not any("raylet" in line for host in left for line in host.processes()), "the end of all raylets", 120
    )
    say("ray down: no Ray process is left on any host")


if __name__ == "__main__":
    sys.exit(main())
