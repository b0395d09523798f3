"""Records in a bucket, which moto's server keeps on this machine; machines are caches of their own."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import msgspec
import pyarrow.fs as pafs
import pytest

from study import run
from study.results import bucket, lock, place
from study.results.record import Record
from study.results.writer import Writer
from tests.integration.test_bucket import CREDENTIALS, Bucket, for_members_only
from tests.unit.test_journal import add, expected, seen
from trainables.checkpoint_folder import Checkpoints


@dataclass
class Store:
    """An S3 server with the bucket `studies`.

    Attributes:
        said: what was told to the user of `mirrored`.
    """

    server: Bucket
    filesystem: pafs.S3FileSystem
    stop: Callable[[], None]
    start: Callable[[], None]
    said: list[str] = field(default_factory=list)

    def address(self, name: str = "") -> str:
        return self.server.address(f"studies/{name}".rstrip("/"))

    def names(self, name: str) -> set[str]:
        found = self.filesystem.get_file_info(
            pafs.FileSelector(f"studies/{name}", recursive=True, allow_not_found=True)
        )
        return {one.path.removeprefix(f"studies/{name}/") for one in found if one.type == pafs.FileType.File}

    def known(self, path: Path, name: str) -> bool:
        """Whether a working copy has noted that the bucket has that file of its folder."""
        noted = path / bucket.STATE
        return noted.exists() and json.loads(noted.read_text()).get(name, [None, None])[1] is not None

    def content(self, name: str) -> bytes:
        return bytes(self.filesystem.open_input_stream(f"studies/{name}").read())

    def write(self, name: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(f"studies/{name}") as file:
            file.write(content)


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    moto = pytest.importorskip("moto.server", reason="needs moto and Flask: pip install 'moto[s3]' flask flask-cors")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        running = [moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)]
        running[0].start()
        host, port = running[0].get_host_and_port()

        def start() -> None:
            running[0] = moto.ThreadedMotoServer(ip_address=host, port=port, verbose=False)
            running[0].start()

        place = f"{host}:{port}"
        remote = pafs.S3FileSystem(
            endpoint_override=place, scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        remote.create_dir("studies")
        yield Store(Bucket(place), remote, lambda: running[0].stop(), start)
        running[0].stop()


@pytest.fixture
def store(server: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "here"))
    monkeypatch.setattr(bucket, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(bucket, "SHARE", 1)
    server.said.clear()
    return server


@contextmanager
def elsewhere(tmp_path: Path) -> Iterator[None]:
    """Inside, this is another machine, with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
        yield


def command(*words: str) -> subprocess.CompletedProcess[str]:
    done = [sys.executable, "-m", *words]
    return subprocess.run(done, capture_output=True, text=True, timeout=280, env=dict(os.environ))


def in_this_process(capsys: pytest.CaptureFixture[str], module: str, *words: str) -> tuple[int, str, str]:
    """Its exit code, output and errors: what only reads a record need not import torch again."""
    capsys.readouterr()
    code: int = import_module(module).main(list(words))
    return code, *capsys.readouterr()


