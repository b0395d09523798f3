"""A run as Ray's documentation trains it in a trial: by a TorchTrainer, whose worker group starts and ends with it.

Ray's user guide, "Hyperparameter Tuning with Ray Tune": what the workers report reaches Tune by TuneReportCallback.
"""

from collections.abc import Mapping
from typing import Any

import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from trainables import process, scratch
from trainables.images import SplitImages
from trainables.resources import Resources
from trainables.run import Outcome, Run
from trainables.splits import ImagesKey
from trainables.trainer import work


def train_by_ray(run: Run, images: Mapping[ImagesKey, SplitImages], *, workers: int, cpus: float) -> Outcome:
    """Our loop in Ray Train's worker group, from within a Tune trial."""

    def loop() -> Any:  # Ray types it as -> None
        return work(run, images, Resources(workers=workers, cpus=cpus), ray.train.report, process.current())

    to_tune: Any = TuneReportCallback()
    result: Any = TorchTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": cpus}),
        torch_config=TorchConfig(backend="gloo"),
        run_config=RunConfig(name=run.run_id, storage_path=str(scratch.here() / "train"), callbacks=[to_tune]),
    ).fit()
    return result.return_value
