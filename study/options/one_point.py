"""The options that train one point of a study: what `wandb agent` is told to run."""

import shlex
from dataclasses import replace

from study.design.study import Study
from study.options import command_line, comparison
from study.options.keywords import ComparisonKeywords, StudyKeywords


def words(command: str, study: Study) -> list[str]:
    """The options with which `study.run` trains one point of a study; --fix says which. None for another command.

    Args:
        command: that runs the study, or a comparison that it is a row of.
        study: as that command has it.
    """
    module, given = shlex.split(command)[2:3], shlex.split(command)[3:]
    if module == ["study.compare"]:
        whole = ComparisonKeywords.of(comparison.parser().parse(given))
        pretraining = study.pretrained_variant.pretraining
        options = whole.row(
            model=study.model, pretraining=pretraining, dataset=study.dataset, results=study.results.parent
        )
    elif module == ["study.run"]:
        options = StudyKeywords.of(command_line.parser().parse(given))
    else:
        return []
    of_a_search = StudyKeywords(model=study.model)
    one = replace(
        options,
        scale=study.scale,
        trials=1,
        search_only=True,
        name=None,
        resume=False,
        wandb=None,
        **{name: getattr(of_a_search, name) for name in ("space", "repeats", "top_k", "seeds", "corruptions")},
    )
    return one.words()
