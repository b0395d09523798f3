"""A spot node that its cloud will take away: the notice is seen on the node, and the study goes on elsewhere."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from study.results.record import Record
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
def test_a_study_goes_on_without_a_node_that_is_taken_away(metadata: str, tmp_path: Path) -> None:
    study = ["study.run", "--model", "alexnet", "--pretraining", "none", "--trials", "3", "--epochs", "1"]
    study += ["--top-k", "1", "--seeds", "1", "--wandb", "disabled", "--max-concurrent", "2", "--name", "spot"]
    Metadata.taken.set()
    with ray_nodes(tmp_path, 1, {"num_cpus": 2, "env_vars": variables(metadata)}) as nodes:
        ran = nodes.run(*study)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "goes away in 1" in ran.stderr  # of 120 s
    assert ran.stderr.count("goes away") == 1
    record = Record(tmp_path / "results" / "spot")
    assert {row["status"] for row in record.trials} <= {"completed", "pruned"}
