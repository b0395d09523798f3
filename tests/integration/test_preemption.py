"""A spot node that its cloud will take away: the notice is seen on the node, and the study goes on elsewhere."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from study.results.record import Record
from tests.integration.test_several_nodes import SECONDS, started, wait_until
from tests.nodes import ray_nodes
from trainables import preemption


class Metadata(BaseHTTPRequestHandler):
    """What the three clouds answer at their metadata addresses: each to those alone who ask in its own way."""

    taken = threading.Event()

    def answer(self, text: str | None) -> None:
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def do_PUT(self) -> None:
        allowed = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer("the-token" if allowed else None)

    def do_GET(self) -> None:
        gone = self.taken.is_set()
        if self.path == "/latest/meta-data/spot/instance-action":
            action = json.dumps({"action": "terminate", "time": "2026-11-27T18:02:00Z"})
            self.answer(action if gone and self.headers["X-aws-ec2-metadata-token"] == "the-token" else None)
        elif self.path == "/computeMetadata/v1/instance/preempted" and self.headers["Metadata-Flavor"] == "Google":
            self.answer("TRUE" if gone else "FALSE")
        elif self.path.startswith("/metadata/scheduledevents?api-version=") and self.headers["Metadata"] == "true":
            self.answer(json.dumps({"Events": [{"EventType": "Preempt"}] if gone else []}))
        else:
            self.answer(None)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[str]:
    Metadata.taken.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def variables(address: str) -> dict[str, str]:
    url = f"http://{address}"
    return {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": url,
        "GCE_METADATA_HOST": address,
        "AZURE_METADATA_ENDPOINT": url,
    }


@pytest.mark.parametrize("cloud", preemption.CLOUDS)
def test_the_notice_of_a_cloud_is_understood(cloud: str, metadata: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(metadata).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert preemption.CLOUDS[cloud]() is False
    Metadata.taken.set()
    assert preemption.CLOUDS[cloud]() is True


def test_where_there_is_no_cloud_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables("127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    assert preemption.this_cloud() is None


@pytest.mark.nodes
def test_a_run_leaves_its_node_at_once_and_goes_on_elsewhere_from_where_it_was(metadata: str, tmp_path: Path) -> None:
    """Only nodes with a GPU can take the run: a second one comes when the first has had its notice."""
    study = ["study.run", "--model", "alexnet", "--pretraining", "none", "--trials", "1", "--epochs", "8", "--verbose"]
    study += ["--top-k", "1", "--seeds", "1", "--wandb", "disabled", "--name", "moved", "--scale", "mini"]
    study += ["--fix", "freeze_depth=0", "--trials-per-gpu", "auto"]
    node: dict[str, Any] = {"num_cpus": 2, "num_gpus": 1}
    Metadata.taken.set()  # it is heard of before the images are read: at the first step
    with (
        ray_nodes(tmp_path, 1, {**node, "env_vars": variables(metadata)}) as nodes,
        started(nodes, *study) as (process, out, err),
    ):

        def said() -> str:
            return out.read_text() + err.read_text()

        lost = "a node was lost, and what it ran goes on elsewhere: trial-000"
        wait_until(lambda: lost in said() or process.poll() is not None, "the notice was not heard")
        nodes.add(**node)
        assert process.wait(SECONDS) == 0, said()
    assert "goes away in 1" in said() or lost in said()  # it is gone as soon as its run has left, perhaps unseen
    assert said().count("goes away") <= 1
    assert "GiB of a GPU, measured by a step of the largest" in said()
    [epoch] = re.findall(r"trial-000 goes on from its checkpoint, in epoch (\d+)", said())
    assert 1 <= int(epoch) <= 8
    record = Record(tmp_path / "results" / "moved")
    assert record.study.resources is not None
    assert record.study.resources.gpus == 0.5  # as many as have a CPU each
    assert [(row["status"], row["epochs"]) for row in record.trials] == [("completed", 8)]
    assert [row["epoch"] for row in record.curve("trial-000")] == list(range(1, 9))
    assert not (tmp_path / "results" / "moved" / ".checkpoints").exists()
