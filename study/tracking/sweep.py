"""The sweep that W&B knows a study's trials by: its page has parallel coordinates and importance without a click.

W&B's own optimiser proposes none of the trials. It could: the sweep's command trains one more point, so `wandb agent`
may go on with it.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from study.design.space import Choices, Domain, Space
from study.files import write_json, write_text
from study.tracking.service import change
from trainables.hyperparameters import DECLARED
from trainables.metrics import Metric

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Sweep:
    """A sweep in W&B.

    Attributes:
        run: that an agent of the sweep had ready for the study's only trial; None for a sweep of the study's own.
    """

    entity: str
    project: str
    id: str
    run: str | None = None

    @property
    def path(self) -> str:
        return f"{self.entity}/{self.project}/{self.id}"


def config(name: str, space: Space, metric: Metric, words: Sequence[str]) -> dict[str, Any]:
    """What W&B is told of a study's search, and what `wandb sweep` takes.

    Args:
        name: of the study.
        space: what is searched.
        metric: of its trials.
        words: of the command that trains one point; empty where none does.
    """
    sweep: dict[str, Any] = {
        "name": name,
        "description": "Proposed by Optuna, in a study; `wandb agent` may add trials to it.",
        "program": "study.run",
        "method": "bayes",
        "metric": {"name": metric.column, "goal": "maximize" if metric.mode == "max" else "minimize"},
        "parameters": {one: parameter(one, domain) for one, domain in space.items()},
    }
    if words:
        sweep["command"] = ["${env}", "${interpreter}", "-m", "study.run", *words, "--fix", "${args_no_hyphens}"]
    return sweep


def parameter(name: str, domain: Domain) -> dict[str, Any]:
    """One line of a space in W&B's words."""
    if isinstance(domain, Choices):
        return {"values": list(domain.values)}
    kind = "int_uniform" if DECLARED[name].kind is int else "uniform"
    return {"distribution": "log_uniform_values" if domain.log else kind, "min": domain.low, "max": domain.high}


def write(folder: Path, sweep: Config) -> None:
    """Keeps what W&B is to be told in the folder of the study, as `wandb/sweep.yaml`."""
    write_text(folder / "wandb" / "sweep.yaml", yaml.safe_dump(dict(sweep), sort_keys=False))


def written(folder: Path) -> dict[str, Any] | None:
    """What W&B is to be told; None for a study of before there were sweeps."""
    file = folder / "wandb" / "sweep.yaml"
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None


def known(folder: Path) -> Sweep | None:
    """The sweep that W&B made for the study in `folder`, if it did."""
    noted = folder / "wandb" / "sweep.json"
    return Sweep(**json.loads(noted.read_text(encoding="utf-8"))) if noted.is_file() else None


def note(folder: Path, sweep: Sweep) -> Sweep:
    """Keeps in the folder of a study which sweep its trials belong to."""
    write_json(folder / "wandb" / "sweep.json", asdict(sweep))
    return sweep


@contextmanager
def environment(*names: str) -> Iterator[None]:
    """Variables of the environment are afterwards as they were."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        change(before)


def made(folder: Path, sweep: Config, *, entity: str | None, project: str, runs: Sequence[str] = ()) -> Sweep:
    """Has W&B make the study's sweep, as `wandb sweep` does, and notes it.

    Args:
        folder: of the study.
        sweep: what W&B is told of it.
        entity: whose; None for that of the user.
        project: in which.
        runs: ids of those that W&B has already, as `wandb sweep --prior_run` attaches them.

    Raises what the client does.
    """
    import wandb
    from wandb.apis.public.sweeps import _upsert_sweep  # what `wandb.sweep` calls, which prints

    with environment("WANDB_ENTITY", "WANDB_PROJECT"):  # which it sets to those of the sweep
        answer, _ = _upsert_sweep(wandb.Api(), dict(sweep), entity=entity, project=project, prior_runs=list(runs))
    there = answer["project"]
    return note(folder, Sweep(there["entity"]["name"], there["name"], answer["name"]))
