"""Downloads from a real server that behaves and misbehaves, and archives that mean harm."""

import gzip
import hashlib
import io
import resource
import socket
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from study.data import download
from study.data.download import Archive, extract, fetch, obtain
from study.data.source import DatasetRequest

CONTENT = np.random.default_rng(0).bytes(1_000_000)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Server:
    """What the server does, and what was requested.

    Attributes:
        sends: bytes that it sends of each answer before it drops the connection; the whole from then on.
        fails: the status of as many of its first answers.
        ranges_requested: the Range of each request, None without one.
    """

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    tells_length: bool = True
    sends: list[int] = field(default_factory=list)
    fails: list[int] = field(default_factory=list)
    ranges_requested: list[str | None] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        byte_range = handler.headers.get("Range")
        self.ranges_requested.append(byte_range)
        start = int(byte_range.removeprefix("bytes=").removesuffix("-")) if byte_range and self.ranges else 0
        if self.fails:
            handler.send_error(self.fails.pop(0))
            return
        if start and start >= len(self.content):
            handler.send_error(416)
            return
        rest = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.tells_length:
            handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest[: self.sends.pop(0)] if self.sends else rest)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_address[1]}/data/archive.tar?download=1"
        yield state
        running.shutdown()
        thread.join()


def get(server: Server, target: Path, checksum: str = MD5, *, offline: bool = False) -> Path:
    return fetch(server.url, target, size=len(CONTENT), checksum=checksum, offline=offline)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# Downloads


@pytest.mark.parametrize("checksum", [MD5, SHA256])
def test_a_file_comes_whole_and_is_not_asked_for_again(server: Server, tmp_path: Path, checksum: str) -> None:
    target = tmp_path / "new" / "folder" / "archive.tar"
    for _ in range(2):
        assert get(server, target, checksum) == target
        assert target.read_bytes() == CONTENT
    assert server.ranges_requested == [None]
    assert visible(target.parent) == ["archive.tar"]


def test_a_dropped_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.sends = [300_000, 0, 500_000]
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT
    assert server.ranges_requested == [None, "bytes=300000-", "bytes=300000-", "bytes=800000-"]


def test_a_server_that_does_not_know_ranges_is_asked_for_the_whole_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.sends = [300_000, 700_000]
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT
    assert server.ranges_requested == [None, "bytes=300000-", "bytes=700000-"]


def test_a_server_that_does_not_tell_the_length_is_no_reason_to_take_a_part_for_the_whole(
    server: Server, tmp_path: Path
) -> None:
    server.tells_length = False
    server.sends = [300_000]
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT


def test_what_an_earlier_process_left_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    (tmp_path / "archive.tar.part").write_bytes(CONTENT[:400_000])
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT
    assert server.ranges_requested == ["bytes=400000-"]
    assert visible(tmp_path) == ["archive.tar"]


def test_a_part_that_has_all_bytes_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / "archive.tar.part").write_bytes(CONTENT)
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT
    assert server.ranges_requested == []


def test_a_part_that_has_too_many_bytes_is_started_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "archive.tar.part").write_bytes(CONTENT + b"more")
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT
    assert server.ranges_requested == [None]


def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.fails = [503, 429, 500]
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT
    assert len(server.ranges_requested) == 4


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_never_brings_more_is_given_up_and_what_came_is_kept(
    server: Server, tmp_path: Path, ranges: bool
) -> None:
    server.ranges = ranges
    server.sends = [300_000] + [0 if ranges else 200_000] * 20
    with pytest.raises(
        ValueError, match=r"archive\.tar\?download=1 cannot be downloaded \(the connection was closed\)"
    ):
        get(server, tmp_path / "archive.tar")
    assert len(server.ranges_requested) == 1 + download.TRIES
    assert visible(tmp_path) == ["archive.tar.part"]


def test_a_file_that_is_not_there_is_refused_at_once_with_the_way_out(server: Server, tmp_path: Path) -> None:
    server.fails = [404] * 9
    with pytest.raises(ValueError, match=r"the server answers 404\): download http.* elsewhere .* --data-dir"):
        get(server, tmp_path / "archive.tar")
    assert len(server.ranges_requested) == 1


