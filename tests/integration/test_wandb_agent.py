"""W&B's own agent trains a point of a study's sweep, and the run lands in that sweep."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from study.design.states import StudyStatus
from study.options import command_line, one_point
from study.results.record import Record
from study.tracking import sweep
from tests.wandb_stand_in import KEY, Server

ROOT = Path(__file__).parents[2]
COMMAND = "python -m study.run --model resnet --pretraining none --scale mini --epochs 2 --trials 8 --max-concurrent 1"
POINT = {"lr": 0.003, "weight_decay": 0.01, "freeze_depth": 5}
# The agent as it is, but that it asks more often than every 5 seconds for what it is to do.
AGENT = """
import sys
from collections.abc import Iterator
from wandb import wandb_agent
from wandb.cli.cli import cli
wandb_agent.Agent.POLL_INTERVAL = 0.2
cli(["agent", *sys.argv[1:]])
"""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def test_the_agent_of_wandb_trains_a_point_of_a_sweep_and_nothing_is_tested(server: Server, tmp_path: Path) -> None:
    options, _ = command_line.parse(COMMAND.split()[3:])
    study = command_line.configure(options, "mini")
    told = sweep.config(study.name, study.space, study.metric, one_point.words(COMMAND, study))
    server.sweeps["s1"] = {"config": yaml.safe_dump(told)}
    args = {name: {"value": value} for name, value in POINT.items()}
    server.commands.append({"type": "run", "run_id": "run7", "program": told["program"], "args": args})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "WANDB_BASE_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "WANDB_API_KEY": KEY,
    }
    agent = [sys.executable, "-c", AGENT, "me/study/s1"]
    ran = subprocess.run(agent, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    folder = tmp_path / "results" / "resnet-none-digits-run7"
    assert "nothing is tested" in ran.stdout, ran.stdout + ran.stderr
    record = Record(folder)
    [trial] = record.trials
    assert {name: trial[name] for name in POINT} == POINT
    assert record.study.status is StudyStatus.INTERRUPTED
    assert not record.runs
    assert list(server.runs) == ["run7"]
    assert server.runs["run7"].sweep == "s1"
    assert [row["epoch"] for row in server.history["run7"].values() if "epoch" in row] == [1, 2]