def wait_until(condition: Callable[[], bool], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begun(path: Path, trials: int = 2) -> Record:
    path.mkdir(parents=True)
    record = Record(path)
    for number in range(trials):
        add(record, number)
    record.note(status="running")
    return record


def test_what_is_written_is_in_the_bucket_while_the_study_runs_and_on_another_machine(
    store: Store, tmp_path: Path
) -> None:
    path = place.local(store.address("running"))
    with bucket.mirrored(path, store.said.append):
        record = begun(path)
        (path / "wandb" / "run-1").mkdir(parents=True)
        (path / "wandb" / "run-1" / "run.wandb").write_text("grows")
        wait_until(lambda: {"study.json", "record.journal", "trials.parquet"} <= store.names("running"))
        add(record, 2)
        journal = path / "record.journal"
        wait_until(lambda: store.content("running/record.journal") == journal.read_bytes())
        assert not any("wandb" in name for name in store.names("running"))
    assert "wandb/run-1/run.wandb" in store.names("running")
    assert store.said == []
    with elsewhere(tmp_path):
        there = place.local(store.address("running"))
        bucket.fetch(there)
        assert seen(there) == expected(3)
        assert (there / "wandb" / "run-1" / "run.wandb").read_text() == "grows"
        with bucket.mirrored(there, store.said.append):
            record = Record(there)
            add(record, 3)
            record.note(status="finished")
            (there / "wandb" / "run-1" / "run.wandb").unlink()  # as W&B's part does with an interrupted run
    bucket.fetch(path)
    assert seen(path) == expected(4)
    assert not (path / "wandb").exists()
    assert not [name for name in store.names("running") if name.startswith(("wandb", "."))]


def test_a_reader_of_records_leaves_models_and_tracking_where_they_are(store: Store) -> None:
    for name in (
        "study.json",
        "best/model.safetensors",
        "best/config.json",
        "wandb/stamp",
        ".checkpoints/t.checkpoint",
    ):
        store.write(f"reading/one/{name}", b"{}")
    path = place.local(store.address("reading"))
    bucket.fetch(path, whole=False)
    assert (path / "one" / "best" / "config.json").exists()
    assert not (path / "one" / "best" / "model.safetensors").exists()
    assert not (path / "one" / "wandb").exists()
    assert not (path / "one" / ".checkpoints").exists()
    bucket.fetch(path)
    assert (path / "one" / "best" / "model.safetensors").read_bytes() == b"{}"


def test_a_record_that_was_removed_from_the_bucket_is_gone_here(store: Store) -> None:
    path = place.local(store.address("removed"))
    with bucket.mirrored(path, store.said.append):
        begun(path)
    store.filesystem.delete_dir("studies/removed")
    bucket.fetch(path)
    assert not path.exists()


def test_what_changed_in_both_places_is_refused_and_nothing_is_lost(store: Store, tmp_path: Path) -> None:
    path = place.local(store.address("both"))
    with bucket.mirrored(path, store.said.append):
        begun(path)
    record = Record(path)
    add(record, 2)  # never brought
    with elsewhere(tmp_path):
        there = place.local(store.address("both"))
        bucket.fetch(there)
        with bucket.mirrored(there, store.said.append):
            other = Record(there)
            add(other, 2)
            add(other, 3)
    bucket.fetch(path, whole=False)  # who only reads takes what is here
    assert seen(path) == expected(3)
    with pytest.raises(
        ValueError, match=r"record.journal.* was changed from elsewhere, and its copy .*: remove "
    ) as why:
        bucket.fetch(path)
    assert str(why.value).count("\n") == 0
    assert seen(path) == expected(3)


def test_the_state_of_a_run_is_in_the_bucket_while_it_is_under_way_and_is_never_in_the_way(
    store: Store, tmp_path: Path
) -> None:
    path = place.local(store.address("kept"))
    checkpoints, name = Checkpoints(path / ".checkpoints"), ".checkpoints/trial-002.checkpoint"
    with bucket.mirrored(path, store.said.append):
        begun(path)
        checkpoints.write("trial-002", b"after 100 steps")
        wait_until(lambda: name in store.names("kept"))
    checkpoints.write("trial-002", b"after 200 steps")  # the machine was killed before this was brought
    with elsewhere(tmp_path):
        there = place.local(store.address("kept"))
        bucket.fetch(there)
        other = Checkpoints(there / ".checkpoints")
        assert other.read("trial-002") == b"after 100 steps"
        with bucket.mirrored(there, store.said.append):
            other.write("trial-002", b"after 3000 steps")  # of another size: S3 tells times to the second
            wait_until(lambda: store.content(f"kept/{name}") == b"after 3000 steps")
    bucket.fetch(path)
    assert checkpoints.read("trial-002") == b"after 3000 steps"
    with bucket.mirrored(path, store.said.append):
        checkpoints.clear()
    assert name not in store.names("kept")
    assert store.said == []


def test_two_machines_that_write_one_study_notice(store: Store, tmp_path: Path) -> None:
    path = place.local(store.address("two"))

    def study() -> None:
        with bucket.mirrored(path, store.said.append):
            record = begun(path)
            wait_until(lambda: store.known(path, "study.json"))
            store.write("two/record.journal", b"somebody else's")
            add(record, 2)
            wait_until(lambda: bool(store.said))

    with pytest.raises(bucket.NotBrought, match=r"two/record.journal.* is written from elsewhere as well; what this"):
        study()
    assert store.content("two/record.journal") == b"somebody else's"


def test_who_writes_to_a_bucket_from_another_machine_is_seen_while_it_gives_signs(store: Store) -> None:
    path = place.local(store.address("locked"))
    with lock.take(path, "python -m study.run"):
        assert store.names("locked") == {lock.NAME}
    assert store.names("locked") == set()
    holder = lock.Holder.this("python -m study.run")
    there = msgspec.structs.replace(holder, writer=Writer(host="elsewhere", boot="another 1", pid=7, born="1"))
    store.write(f"locked/{lock.NAME}", msgspec.json.encode(there))
    for how in (lock.check, lambda path: lock.take(path, "now")):
        with pytest.raises(lock.Held, match=r"s3://studies/locked.* is being written by .*host elsewhere, process 7"):
            how(path)
    dead = msgspec.structs.replace(there, sign=f"{time.time() - 61:017.3f}")
    store.write(f"locked/{lock.NAME}", msgspec.json.encode(dead))
    lock.take(path, "now").release()
    assert store.names("locked") == set()


def test_a_bucket_that_is_away_for_a_while_costs_nothing_but_two_lines(store: Store) -> None:
    path = place.local(store.address("away"))
    with bucket.mirrored(path, store.said.append):
        record = begun(path)
        wait_until(lambda: store.known(path, "study.json"))
        store.stop()
        add(record, 2)
        wait_until(lambda: len(store.said) == 1)
        add(record, 3)
        store.start()
        wait_until(lambda: len(store.said) == 2)
    assert "does not answer (" in store.said[0]
    assert str(path) in store.said[0]
    assert "answers again" in store.said[1]
    bucket.fetch(path)
    assert seen(path) == expected(4)
    assert store.content("away/record.journal") == (path / "record.journal").read_bytes()


def test_what_could_not_be_brought_at_the_end_is_said_and_brought_by_the_next_command(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "PATIENCE", 2)
    path = place.local(store.address("end"))

    def study() -> None:
        with bucket.mirrored(path, store.said.append):
            record = begun(path)
            wait_until(lambda: store.known(path, "study.json"))
            store.stop()
            add(record, 2)

    with pytest.raises(bucket.NotBrought, match=r"end\?.* lacks what lies in .*; the same command again brings it"):
        study()
    store.start()
    bucket.fetch(path)
    with bucket.mirrored(path, store.said.append):
        assert seen(path) == expected(3)
    assert store.content("end/record.journal") == (path / "record.journal").read_bytes()


KILLED = """
import sys, time
from study import run
from study.results import bucket, lock, place
from study.results.record import Record
from study.results.writer import Writer
from tests.unit.test_journal import add

bucket.EVERY_SECONDS, bucket.SHARE = 0.01, 0
path = place.local(sys.argv[1])
bucket.fetch(path)
with bucket.mirrored(path, print):
    path.mkdir(parents=True, exist_ok=True)
    record = Record(path)
    for number in range(len(record.trials), 100_000):
        add(record, number)
        print(number, flush=True)
        time.sleep(0.01)
"""


def test_a_machine_that_is_killed_goes_on_from_its_copy_and_another_from_the_bucket(
    store: Store, tmp_path: Path
) -> None:
    address = store.address("killed")
    finished = 0
    for turn in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, address], stdout=subprocess.PIPE, env=dict(os.environ)
        ) as process:
            assert process.stdout
            for _ in range(20 + 9 * turn):
                finished = int(process.stdout.readline()) + 1
            process.kill()
        path = place.local(address)
        bucket.fetch(path)
        assert len(seen(path)) >= finished
        assert seen(path) == expected(len(seen(path)))
    with elsewhere(tmp_path):
        there = place.local(address)
        bucket.fetch(there)
        assert seen(there) == expected(len(seen(there)))
        assert len(seen(there)) > 0


