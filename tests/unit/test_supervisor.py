"""A command's second process: it outlives the one that works, ends what that leaves, and says what happened."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.nodes import ROOT

START = """
import os, signal, subprocess, sys, time
from pathlib import Path
from study.terminal import supervisor
from study.terminal.supervisor import in_order, tell

def say(line):
    print(line, flush=True)

def settle(folder):
    say(f"settled {folder.name}")

def forever():
    while True:
        time.sleep(0.05)
"""


class Command:
    """A command of a few lines, in the form that `supervised` takes, in processes of its own."""

    def __init__(self, body: str, folder: Path, before: str = "") -> None:
        lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
        script = f"{START}\n{before}\ndef command():\n{lines}\nsys.exit(supervisor.supervised(command, settle))\n"
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    @property
    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def ends(self, *signals: signal.Signals) -> tuple[int, str, str]:
        """Its exit code, and what it said, after it was sent the signals; none of its processes is left."""
        family = self.family if signals else []
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.2)
        out, err = self.process.communicate(timeout=180)
        assert psutil.wait_procs(family, timeout=30)[1] == []
        return self.process.returncode, out, err


@pytest.mark.parametrize(
    ("body", "code", "err"),
    [
        ("return 0", 0, ""),
        ("return 2", 2, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('no')", 1, "no\n"),
        ("import atexit; atexit.register(os.write, 2, b'bye'); return 3", 3, "bye"),
    ],
)
def test_a_command_ends_as_if_it_were_alone(body: str, code: int, err: str, tmp_path: Path) -> None:
    assert Command(body, tmp_path).ends() == (code, "", err)


def test_what_nobody_foresaw_keeps_its_traceback(tmp_path: Path) -> None:
    code, _, err = Command("raise RuntimeError('ours')", tmp_path).ends()
    assert code == 1
    assert err.startswith("Traceback")
    assert err.endswith("RuntimeError: ours\n")


CHILD = "child = subprocess.Popen(['sleep', '600'], start_new_session=True)"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_before_a_command_can_end_in_order_it_is_ended_with_all_that_it_started(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    body = f"tell(again='the command'); {CHILD}\nsay('here')\nforever()"
    command = Command(body, tmp_path)
    assert command.said() == "here"
    assert len(command.family) == 2
    assert command.ends(number) == (code, "", "interrupted before the study began: nothing was written\n")


def test_what_has_begun_is_put_in_order_and_the_line_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "study.json").touch()
    told = "tell(again='the command --resume', folders=['one'], made=['made', 'one'])"
    body = f"{told}\nos.mkdir('made')\nsay('here')\nforever()"
    command = Command(body, tmp_path)
    assert command.said() == "here"
    assert command.ends(signal.SIGINT) == (130, "settled one\n", "interrupted; go on with: the command --resume\n")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]  # what it made and left empty is gone


IN_ORDER = """
asked = []
with in_order(lambda number, frame: asked.append(number)):
    say('here')
    while len(asked) < {times}: time.sleep(0.02)
    time.sleep({seconds})
say('in order')
return 130
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_ends_in_order_is_asked_to(number: signal.Signals, code: int, tmp_path: Path) -> None:
    command = Command(IN_ORDER.format(times=1, seconds=0), tmp_path)
    assert command.said() == "here"
    assert command.ends(number) == (code, "in order\n", "")


def test_a_command_whose_working_process_is_stopped_ends_in_order_too(tmp_path: Path) -> None:
    command = Command(IN_ORDER.format(times=1, seconds=0), tmp_path)
    assert command.said() == "here"
    for process in command.family:
        process.suspend()
    assert command.ends(signal.SIGTERM) == (143, "in order\n", "")


def test_ctrl_c_from_a_terminal_which_reaches_both_processes_counts_once(tmp_path: Path) -> None:
    command = Command(IN_ORDER.format(times=2, seconds=0), tmp_path)
    assert command.said() == "here"
    for process in [psutil.Process(command.process.pid), *command.family]:
        process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert command.process.poll() is None
    assert command.ends(signal.SIGINT) == (130, "in order\n", "")