def test_a_host_that_cannot_be_reached_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"http://127.0.0.1:{port}/archive.tar"
    with pytest.raises(ValueError, match=r"cannot be downloaded \(Connection refused\): .* --data-dir") as refused:
        fetch(url, tmp_path / "archive.tar", size=1, checksum=MD5, offline=False)
    assert "\n" not in str(refused.value)


def test_wrong_content_of_the_right_size_is_removed_and_said(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(ValueError, match=rf"has the md5 \w+ instead of {MD5[4:]}: removed"):
        get(server, tmp_path / "archive.tar")
    assert visible(tmp_path) == []
    server.content = CONTENT
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT


def test_a_damaged_part_does_not_damage_the_next_download(server: Server, tmp_path: Path) -> None:
    (tmp_path / "archive.tar.part").write_bytes(b"x" * 1000)
    with pytest.raises(ValueError, match="removed; run again"):
        get(server, tmp_path / "archive.tar")
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT


@pytest.mark.parametrize("had", [0, 500])
def test_a_page_that_comes_instead_of_the_file_is_refused_by_its_size(server: Server, tmp_path: Path, had: int) -> None:
    server.content = b"<html>Please log in to this network</html>"
    (tmp_path / "archive.tar.part").write_bytes(b"x" * had)
    with pytest.raises(ValueError, match="has 42 bytes instead of the published 1,000,000"):
        get(server, tmp_path / "archive.tar")
    assert visible(tmp_path) == []


def test_no_more_is_taken_than_was_published(server: Server, tmp_path: Path) -> None:
    server.content, server.tells_length = CONTENT * 3, False
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT


def test_offline_asks_no_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"archive\.tar is not in {tmp_path} and --offline is set: .* --data-dir"):
        get(server, tmp_path / "archive.tar", offline=True)
    assert server.ranges_requested == []


def test_several_that_want_a_file_at_once_download_it_once(server: Server, tmp_path: Path) -> None:
    server.sends = [300_000]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda _: get(server, tmp_path / "archive.tar").read_bytes(), range(4)))
    assert got == [CONTENT] * 4
    assert server.ranges_requested == [None, "bytes=300000-"]


def test_a_file_that_is_larger_than_what_the_disk_has_left_is_not_begun(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"archive\.tar needs 1,000,000,000,000\.0 MB.* left: .* --data-dir"):
        fetch(server.url, tmp_path / "archive.tar", size=10**18, checksum=MD5, offline=False)
    assert server.ranges_requested == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_refuses_is_one_line_with_the_way_out(server: Server, tmp_path: Path) -> None:
    with largest_file(600_000), pytest.raises(ValueError, match=r"File too large\): choose .* --data-dir"):
        get(server, tmp_path / "archive.tar")
    assert get(server, tmp_path / "archive.tar").read_bytes() == CONTENT


def test_a_place_that_cannot_be_a_folder_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"archive\.tar cannot be kept in .*/file/folder .*--data-dir"):
        get(server, tmp_path / "file" / "folder" / "archive.tar")


def test_a_terminal_sees_a_bar_and_a_log_one_line(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    get(server, tmp_path / "logged")
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"downloading {server.url} (1.0 MB) to {tmp_path}\n")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    get(server, tmp_path / "there")
    out, err = capsys.readouterr()
    assert out == ""
    assert "1.0/1.0 MB" in err
    assert "downloading" not in err


# Archives


