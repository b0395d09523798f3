"""The story of a comparison in W&B's blocks: pure functions from records and their W&B runs to a report.

W&B draws the panels from the runs; a panel sees those of its grid's run sets, which `config.record` tells apart.
"""

import wandb_workspaces.reports.v2.interface as wr  # what v2 itself hands on
from wandb_workspaces.reports.v2.interface import BlockTypes, PanelTypes, Report, Runset

from study.comparison import Comparison, Group, tables
from study.comparison.summary import RANKS
from study.design.states import Phase
from study.text import sentence
from study.tracking.media import MOST_CLASSES
from study.wandb_report.runs import Runs, Study, commands
from trainables.metrics import Metric

MOST_TITLE_CHARACTERS = 128
HALF, THIRD, WHOLE, HEIGHT = 12, 8, 24, 9  # in cells of W&B's grid of 24 columns

__all__ = ["Report", "report", "specification"]


def specification(runs: Runs) -> str:
    """The report as JSON, as W&B's own client would send it; built without a network."""
    return report(runs)._to_model().model_dump_json(by_alias=True, exclude_none=True)


def report(runs: Runs, *, entity: str | None = None) -> Report:
    """The report, in the project of the first study's runs.

    Args:
        entity: that the user has in W&B. Without one no run set names its project, for that would ask the server.
    """
    first = runs.studies[0].tracked
    return Report(
        project=first.project,
        entity=first.entity or entity or "",
        title=title(runs)[:MOST_TITLE_CHARACTERS],
        description=runs.comparison.answer,
        width="fluid",
        blocks=[
            wr.TableOfContents(),
            *answers(runs.comparison),
            *costs(runs, entity),
            *searches(runs, entity),
            *curves(runs, entity),
            *confusion(runs, entity),
            *origin(runs),
        ],
    )


def title(runs: Runs) -> str:
    labels = [study.label for study in runs.studies]
    return labels[0] if len(labels) == 1 else f"{len(labels)} studies of {runs.folder.resolve().name}"


# From the records


def answers(comparison: Comparison) -> list[BlockTypes]:
    blocks: list[BlockTypes] = [wr.H1("Which architecture is the most accurate?")]
    blocks += [wr.CalloutBlock(f"Unequal: {what}") for what in comparison.unequal]
    blocks.append(wr.P(comparison.answer))
    for question in comparison.questions[1:]:  # the first is the heading
        blocks += [wr.H2(question.question), wr.P(question.answer)]
    for group in comparison.groups:
        blocks += ranking(group)
    lines = [*comparison.notes, *(f"{name} is left out: {why}" for name, why in comparison.left_out)]
    return [*blocks, wr.MarkdownBlock("\n\n".join(tables.bullets("Notes", lines)))] if lines else blocks


def ranking(group: Group) -> list[BlockTypes]:
    shown = [tables.in_markdown(table) for table in (tables.ranked(group), tables.pairs(group)) if table[1]]
    return [
        wr.H2(f"{group.title}, {group.n_test:,} test images"),
        wr.P(f"{tables.basis(group)} {sentence(RANKS)}."),
        *(wr.MarkdownBlock(table) for table in shown),
    ]


def origin(runs: Runs) -> list[BlockTypes]:
    made = dict.fromkeys(study.command for study in runs.studies)
    return [
        wr.H1("Where this comes from"),
        wr.P("The studies, each from its own command; then what uploads their runs and saves this report."),
        wr.CodeBlock("\n".join([*made, *commands(runs)]), language=None),
    ]


# From the runs


def runset(study: Study, job: Phase, entity: str | None, *, seed: int | None = None, grouped: bool = False) -> Runset:
    """The runs of a step of a study, or that of one seed; as a table, those that a reader looks for first.

    Args:
        study: whose runs.
        job: the step.
        entity: that the user has in W&B; None without a login.
        seed: of the only run; None for all runs of the step.
        grouped: into one line per replicated point.
    """
    tracked = study.tracked
    wanted = f"Config('record') == '{tracked.record}' and Metric('JobType') == '{job}'"
    tests = job == Phase.TEST
    result = "test_accuracy" if tests else study.metric.column
    first = ["config:seed.value"] if tests else ["summary:status"]
    point = [f"config:{name}.value" for name in (*study.searched, *study.fixed)]
    return wr.Runset(
        entity=(tracked.entity or entity) if entity else "",
        project=tracked.project if entity else "",
        name=study.label if seed is None else f"seed {seed}",
        filters=wanted if seed is None else f"{wanted} and Config('seed') == {seed}",
        groupby=["config.point"] if grouped else [],
        order=[wr.OrderBy(wr.SummaryMetric(result), ascending=not tests and study.metric is Metric.LOSS)],
        visible_columns=["run:displayName", *first, f"summary:{result}", *point, "summary:train_seconds"],
        lock_columns=True,
    )


