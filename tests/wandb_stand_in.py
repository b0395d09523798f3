"""What the W&B client wrote, read from its own files, and a server that it takes for W&B's."""

import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

KEY = "k" * 40
DATE = "2026-01-01T00:00:00Z"
VIEWER = {"id": "1", "entity": "me", "username": "me", "flags": "{}"}

# Reading what the client wrote.


@dataclass
class Written:
    """A `.wandb` file."""

    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    @property
    def curve(self) -> list[dict[str, Any]]:
        """The rows of epochs, without what the client adds."""
        rows = [row for row in self.history if "epoch" in row]
        return [{name: value for name, value in row.items() if not name.startswith("_")} for row in rows]

    @property
    def steps(self) -> list[int]:
        return [row["_step"] for row in self.history]


def records(path: Path) -> Iterator[bytes]:
    """Records of a LevelDB log (blocks of 32 KiB) behind a header of 7 bytes, up to the first that is incomplete."""
    content, position, record = path.read_bytes(), 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, position)
        chunk = content[position + 7 : position + 7 + size]
        if kind == 0 or len(chunk) < size:
            return
        record += chunk
        position += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


def values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def read(path: Path) -> Written:
    written = Written()
    for content in records(path):
        record = wandb_internal_pb2.Record.FromString(content)  # type: ignore[attr-defined]
        kind = record.WhichOneof("record_type")
        if kind == "run":
            written.run = record.run
            written.config |= values(record.run.config.update)
        elif kind == "config":
            written.config |= values(record.config.update)
        elif kind == "history":
            written.history.append(values(record.history.item))
        elif kind == "summary":
            written.summary |= values(record.summary.update)
        elif kind == "exit":
            written.exit_code = record.exit.exit_code
    return written


def runs(folder: Path, kind: str = "offline-run") -> dict[str, Written]:
    """Every run in the folder by its name."""
    found = [read(path) for path in folder.glob(f"wandb/{kind}-*/run-*.wandb")]
    found = [written for written in found if written.run]
    named = {written.run.display_name.removeprefix("study1 "): written for written in found}
    assert len(named) == len(found)
    return named


class Answers(BaseHTTPRequestHandler):
    """As much of W&B's server as runs without media and reports need."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/file_stream"):
            self.keep(self.path.split("/")[-2], json.loads(content))
            return self.answer({"exitcode": None, "limits": {}})
        asked = json.loads(content)
        variables = asked.get("variables") or {}
        if "upsertBucket" in asked["query"]:
            self.server.begun.add(variables["name"])  # type: ignore[attr-defined]
            project = {"name": "study", "entity": {"name": "me"}}
            bucket = {"id": "1", "name": variables["name"], "displayName": "", "project": project}
            return self.answer({"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}})
        if "viewer" in asked["query"]:
            return self.answer({"data": {"viewer": VIEWER}})
        if "ProjectInternalId" in asked["query"]:
            there = {"id": "1", "internalId": "1"} if variables["projectName"] in self.server.projects else None  # type: ignore[attr-defined]
            return self.answer({"data": {"project": there}})
        if "GetProjects" in asked["query"]:
            return self.answer({"data": {"models": self.models()}})
        if "upsertView" in asked["query"]:
            return self.answer({"data": {"upsertView": self.view(variables)}})
        if asked.get("operationName") == "CreateRunFiles":
            url = f"http://{self.headers['host']}/upload"
            uploads = [{"name": name, "uploadUrl": url} for name in variables["files"]]
            return self.answer({"data": {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": uploads}}})
        return self.answer({"data": {}})

    def keep(self, run: str, sent: dict[str, Any]) -> None:
        """The rows of a run's history, each at the place that it was sent to."""
        history = (sent.get("files") or {}).get("wandb-history.jsonl", {"offset": 0, "content": []})
        rows = self.server.history.setdefault(run, {})  # type: ignore[attr-defined]
        rows.update(enumerate(map(json.loads, history["content"]), start=history["offset"]))

    def models(self) -> dict[str, Any]:
        projects = [
            {"__typename": "Project", "id": name, "name": name, "entityName": "me", "isBenchmark": False, "user": None}
            for name in sorted(self.server.projects)  # type: ignore[attr-defined]
        ]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"pageInfo": page, "edges": [{"node": project | {"createdAt": DATE}} for project in projects]}

    def view(self, given: dict[str, Any]) -> dict[str, Any]:
        saved = self.server.reports  # type: ignore[attr-defined]
        view = {**given, "id": given["id"] or f"report{len(saved)}", "updatedAt": DATE}
        view["project"] = {"id": "1", "name": given["projectName"], "entityName": given["entityName"]}
        inserted = view["id"] not in saved
        saved[view["id"]] = view
        return {"view": view, "inserted": inserted}

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer({})

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.begun: set[str] = set()
        self.history: dict[str, dict[int, dict[str, Any]]] = {}
        self.projects: set[str] = set()
        self.reports: dict[str, dict[str, Any]] = {}
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def handle_error(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()