def packed(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member, data in members:
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def file(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), name.encode()


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member, b""


def device(name: str) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 3
    return member, b""


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_is_unpacked_into_the_folder_that_it_holds(tmp_path: Path, mode: str) -> None:
    archive = packed(tmp_path / "a.tar", file("images/001.ak47/001_0001.jpg"), file("._junk"), mode=mode)
    for _ in range(2):
        assert extract(archive, tmp_path / "images") == tmp_path / "images"
        assert (tmp_path / "images/001.ak47/001_0001.jpg").read_text() == "images/001.ak47/001_0001.jpg"
        archive.write_bytes(b"the folder is there: the archive is not looked at again")
    assert visible(tmp_path) == ["a.tar", "images"]


@pytest.mark.parametrize(
    "harm",
    [
        [file("../evil")],
        [file("images/../../evil")],
        [file("/tmp/evil")],
        [link("images/out", "/etc/passwd")],
        [link("images/out", "../../evil")],
        [link("images/out", "../..", tarfile.SYMTYPE), file("images/out/evil")],
        [link("images/out", "../../evil", tarfile.LNKTYPE)],
        [device("images/null")],
    ],
    ids=["parent", "parent within", "absolute", "link to a file", "link out", "through a link", "hard link", "device"],
)
def test_an_archive_with_a_member_that_would_land_elsewhere_is_refused_and_leaves_nothing(
    tmp_path: Path, harm: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    place = tmp_path / "below" / "here"
    place.mkdir(parents=True)
    archive = packed(place / "a.tar", file("images/1.jpg"), *harm)
    with pytest.raises(ValueError, match=r"a\.tar is not safe to unpack: ") as refused:
        extract(archive, place / "images")
    assert "\n" not in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == [archive]
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"<html>no archive</html>",
        gzip.compress(b"no archive"),
        gzip.compress(CONTENT)[:-5000],
    ],
    ids=["empty", "page", "gzip of something else", "gzip cut off"],
)
def test_a_file_that_is_no_archive_is_refused_by_name(tmp_path: Path, broken: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(broken)
    with pytest.raises(ValueError, match=r"a\.tar is damaged or no tar archive"):
        extract(tmp_path / "a.tar", tmp_path / "images")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_that_was_cut_off_leaves_no_half_folder_and_the_whole_one_is_unpacked_later(
    tmp_path: Path, mode: str
) -> None:
    member = tarfile.TarInfo("images/2.jpg"), CONTENT
    whole = packed(tmp_path / "a.tar", file("images/1.jpg"), member, mode=mode).read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:500_000])
    with pytest.raises(ValueError, match=r"a\.tar is damaged"):
        extract(tmp_path / "a.tar", tmp_path / "images")
    assert visible(tmp_path) == ["a.tar"]
    (tmp_path / "a.tar").write_bytes(whole)
    assert (extract(tmp_path / "a.tar", tmp_path / "images") / "2.jpg").read_bytes() == CONTENT


def test_what_a_process_that_died_had_unpacked_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar", file("images/1.jpg"))
    (tmp_path / ".images.part" / "images").mkdir(parents=True)
    (tmp_path / ".images.part" / "images" / "half").touch()
    assert [path.name for path in extract(archive, tmp_path / "images").iterdir()] == ["1.jpg"]


def test_the_archive_of_another_dataset_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar", file("flowers/1.jpg"))
    with pytest.raises(ValueError, match="holds no folder images: is it the archive of another dataset"):
        extract(archive, tmp_path / "images")
    assert visible(tmp_path) == ["a.tar"]


def test_a_disk_that_refuses_while_unpacking_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", (tarfile.TarInfo("images/1.jpg"), CONTENT), mode="w:gz")
    expected = rf"cannot be unpacked in {tmp_path} \(File too large\): .* --data-dir"
    with largest_file(600_000), pytest.raises(ValueError, match=expected):
        extract(archive, tmp_path / "images")
    assert visible(tmp_path) == ["a.tar.gz"]


# From the network to a folder


def test_a_dataset_is_downloaded_and_unpacked_in_the_users_cache_or_where_data_dir_says(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    server.content = packed(tmp_path / "made.tar", file("images/1.jpg")).read_bytes()
    checksum = f"md5:{hashlib.md5(server.content).hexdigest()}"
    archive = Archive(server.url, len(server.content), checksum, "images", sign="*.jpg")
    cache = tmp_path / "cache" / "attention-or-convolution" / "datasets"
    for place, request in ((cache, DatasetRequest()), (tmp_path / "mine", DatasetRequest(data_dir=tmp_path / "mine"))):
        for _ in range(2):
            assert obtain(archive, request) == place / "images"
            assert [path.name for path in (place / "images").iterdir()] == ["1.jpg"]
            request = DatasetRequest(data_dir=request.data_dir, offline=True)  # it is there now
    assert server.ranges_requested == [None, None]
