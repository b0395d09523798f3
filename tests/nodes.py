"""Several Ray nodes on this machine: a study sees a real cluster, with a store, a raylet and workers for each node."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

ROOT = Path(__file__).parents[1]
STORE_BYTES = 100 << 20  # of Ray's objects, on each node


@dataclass
class Nodes:
    """A running cluster: `nodes[0]` is its head."""

    cluster: Cluster
    folder: Path
    nodes: list[Any] = field(default_factory=list)

    def add(self, **resources: Any) -> Any:
        """Starts a node: `num_cpus`, `num_gpus`, `resources`, `env_vars`; its cached activations are its own."""
        cache = self.folder / f"cache-{len(self.nodes)}"
        variables = {"STUDY_CACHE": str(cache)} | resources.pop("env_vars", {})
        self.nodes.append(
            self.cluster.add_node(
                object_store_memory=STORE_BYTES, include_dashboard=False, env_vars=variables, **resources
            )
        )
        return self.nodes[-1]

    def kill(self, node: Any) -> None:
        """SIGKILL for all processes of a node."""
        self.cluster.remove_node(node, allow_graceful=False)

    @property
    def environment(self) -> dict[str, str]:
        """For a command that is to run on this cluster."""
        return os.environ | {"RAY_ADDRESS": self.cluster.address, "PYTHONPATH": str(ROOT)}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", *words]

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """A command of the package, as `study.run`, on the cluster, in the cluster's folder."""
        given = {"cwd": self.folder, "env": self.environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self.command(*words), text=True, **{**given, **options})

    def run(self, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        with self.start(*words) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError(f"not ended after {timeout} s\n{out}\n{err}") from None
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@contextmanager
def ray_nodes(folder: Path, *nodes: dict[str, Any] | int) -> Iterator[Nodes]:
    """A cluster of a head and more nodes, each given by its CPUs or by what `Nodes.add` takes."""
    given: Sequence[dict[str, Any]] = [{"num_cpus": one} if isinstance(one, int) else one for one in nodes]
    running = Nodes(Cluster(), folder)
    try:
        for one in given:
            running.add(**one)
        yield running
    finally:
        running.cluster.shutdown()
