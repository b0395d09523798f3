"""A `Study` from its record, whole: with its preprocessing, its space and all else that it was run with."""

from dataclasses import replace
from pathlib import Path

from study.data.source import DatasetRequest
from study.design import recipes
from study.design import space as spaces
from study.design.study import Study
from study.results.record import Record
from study.results.study_file import Configuration
from trainables import architecture

SAME = (
    *("name", "model", "scale", "variant", "dataset", "trials", "seed", "split_seed", "protocol", "seeds", "top_k"),
    *("fixed", "metric", "hours"),
    *("early_stopping", "precision", "workers_per_trial", "sync_batchnorm", "compile"),
    *("train_fraction", "images_per_class"),
)


def study_of(record: Record, *, data_dir: Path | None = None, offline: bool = False) -> Study:
    """The study that a record is of, in the folder where that lies now.

    Args:
        data_dir, offline: how its dataset is asked for, which is no part of a study.

    Raises ValueError where the folder holds no study, or has another name now.
    """
    configuration = record.configuration
    folder = record.folder.resolve()
    if folder.name != configuration.name:
        raise ValueError(f"{record.folder} was recorded as {configuration.name!r}: give the folder that name again")
    study = Study(
        **{name: getattr(configuration, name) for name in SAME},
        results=folder.parent,
        recipe=recipes.from_facts(configuration.recipe),
        table=spaces.from_facts(record.study.space),
        request=DatasetRequest(
            data_dir, offline, duplicates=configuration.duplicates, settings=configuration.data_options
        ),
        grad_accum=configuration.grad_accum if isinstance(configuration.grad_accum, int) else None,
    )
    return replace(study, preprocessing=configuration.preprocessing) if has_own_preprocessing(configuration) else study


def has_own_preprocessing(configuration: Configuration) -> bool:
    """Whether the study's images become inputs in another way than its checkpoint has it."""
    variant = architecture.get(configuration.model).variant(configuration.scale, name=configuration.variant)
    return configuration.preprocessing not in (None, variant.preprocessing)
