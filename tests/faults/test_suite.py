"""Some faults of the suite (`make faults`): what happens to a study costs nothing that was finished."""

import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import pytest

from tests.faults.suite import inside_a_run, places, services, victim
from tests.faults.suite.chains import Chain, chains
from tests.faults.suite.faults import FAULTS
from tests.faults.suite.happening import Suite
from tests.faults.suite.victim import ROOT, Victim

SEVERAL = [
    ["SIGKILL of a command"],
    ["Ctrl-C"],
    ["SIGTERM"],
    ["SIGKILL of the process of a run", "in a run: the process ends itself"],
    ["a file of the record is damaged"],
]


@pytest.mark.long
def test_a_study_that_faults_happen_to_ends_as_if_nothing_had(tmp_path: Path) -> None:
    for one in Suite(tmp_path / "f").chain(Chain(0, "study", SEVERAL), "several"):
        assert one.verdict.good, one


def test_chains_have_every_fault_in_every_world_of_it_and_none_twice_in_one_command() -> None:
    assert inside_a_run, (places, services)
    turn = list(islice(chains(0, FAULTS), 40))
    assert turn == list(islice(chains(0, FAULTS), 40))
    assert turn != list(islice(chains(1, FAULTS), 40))
    for name, fault in FAULTS.items():
        for world in fault.worlds:
            assert [chain for chain in turn if chain.world == world and name in chain.faults], (name, world)
    for command in (command for chain in turn for command in chain.commands if len(command) > 1):
        kinds = [kind for name in command if (kind := FAULTS[name].kind)]
        assert len(set(command)) == len(command)
        assert len(set(kinds)) == len(kinds)
        assert not any(FAULTS[name].alone for name in command)
        assert sum(FAULTS[name].ends for name in command) <= 1


def test_a_command_hangs_when_it_trains_nothing_for_long_and_not_when_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victim, "LONGEST", 2.5)
    trains = "from time import sleep\nfor _ in range(5):\n    open('trace', 'a').write('epoch\\n')\n    sleep(0.7)\n"
    (tmp_path / "lasts.py").write_text(trains)
    (tmp_path / "hangs.py").write_text("from time import sleep\nsleep(60)\n")
    lasts = Victim(tmp_path, ["lasts"]).finish()
    assert (lasts.code, lasts.seconds > victim.LONGEST) == (0, True)
    hangs = Victim(tmp_path, ["hangs"]).finish()
    assert (hangs.code, hangs.seconds < 30) == (None, True)


def test_a_clock_that_is_set_back_can_be_pickled_as_ray_does() -> None:
    code = "import time, ray.cloudpickle as c; print(c.loads(c.dumps(lambda: time.time))().__name__, time.time())"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/faults/suite/inside")])
    environment = {**os.environ, "PYTHONPATH": path, "FAULTS_CLOCK": "0"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    name, now = said.stdout.split()
    assert name == "clock"
    assert 3500 < time.time() - float(now) < 3700