def test_one_that_does_not_come_to_its_end_after_the_second_time_is_ended(tmp_path: Path) -> None:
    command = Command(IN_ORDER.format(times=2, seconds=600), tmp_path, "supervisor.PATIENCE = 0.5")
    assert command.said() == "here"
    assert command.ends(signal.SIGINT, signal.SIGINT) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("os.kill(os.getpid(), 9)", "the command's process was ended by SIGKILL (is there too little memory?)"),
        ("os.abort()", "the command's process was ended by SIGABRT"),
        ("os._exit(9)", "the command's process ended with 9"),
        ("supervisor.ray_ended('its raylet')", "Ray has ended (its raylet)"),
    ],
)
def test_a_process_that_is_ended_costs_one_line_and_leaves_nothing(body: str, why: str, tmp_path: Path) -> None:
    command = Command(f"tell(again='the command --resume', folders=['one']); {CHILD}\n{body}", tmp_path)
    line = f"error: {why}: what is finished is kept; go on with: the command --resume\n"
    assert command.ends() == (1, "settled one\n", line)
    assert not [one for one in psutil.process_iter(["cmdline", "cwd"]) if one.info["cwd"] == str(tmp_path)]


def test_temporary_files_of_a_process_that_is_killed_are_removed_at_once(tmp_path: Path) -> None:
    body = "from trainables import scratch; (scratch.claim() / 'file').touch(); say('there'); os.kill(os.getpid(), 9)"
    code, out, err = Command(body, tmp_path, "os.environ['TMPDIR'] = os.getcwd()").ends()
    assert (code, out, "SIGKILL" in err) == (1, "there\n", True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_ray_is_started_again_as_often_as_was_asked_for(tmp_path: Path) -> None:
    body = "say(' '.join(sys.argv))\ntell(retries=2, resume=['--resume'], again='x')\nsupervisor.ray_ended('its GCS')"
    code, out, err = Command(body, tmp_path, "supervisor.BETWEEN = 0").ends()
    assert code == 1
    assert out.splitlines() == ["-c", "-c --resume", "-c --resume"]
    assert [line.partition(":")[0] for line in err.splitlines()] == ["note", "note", "error"]
    assert "it is started again (1 of 2 times)" in err


def test_the_working_process_does_not_outlive_the_other_one(tmp_path: Path) -> None:
    command = Command("say('here')\nforever()", tmp_path)
    assert command.said() == "here"
    family = command.family
    command.process.kill()
    assert psutil.wait_procs(family, timeout=30)[1] == []
    command.process.communicate()


def read_by_nobody(body: str, folder: Path) -> tuple[int, str, str]:
    """A command whose standard output somebody closed who had read a line of it; it waits for that by a line to it."""
    command = Command(body, folder)
    assert command.process.stdout
    first = command.process.stdout.readline()
    command.process.stdout.close()
    (folder / "closed").touch()
    assert command.process.stderr
    with command.process.stderr as stream:
        err = stream.read()
    return command.process.wait(timeout=60), first, err


CLOSED = "say('here')\nwhile not Path('closed').exists(): time.sleep(0.02)\n"


def test_a_command_that_only_prints_ends_without_a_word_when_its_reader_has_gone(tmp_path: Path) -> None:
    assert read_by_nobody(f"{CLOSED}print('more')\nreturn 0", tmp_path) == (141, "here\n", "")


def test_one_that_has_something_to_lose_goes_on_and_says_so_once(tmp_path: Path) -> None:
    body = f"tell(again='x')\n{CLOSED}for _ in range(3): say('more')\nPath('done').touch()\nreturn 0"
    code, _, err = read_by_nobody(body, tmp_path)
    assert (code, (tmp_path / "done").exists()) == (0, True)
    assert err == "note: nobody reads standard output any more; it goes on, and what it finds is in its record\n"
