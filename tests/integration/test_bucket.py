"""Images in a bucket: moto's server speaks S3's protocol on this machine, pyarrow and Ray's workers talk to it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib import request as http

import numpy as np
import pyarrow.fs as pafs
import pytest

from study.data import place, resolve
from study.data.__main__ import main as data_main
from study.data.source import DatasetRequest
from study.data.splits import split
from study.run import main
from tests.contract.photographs import hugging_face, in_parts, parquet, pixels_of, rows, saved

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "hidden", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True)
class Bucket:
    host: str

    def address(self, path: str) -> str:
        return f"s3://{path}?endpoint_override={self.host}&scheme=http&region=us-east-1"


@pytest.fixture(scope="module")
def credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def bucket(credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """With the folder `photos/leaves`, the file `photos/train.parquet` and a saved dataset `photos/saved`."""
    server = pytest.importorskip("moto.server", reason="needs moto and Flask: pip install 'moto[s3]' flask flask-cors")
    thread = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    thread.start()
    host = "{}:{}".format(*thread.get_host_and_port())
    local = tmp_path_factory.mktemp("local")
    in_parts(local / "leaves")
    parquet(local / "train.parquet", hugging_face(*rows(8)))
    saved(local / "saved", hugging_face(*rows(8)), shards=2)
    remote = pafs.S3FileSystem(endpoint_override=host, scheme="http", region="us-east-1", allow_bucket_creation=True)
    remote.create_dir("photos")
    pafs.copy_files(str(local), "photos", destination_filesystem=remote)
    yield Bucket(host)
    thread.stop()


def test_a_folder_in_a_bucket_is_read_as_one_here(bucket: Bucket) -> None:
    source = resolve.load(bucket.address("photos/leaves"), DatasetRequest())
    assert source.classes == ("one", "two", "zero")
    splits = split(source)
    assert splits.sizes() == {"train": 18, "val": 6, "test": 9}
    assert source.images.name(0) == "test/one/000.png"
    assert np.array_equal(next(source.images.decoded(np.array([0]))), pixels_of(1, 8))


@pytest.mark.parametrize("path", ["photos/train.parquet", "photos/saved", "photos/saved/"])
def test_tables_in_a_bucket_are_read_as_those_here(bucket: Bucket, path: str) -> None:
    source = resolve.load(bucket.address(path), DatasetRequest())
    assert (source.classes, len(source.labels)) == (("zero", "one", "two"), 24)
    assert np.array_equal(next(source.images.decoded(np.array([4]))), pixels_of(1, 1))


def test_a_bucket_is_checked_and_named_like_its_folder(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    assert data_main(["check", bucket.address("photos/leaves")]) == 0
    assert "train 18, val 6, test 9" in capsys.readouterr().out
    assert place.name_of(bucket.address("photos/leaves")) == "leaves"


READ = """
import os, sys
import numpy as np, ray
from study.cluster import connection
from study.data import place, resolve
from study.data.reading import read
from study.data.source import DatasetRequest

connection.quieten()
source = resolve.load(sys.argv[1], DatasetRequest())
with connection.connected():
    rows = read(source, np.arange(len(source.labels))).take_all()
    seen = ray.get(ray.remote(lambda: os.environ.get("AWS_ACCESS_KEY_ID")).remote())
print(len(rows), sum(int(row["image"].sum()) for row in rows), seen)
"""


def test_rays_workers_read_a_bucket_with_the_credentials_of_the_environment(bucket: Bucket) -> None:
    address = bucket.address("photos/leaves")
    script = [sys.executable, "-c", READ, address]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300, env=dict(os.environ))
    images = resolve.load(address, DatasetRequest()).images
    total = sum(int(pixels.sum()) for pixels in images.decoded(np.arange(33)))
    assert done.stdout.split() == ["33", str(total), "someone"], done.stderr


@contextmanager
def for_members_only(bucket: Bucket) -> Iterator[None]:
    """Inside, the server answers nobody whom it does not know."""

    def check_after(requests: bytes) -> None:
        address, plain = f"http://{bucket.host}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        http.urlopen(http.Request(address, requests, plain)).close()

    check_after(b"0")
    try:
        yield
    finally:
        check_after(b"inf")


def test_credentials_that_are_wrong_are_one_line(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    with for_members_only(bucket):
        assert data_main(["check", bucket.address("photos/leaves")]) == 2
    error = capsys.readouterr().err
    assert "cannot be read" in error
    assert "ACCESS_DENIED" in error
    assert "hidden" not in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("of", ["a closed port", "nothing in the bucket", "no bucket"])
def test_a_bucket_that_cannot_be_had_is_one_line_within_seconds(
    of: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = Bucket("127.0.0.1:9")
    here = closed if of == "a closed port" else request.getfixturevalue("bucket")
    address = here.address("elsewhere/x" if of == "no bucket" else "photos/nothing")
    start = time.perf_counter()
    arguments = ["--model", "vit", "--pretraining", "none", "--dataset", address]
    assert main([*arguments, "--results", str(tmp_path / "results")]) == 2
    assert time.perf_counter() - start < 60
    error = capsys.readouterr().err
    assert error.startswith(f"error: dataset {address}")
    assert ("Could not connect" if of == "a closed port" else "no such folder or file") in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("credentials")
def test_a_region_that_cannot_be_asked_for_and_an_unknown_option_are_one_line() -> None:
    with pytest.raises(ValueError, match="cannot be read: Unexpected query parameter in S3 URI: 'colour'"):
        resolve.load("s3://photos/x?colour=red&region=us-east-1", DatasetRequest())


def test_googles_client_is_told_to_give_up_in_time() -> None:
    address = "gs://anonymous@photos/leaves?endpoint_override=127.0.0.1:9&scheme=http"
    filesystem, place = resolve.opened(address)
    assert (type(filesystem), place) == (pafs.GcsFileSystem, "photos/leaves")
    assert resolve.impatient("gs://photos/x") == f"gs://photos/x?retry_limit_seconds={resolve.PATIENCE_SECONDS}"
    start = time.perf_counter()
    with pytest.raises(ValueError, match="cannot be read"):
        resolve.load(f"{address}&retry_limit_seconds=2", DatasetRequest())
    assert time.perf_counter() - start < 30
