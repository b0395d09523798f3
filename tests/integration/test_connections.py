"""A cluster that a study cannot run on is one line within ten seconds, whatever is wrong with it."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from study.cluster import environment
from tests.nodes import Head, Nodes, ray_head, ray_nodes

ROOT = Path(__file__).parents[2]
SECONDS = 10 if "CI" not in os.environ else 30  # a machine that others use may be slow
STUDY = ["study.run", "--model", "vit", "--pretraining", "none"]
COMMANDS = {
    "run": STUDY,
    "compare": ["study.compare", "--models", "vit", "--pretraining", "none"],
    "probe": ["study.probe", "--model", "vit", "--pretraining", "none"],
    "data_efficiency": ["study.data_efficiency", str(ROOT / "tests" / "old_records" / "alexnet-fashion60k-digits")],
}


def line(
    words: list[str], variables: dict[str, str], folder: Path, *, before: tuple[str, ...] = (), seconds: float = SECONDS
) -> str:
    """The one line that a command ends with, of a user's mistake, in time."""
    # Ray turns tokens on in the process that starts it, as a test of this session may have done
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH_")}
    given = ours | {"PYTHONPATH": str(ROOT)} | variables
    command = [*before, sys.executable, "-m", *words]
    began = time.monotonic()
    ran = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=60)
    took = time.monotonic() - began
    assert (ran.returncode, ran.stdout) == (2, ""), ran.stdout + ran.stderr
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert took < seconds
    assert not (folder / "results").exists()
    return ran.stderr


@pytest.fixture
def silent() -> Iterator[str]:
    """Something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def web() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def other_grpc() -> Iterator[str]:
    """A gRPC server that is no Ray head."""
    grpc = pytest.importorskip("grpc")
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_listens(command: str, tmp_path: Path) -> None:
    said = line(COMMANDS[command], {"RAY_ADDRESS": "127.0.0.1:9"}, tmp_path)
    assert "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:9: unset it" in said


@pytest.mark.parametrize("what", ["silent", "web", "other_grpc"])
def test_something_else_listens(what: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    there = request.getfixturevalue(what)
    assert f"what listens at RAY_ADDRESS={there} is no Ray head" in line(STUDY, {"RAY_ADDRESS": there}, tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_client_address_is_answered_by_the_command_that_submits_a_job(command: str, tmp_path: Path) -> None:
    words = COMMANDS[command]
    said = line(words, {"RAY_ADDRESS": "ray://head.example:10001"}, tmp_path)
    assert f"python -m study.submit --address http://head.example:8265 -- {' '.join(words)}" in said


def test_an_address_without_a_port_is_none(tmp_path: Path) -> None:
    assert "RAY_ADDRESS=head is no HOST:PORT" in line(STUDY, {"RAY_ADDRESS": "head"}, tmp_path)


# A head that wants a token, started by `ray start` under a temporary folder of its own

TOKEN = "0123456789abcdef" * 8  # longer than what one byte can count in HTTP/2's headers


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with ray_head(tmp_path_factory.mktemp("head").resolve(), token=TOKEN) as head:
        yield head


@pytest.fixture
def address(guarded: Head) -> str:
    return guarded.address


def test_a_head_under_a_temporary_folder_of_its_own_is_found_and_its_missing_token_named(
    guarded: Head, address: str, tmp_path: Path
) -> None:
    for variable in ("RAY_TMPDIR", "TMPDIR"):
        said = line(STUDY, {variable: str(guarded.folder), "HOME": str(tmp_path)}, tmp_path)
        assert f"the Ray cluster at {address} ({guarded.folder}/ray/ray_current_cluster) wants a token" in said
        assert "there is none in ~/.ray/auth_token" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_token_is_named(command: str, address: str, tmp_path: Path) -> None:
    said = line(COMMANDS[command], {"RAY_ADDRESS": address, "RAY_AUTH_TOKEN": "another"}, tmp_path)
    assert f"the Ray cluster at RAY_ADDRESS={address} refuses the token in RAY_AUTH_TOKEN" in said


def test_tokens_that_are_turned_off_or_missing_are_named(address: str, tmp_path: Path) -> None:
    off = line(STUDY, {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}, tmp_path)
    assert "wants a token, and RAY_AUTH_MODE=disabled" in off
    missing = {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/no/token"}
    assert "RAY_AUTH_MODE=token, but there is no token in /no/token" in line(STUDY, missing, tmp_path)


def test_the_right_token_is_used_without_being_turned_on(guarded: Head, address: str, tmp_path: Path) -> None:
    script = """
import ray, study
from study.cluster import connection
with connection.connected():
    print(len(ray.nodes()))
"""
    given = {"RAY_ADDRESS": address, "HOME": str(guarded.home), "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", script], env=os.environ | given, capture_output=True, text=True)
    assert ran.stdout == "1\n", ran.stderr


def test_a_machine_that_is_no_node_gets_the_command_that_submits_a_job(
    guarded: Head, address: str, tmp_path: Path
) -> None:
    apart = ("unshare", "--pid", "--fork", "--mount-proc")  # sees no raylet, as another machine
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs namespaces of processes")
    given = {"RAY_ADDRESS": address, "HOME": str(guarded.home)}
    url = f"http://{address.rpartition(':')[0]}:{guarded.dashboard_port}"
    for words in (STUDY, COMMANDS["data_efficiency"]):
        said = line(words, given, tmp_path, before=apart)
        assert f"this machine is no node of the Ray cluster at RAY_ADDRESS={address}" in said
        assert f"python -m study.submit --address {url} -- {' '.join(words)}" in said


# Nodes that differ

ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("study", "trainables", "search_spaces"):
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A cluster with a node that lacks the package."""
    folder = tmp_path_factory.mktemp("uneven")
    (folder / "sitecustomize.py").write_text(ABSENT)
    with ray_nodes(folder, 1, {"num_cpus": 1, "env_vars": {"PYTHONPATH": str(folder)}}) as nodes:
        yield nodes


def test_a_node_without_the_package_is_named(uneven: Nodes, tmp_path: Path) -> None:
    said = line(STUDY, {"RAY_ADDRESS": uneven.cluster.address}, tmp_path, seconds=3 * SECONDS)
    assert f"node {socket.gethostname()} lacks this package" in said


def test_another_version_of_ray_is_named_with_ours(uneven: Nodes, tmp_path: Path) -> None:
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    head = GcsClient(address=uneven.cluster.address)
    key, namespace = b"CLUSTER_METADATA", b"cluster"
    before = head.internal_kv_get(key, namespace=namespace)
    other = json.dumps(json.loads(before) | {"ray_version": "2.1.0"}).encode()
    head.internal_kv_put(key, other, True, namespace=namespace)
    try:
        said = line(STUDY, {"RAY_ADDRESS": uneven.cluster.address}, tmp_path)
    finally:
        head.internal_kv_put(key, before, True, namespace=namespace)
    python = ".".join(map(str, sys.version_info[:3]))
    assert f"has Ray 2.1.0 on Python {python}, and this is Ray {ray.__version__} on Python {python}" in said


# Whose head it is


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_file_of_another_user_names_no_cluster(
    silent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ray" / "ray_current_cluster"
    path.parent.mkdir()
    path.write_text(silent)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert environment.read(path) == silent
    assert environment.address() == silent
    os.chown(path, 12345, 12345)
    assert environment.read(path) is None
    assert environment.address() != silent
