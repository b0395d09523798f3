"""Where results lie: a folder, or an address that has one path here, which tells the address again."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pytest

from study.results import bucket, place


@pytest.fixture(autouse=True)
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "given",
    [
        "s3://bucket/studies/mine",
        "s3://bucket",
        "gs://anonymous@bucket/x",
        "abfs://container@account.dfs.core.windows.net/studies",
        "s3://bucket/a?endpoint_override=127.0.0.1%3A5000&scheme=http",
        "s3://bucket/a?endpoint_override=http://127.0.0.1:5000&region=us-east-1",
    ],
)
def test_the_path_of_an_address_tells_the_address(given: str, copies: Path) -> None:
    path = place.local(given)
    assert path.is_relative_to(copies)
    assert place.address(path) == place.shown(path) == given
    bucket, mark, options = given.partition("?")
    assert place.address(path / "study" / "report.html") == f"{bucket}/study/report.html{mark}{options}"


def test_addresses_that_differ_have_different_paths() -> None:
    given = ["s3://a/b", "s3://a/c", "gs://a/b", "s3://b/b", "s3://a/b?region=x", "s3://a/b?region=y"]
    assert len({place.local(one) for one in given}) == len(given)


@pytest.mark.parametrize("given", ["results", "/data/studies", Path("results"), "odd:name"])
def test_a_folder_is_itself(given: str | Path) -> None:
    assert place.local(given) == Path(given)
    assert place.address(Path(given)) is None
    assert place.shown(Path(given)) == str(given)


def test_a_home_is_found_and_a_file_address_is_its_folder() -> None:
    assert place.local("~/studies") == Path.home() / "studies"
    assert place.local("file:///shared/my%20studies") == Path("/shared/my studies")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ftp://host/x", "ftp://host/x: results lie in a folder, or at s3://, gs://"),
        ("", "got an empty name"),
        (f"results/{'a' * 300}/x", "aaaaaaaaaaaaaaaaaaaa... is longer than 200 bytes"),
        ("s3:///x", "names no bucket"),
        (Path("s3://bucket/x"), "one slash where an address has two"),
        ("s3:/bucket/x", "one slash where an address has two"),
        ("s3://key:hidden@bucket/x", "holds a secret"),
        ("abfs://c@a.dfs.core.windows.net/x?sas_token=hidden", "holds a secret"),
        ("s3://bucket/../x", "has . or .. in it"),
        (f"s3://bucket/x?endpoint_override={'a' * 300}", "longer than 200"),
    ],
)
def test_what_can_be_no_place_is_one_line_without_the_secret(given: str | Path, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as reason:
        place.local(given)
    assert "hidden" not in str(reason.value)
    assert "\n" not in str(reason.value)


def test_what_pyarrow_has_no_name_for_is_a_place_that_does_not_answer() -> None:
    """So it says that Azure refuses a login; it is a kind of no other exception."""
    with pytest.raises(OSError, match="Unknown error: failed: AuthenticationException"), bucket.asked():
        raise pa.ArrowException("Unknown error: failed:\nAuthenticationException")


def test_results_in_azure_take_the_key_of_an_account_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_KEY", "a2V5")
    filesystem, base = bucket.opened("abfs://account@127.0.0.1:9/container/folder?enable_tls=false")
    authority = {"blob_storage_authority": "127.0.0.1:9", "dfs_storage_authority": "127.0.0.1:9"}
    schemes = {"blob_storage_scheme": "http", "dfs_storage_scheme": "http"}
    assert filesystem == pafs.AzureFileSystem("account", account_key="a2V5", **authority, **schemes)
    assert base == "container/folder"
