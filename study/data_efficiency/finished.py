"""Which studies' data efficiency can be measured. Imports no reader of tables: the command line checks with it."""

from pathlib import Path

from study.design.states import StudyStatus
from study.results.study_file import StudyFile


def check(folder: Path) -> None:
    """Raises ValueError for a folder of no study, of one that is not finished, or of one of a part of train."""
    study = StudyFile.read(folder)
    if study.configuration is None:
        raise ValueError(f"{folder} is no study: give the folder of a finished one, with its study.json")
    if study.status != StudyStatus.FINISHED:
        raise ValueError(f"{folder} is not finished ({study.status}): go on with study.run and --resume")
    for name in ("train_fraction", "images_per_class"):
        if (part := getattr(study.configuration, name)) is not None:
            raise ValueError(f"{folder} is a study of a part of train ({name} {part}): give one of all of it")
