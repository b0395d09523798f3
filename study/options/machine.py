"""What of a study only torch and the machine can tell to be a mistake. Imports torch, so it is asked last."""

from study.cluster import compiler, devices, gpu
from study.design.study import Study
from trainables import building
from trainables.boundaries import Store


def check(study: Study) -> None:
    """Raises ValueError for images the model cannot take, GPUs or a compiler that are not there, no store."""
    check_devices(study.precision, study.workers_per_trial)
    if study.sync_batchnorm and not gpu.available():
        raise ValueError("sync-batchnorm needs GPUs: leave it out, and each worker normalises its share of a batch")
    if study.compile:
        compiler.check()
    if study.preprocessing is not None:
        try:
            building.check_size(study.architecture, study.pretrained_variant)
        except ValueError as error:
            raise ValueError(f"--preprocessing: {error}") from None


def check_devices(precision: str, workers_per_trial: int = 1) -> None:
    """Raises ValueError for what the machine cannot compute with, or store in."""
    devices.check(precision, workers_per_trial)
    Store.here()  # its environment may be a mistake