def costs(runs: Runs, entity: str | None) -> list[BlockTypes]:
    tested = [study for study in runs.studies if study.seeds]
    if not tested:
        return []
    prices = {"train_seconds": "seconds of training", "parameters": "parameters"}
    return [
        wr.H1("What does accuracy cost?"),
        wr.P("Every test run is a point. Below: what differs between the runs, and their table."),
        wr.PanelGrid(
            runsets=[runset(study, Phase.TEST, entity) for study in tested],
            panels=[
                *(
                    wr.ScatterPlot(
                        title=f"Test accuracy against {words}",
                        x=wr.SummaryMetric(name),
                        y=wr.SummaryMetric("test_accuracy"),
                        log_x=True,
                        layout=layout(HALF * i, 0, HALF),
                    )
                    for i, (name, words) in enumerate(prices.items())
                ),
                wr.RunComparer(diff_only="split", layout=layout(0, HEIGHT, WHOLE)),
            ],
        ),
    ]


def searches(runs: Runs, entity: str | None) -> list[BlockTypes]:
    blocks: list[BlockTypes] = [
        wr.H1("What did the searches find?"),
        wr.P("Every line is a trial, pruned ones included; failed ones have no result."),
    ]
    for study in runs.studies:
        result, words = study.metric.column, f"validation {study.metric.words}"
        panels: list[PanelTypes] = [
            wr.ParallelCoordinatesPlot(
                title=f"Hyperparameters to {words}",
                columns=[
                    *(
                        wr.ParallelCoordinatesPlotColumn(wr.Config(name), display_name=name, log=log)
                        for name, log in study.searched.items()
                    ),
                    wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(result), display_name=result),
                ],
                layout=layout(0, 0, WHOLE),
            ),
            wr.ParameterImportancePlot(with_respect_to=result, layout=layout(0, HEIGHT, HALF)),
            line(result, f"{sentence(words)} of the trials", x=HALF, y=HEIGHT, width=HALF),
        ]
        blocks += [
            wr.H2(study.label),
            wr.PanelGrid(runsets=[runset(study, Phase.SEARCH, entity)], panels=panels),
        ]
    return blocks


def curves(runs: Runs, entity: str | None) -> list[BlockTypes]:
    replicated = [study for study in runs.studies if study.seeds]
    if not replicated:
        return []
    metrics = dict.fromkeys([*(study.metric for study in replicated), Metric.LOSS])
    panels = {metric.column: f"Validation {metric.words}" for metric in metrics} | {"train_loss": "Training loss"}
    return [
        wr.H1("How do they learn?"),
        wr.P("Replicates of the best trials over seeds: a line per point, the mean with the least and the most."),
        wr.PanelGrid(
            runsets=[runset(study, Phase.REPLICATE, entity, grouped=True) for study in replicated],
            panels=[
                line(name, words, x=THIRD * (i % 3), y=HEIGHT * (i // 3), width=THIRD, grouped=True)
                for i, (name, words) in enumerate(panels.items())
            ],
        ),
    ]


def confusion(runs: Runs, entity: str | None) -> list[BlockTypes]:
    blocks: list[BlockTypes] = []
    for study in runs.studies:
        if study.seeds:
            blocks += [
                wr.H2(study.label),
                wr.PanelGrid(
                    runsets=[runset(study, Phase.TEST, entity, seed=seed) for seed in study.seeds],
                    panels=[
                        *matrix(study),
                        wr.WeavePanelSummaryTable(table_name="classification_report", layout=layout(HALF, 0, HALF)),
                        wr.MediaBrowser(title="Test images", media_keys=["samples"], layout=layout(0, HEIGHT, WHOLE)),
                    ],
                ),
            ]
    words = "A run set is a test run: hide all but one to see the matrix of its seed alone."
    return [wr.H1("What is confused with what?"), wr.P(words), *blocks] if blocks else []


def matrix(study: Study) -> list[PanelTypes]:
    """The confusion matrix: W&B's chart; of many classes a picture, and below the other panels what is confused."""
    if study.classes > MOST_CLASSES:
        return [
            wr.MediaBrowser(title="Confusion matrix", media_keys=["confusion_matrix"], layout=layout(0, 0, HALF)),
            wr.WeavePanelSummaryTable(table_name="confused", layout=layout(0, 2 * HEIGHT, WHOLE)),
        ]
    return [
        wr.CustomChart(
            query={"summaryTable": {"tableKey": "confusion_matrix_table"}},
            chart_name="wandb/confusion_matrix/v1",
            chart_fields={name: name for name in ("Actual", "Predicted", "nPredictions")},
            chart_strings={"title": "Confusion matrix"},
            layout=layout(0, 0, HALF),
        )
    ]


def line(name: str, title: str, *, x: int, y: int, width: int, grouped: bool = False) -> wr.LinePlot:
    """A metric over epochs.

    Args:
        name: of the metric in the runs' history.
        title: of the panel.
        x, y, width: in cells of the grid.
        grouped: one line per point of a study, the mean over its seeds with the least and the most.
    """
    return wr.LinePlot(
        title=title,
        x="epoch",
        y=[name],
        groupby=wr.Config("point") if grouped else None,
        groupby_aggfunc="mean" if grouped else None,
        groupby_rangefunc="minmax" if grouped else None,
        layout=layout(x, y, width),
    )


def layout(x: int, y: int, width: int) -> wr.Layout:
    return wr.Layout(x=x, y=y, w=width, h=HEIGHT)