@pytest.mark.parametrize("of", ["no bucket", "no rights", "a closed port"])
def test_a_bucket_that_cannot_be_written_is_one_line_before_anything_starts(of: str, store: Store) -> None:
    server = Bucket("127.0.0.1:9") if of == "a closed port" else store.server
    address = server.address("nowhere/x" if of == "no bucket" else "studies/x")
    words = ["--model", "resnet", "--pretraining", "none", "--results", address, "--name", "mine"]

    if of == "no rights":
        with for_members_only(store.server):
            done = command("study.run", *words)
    else:
        done = command("study.run", *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: results ")
    assert done.stderr.count("\n") == 1
    assert address.partition("?")[0] in done.stderr
    assert "hidden" not in done.stderr
    assert not place.local(address).exists()


def test_a_study_in_a_bucket_is_read_compared_and_reported_on_another_machine(
    ray_session: None, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = store.address("all")
    words = ["--model", "resnet", "--pretraining", "none", "--scale", "mini", "--name", "mine", "--wandb", "offline"]
    budget = ["--trials", "1", "--epochs", "1", "--top-k", "1", "--seeds", "1", "--max-concurrent", "1"]
    study = ["study.run", *words, *budget, "--results", address]
    code, said, err = in_this_process(capsys, *study)
    assert code == 0, err
    page = store.server.address("studies/all/mine/report.html")
    assert page in said
    written = store.names("all/mine")
    assert {"study.json", "trials.parquet", "report.html", "optuna.journal", "best/model.safetensors"} <= written
    assert any(name.startswith("wandb/offline-run-") and name.endswith(".wandb") for name in written)
    assert not [name for name in written if name.rpartition("/")[2].startswith(".")]
    code, _, refused = in_this_process(capsys, *study)
    assert (code, refused.count("\n")) == (2, 1)
    assert f"error: {store.server.address('studies/all/mine')} exists: go on with it by --resume" in refused
    with elsewhere(tmp_path):
        code, again, err = in_this_process(capsys, *study, "--resume")
        assert code == 0, err
        assert page in again
        code, _, err = in_this_process(capsys, "study.wandb_report.__main__", store.server.address("studies/all/mine"))
        assert code == 0, err
        assert "wandb/report.json" in store.names("all/mine")
        _, told, err = in_this_process(capsys, "study.status", address)
        assert "finished" in told, err
    with elsewhere(tmp_path / "third"):
        words = ["--from", address, "--results", address, "--name", "both"]
        code, compared, err = in_this_process(capsys, "study.compare", *words)
        assert code == 0, err
        assert store.server.address("studies/all/both/report.html") in compared
    assert {"comparison.json", "report.html"} <= store.names("all/both")
    rows = json.loads(store.content("all/both/comparison.json"))["groups"][0]["rows"]
    assert [row["record"] for row in rows] == [store.server.address("studies/all/mine")]
    result = run(
        "resnet",
        pretraining="none",
        scale="mini",
        name="mine",
        results=address,
        resume=True,
        trials=1,
        epochs=1,
        top_k=1,
        seeds=1,
        max_concurrent=1,
    )
    assert result.record.study.status == "finished"


def test_nothing_is_followed_once_a_study_has_ended() -> None:
    assert not os.environ.get(bucket.FOLLOWED)
    assert "bucket" not in {thread.name for thread in threading.enumerate()}
