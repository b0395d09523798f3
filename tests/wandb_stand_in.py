"""What the W&B client wrote, read from its own files, and a server that it takes for W&B's."""

import json
import re
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

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
    """As much of W&B's server as runs, sweeps, agents, artifacts and reports need: each call is answered by the query
    or mutation that the real client sends, and by the fields that it reads of the answer."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        if self.path.endswith("/file_stream"):
            self.keep(self.path.split("/")[-2], json.loads(content))
            return self.answer({"exitcode": None, "limits": {}})
        asked = json.loads(content)
        called = re.search(r"\b(\w+)\s*\(\s*input:", asked["query"]) or re.search(
            r"(?:query|mutation)\s+(\w+)", asked["query"]
        )
        does = getattr(self, f"on_{called[1]}", None) if called else None
        if "viewer" in asked["query"]:
            return self.answer({"data": {"viewer": VIEWER}})
        return self.answer({"data": does(asked.get("variables") or {}) if does else {}})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "artifact":
            artifact, _, file = name.partition("/")
            self.server.artifacts[artifact].files[unquote(file)] = content
        self.answer({})

    def keep(self, run: str, sent: dict[str, Any]) -> None:
        """The rows of a run's history, each at the place that it was sent to."""
        history = (sent.get("files") or {}).get("wandb-history.jsonl", {"offset": 0, "content": []})
        rows = self.server.history.setdefault(run, {})
        rows.update(enumerate(map(json.loads, history["content"]), start=history["offset"]))

    # Runs

    def on_upsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = given.get("name") or given["id"].removeprefix("run:")
        inserted = name not in self.server.runs
        self.server.begun.add(name)
        run = self.server.runs.setdefault(name, Run())
        run.title = given.get("displayName") or run.title
        run.tags = run.tags if given.get("tags") is None else given["tags"]
        run.sweep = given.get("sweep") or run.sweep
        run.group, run.job = given.get("groupName") or run.group, given.get("jobType") or run.job
        run.config |= json.loads(given.get("config") or "{}")
        run.project = given.get("project") or run.project
        return {"upsertBucket": {"bucket": self.bucket(name), "inserted": inserted}}

    def bucket(self, name: str) -> dict[str, Any]:
        run = self.server.runs[name]
        there = {"id": f"run:{name}", "name": name, "displayName": run.title, "sweepName": run.sweep, "tags": run.tags}
        project = {"name": run.project, "entity": {"name": "me"}}
        return there | {"project": project, "group": run.group, "jobType": run.job, "config": json.dumps(run.config)}

    def on_Run(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = given["name"]
        if name not in self.server.runs:
            return {"project": {"run": None}}
        loaded = {"projectId": "1", "state": "finished", "createdAt": DATE, "heartbeatAt": DATE, "summaryMetrics": "{}"}
        empty = {"description": None, "notes": None}
        return {"project": {"run": self.bucket(name) | loaded | empty}}

    def on_createRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.server.runs[given["run"]].files.update(given["files"])
        uploads = [{"name": name, "uploadUrl": self.url("upload")} for name in given["files"]]
        return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": uploads}}

    # Sweeps, and their agents

    def on_upsertSweep(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = (given.get("id") or f"sweep:s{len(self.server.sweeps) + 1}").removeprefix("sweep:")
        sweep = self.server.sweeps.setdefault(name, {})
        sweep |= {"config": given["config"], "project": given["projectName"]}
        for one in json.loads(given.get("priorRunsFilters") or '{"$or": []}')["$or"]:
            self.server.runs[one["name"]].sweep = name
        project = {"id": "1", "name": given["projectName"], "entity": {"id": "1", "name": "me"}}
        return {"upsertSweep": {"sweep": {"name": name, "project": project}, "configValidationWarnings": []}}

    def on_SweepWithRuns(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = given["sweep"]
        if name not in self.server.sweeps:
            return {"project": {"sweep": None}}
        runs = [{"node": {"name": run}} for run, there in self.server.runs.items() if there.sweep == name]
        sweep = {"id": f"sweep:{name}", "name": name, "config": self.server.sweeps[name]["config"], "state": "RUNNING"}
        return {"project": {"sweep": sweep | {"runs": {"edges": runs}}}}

    def on_createAgent(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"createAgent": {"agent": {"id": f"agent of {given['sweep']}"}}}

    def on_agentHeartbeat(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """What the test has for the agent to do, and then that there is no more."""
        running = any(json.loads(given["runState"]).values())
        commands = [] if running else [self.server.commands.pop(0) if self.server.commands else {"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": given["id"]}, "commands": json.dumps(commands)}}

    # Artifacts

    def on_ArtifactType(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = given["name"].partition(":")[0]
        kinds = [one.kind for one in self.server.artifacts.values() if one.name == name]
        return {"project": {"artifact": {"artifactType": {"name": kinds[0]}} if kinds else None}}

    def on_createArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        asked = given["input"]
        number = f"a{len(self.server.artifacts)}"
        name, kind, run = asked["artifactCollectionName"], asked["artifactTypeName"], asked["runName"]
        self.server.artifacts[number] = Artifact(name, kind, run)
        sequence = {"id": name, "latestArtifact": None}
        artifact = {"id": number, "state": "PENDING", "artifactSequence": sequence, "artifactType": {"name": kind}}
        return {"createArtifact": {"artifact": artifact}}

    def on_createArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        url = self.url("upload") if given["includeUpload"] else None
        file = {"id": "1", "name": given["name"], "displayName": "", "uploadUrl": url, "uploadHeaders": []}
        manifest = {"id": f"manifest of {given['artifactID']}", "file": file}
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    def on_createArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        edges = []
        for file in given["input"]["artifactFiles"]:
            number, name = file["artifactID"], file["name"]
            node = {"id": name, "name": name, "displayName": name, "storagePath": name, "uploadHeaders": []}
            url = self.url(f"artifact/{number}/{quote(name)}")
            edges.append({"node": node | {"uploadUrl": url, "uploadMultipartUrls": None, "artifact": {"id": number}}})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def on_commitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.server.artifacts[given["artifactID"]].committed = True
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": ""}}}

    # Reports

    def on_ProjectInternalId(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        there = given["projectName"] in self.server.projects
        return {"project": {"id": "1", "internalId": "1"} if there else None}

    def on_GetProjects(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        projects = [
            {"__typename": "Project", "id": name, "name": name, "entityName": "me", "isBenchmark": False, "user": None}
            for name in sorted(self.server.projects)
        ]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"pageInfo": page, "edges": [{"node": one | {"createdAt": DATE}} for one in projects]}}

    def on_upsertView(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        saved = self.server.reports
        view = {**given, "id": given["id"] or f"report{len(saved)}", "updatedAt": DATE}
        view["project"] = {"id": "1", "name": given["projectName"], "entityName": given["entityName"]}
        inserted = view["id"] not in saved
        saved[view["id"]] = view
        return {"upsertView": {"view": view, "inserted": inserted}}

    def url(self, path: str) -> str:
        return f"http://{self.headers['host']}/{path}"

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Run:
    """As the server has it."""

    title: str = ""
    tags: list[str] = field(default_factory=list)
    sweep: str | None = None
    project: str = "study"
    group: str = ""
    job: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


@dataclass
class Artifact:
    """As the server has it."""

    name: str
    kind: str
    run: str
    committed: bool = False
    files: dict[str, bytes] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.begun: set[str] = set()
        self.history: dict[str, dict[int, dict[str, Any]]] = {}
        self.projects: set[str] = set()
        self.reports: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, Run] = {}
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.commands: list[dict[str, Any]] = []
        self.artifacts: dict[str, Artifact] = {}
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def handle_error(self, *_: object) -> None:
        pass

    def stop(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()
