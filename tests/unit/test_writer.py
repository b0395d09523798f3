"""A record tells whether the process that writes it still lives: a study that was killed is read as interrupted."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from study.results.study_file import StudyFile
from study.results.writer import Writer, boot
from trainables.birth import born

HERE = {"host": socket.gethostname(), "boot": boot()}


@pytest.fixture
def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_this_process_lives() -> None:
    assert not Writer.this().gone


def test_a_process_that_has_ended_is_gone(ended: int) -> None:
    assert Writer(**HERE, pid=ended, born="1").gone


def test_a_zombie_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = born(process.pid)
    assert began
    assert not Writer(**HERE, pid=process.pid, born=began).gone
    assert process.stdin
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert Writer(**HERE, pid=process.pid, born=began).gone
    process.wait()


def test_another_process_with_the_number_of_one_that_has_ended_is_not_it() -> None:
    assert Writer(**HERE, pid=os.getpid(), born="1").gone


def test_all_processes_of_an_earlier_start_of_the_machine_are_gone() -> None:
    this = Writer.this()
    assert Writer(host=this.host, boot="another 1", pid=this.pid, born=this.born).gone


def test_of_a_process_elsewhere_nothing_is_sure(ended: int) -> None:
    assert not Writer(host="elsewhere", boot="another 1", pid=ended, born="1").gone
    machine, _, space = boot().partition(" ")
    assert not Writer(host=HERE["host"], boot=f"{machine} {space}1", pid=ended, born="1").gone


@pytest.mark.parametrize(
    ("status", "alive", "read"),
    [("running", True, "running"), ("running", False, "interrupted"), ("finished", False, "finished")],
)
def test_a_study_that_runs_without_its_writer_is_interrupted(
    status: str, alive: bool, read: str, ended: int, tmp_path: Path
) -> None:
    this = Writer.this()
    writer = {**HERE, "pid": this.pid if alive else ended, "born": this.born}
    (tmp_path / "study.json").write_text(json.dumps({"format": 2, "status": status, "writer": writer}))
    assert StudyFile.read(tmp_path).status == read


def test_a_record_from_before_writers_were_known_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"format": 2, "status": "running"}))
    assert StudyFile.read(tmp_path).status == "running"
