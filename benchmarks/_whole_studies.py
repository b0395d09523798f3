"""Whole studies in one process, without Ray: search, replicates, test, on boundaries that lie in memory.

The search is the package's own (`execution.searcher`, ASHA's rungs), as are candidates, replicates, the last epoch and
the loop; only Tune, which would start processes for runs of a tenth of a second, is left out: trials come one by one.
The data are Fashion-MNIST's 10,000 test images, which no mini weights have seen: 2,500 to test on, 1,500 to draw from.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import torch

from study.data import named
from study.data.named import fashion_mnist
from study.data.resizing import resized
from study.data.source import Arrays, DatasetRequest, ExampleSource
from study.data.splits import DatasetSplits, split, stratified, subset
from study.design.recipes import RECIPES
from study.design.states import RunStatus
from study.design.study import Study
from study.execution import evaluate
from study.execution.search import asha
from study.execution.searcher import Searcher, trial_id
from study.results.record import Record, Row
from trainables import building
from trainables.batches import CachedSplit, ConcatSplits, Examples
from trainables.hyperparameters import Hyperparameters
from trainables.loop import Epoch, NotFinite, Predictions, fit, predict
from trainables.metrics import COLUMNS
from trainables.precision import precision
from trainables.run import Model, Run
from trainables.stages import StagedModel
from trainables.trainer import draw

MODELS = ("alexnet", "resnet", "vit", "coatnet")
TEST, POOL = 2500, 1500
CPU = torch.device("cpu")


class Stopped(Exception):
    """By ASHA."""


@cache
def images(dataset: str) -> ExampleSource:
    """Images that no mini weights were trained on.

    `fashion_unseen` has one test set, whatever the seed of the split; every split of `digits` has its own.
    """
    if dataset == "digits":
        return named.load(dataset)
    folder = fashion_mnist.find(DatasetRequest())
    pixels = fashion_mnist.read_idx(folder / "t10k-images-idx3-ubyte.gz")
    labels = fashion_mnist.read_idx(folder / "t10k-labels-idx1-ubyte.gz").astype(np.int64)
    everything = ExampleSource("fashion_unseen", fashion_mnist.CLASSES, labels, Arrays(pixels), "benchmark")
    _, chosen = stratified(everything, np.arange(len(labels)), (TEST + POOL) / len(labels), seed=0)
    _, test = stratified(everything, chosen, TEST / (TEST + POOL), seed=0)
    order = np.concatenate([np.setdiff1d(chosen, test), test])
    source = ExampleSource("fashion_unseen", fashion_mnist.CLASSES, labels[order], Arrays(pixels[order]), "benchmark")
    return replace(source, test_rows=np.arange(POOL, POOL + TEST))


@dataclass
class Backbone:
    """A pretrained mini model, and what of all images flows into the stage that is trained first."""

    model: StagedModel
    state: dict[str, torch.Tensor]
    boundary: torch.Tensor
    depth: int


@cache
def backbone(name: str, dataset: str, depth: int) -> Backbone:
    study = described(name)
    variant, source = study.pretrained_variant, images(dataset)
    model = building.assemble(study.architecture, variant, len(source.classes)).to(memory_format=torch.channels_last)
    state = building.pretrained(study.architecture, variant)
    assert state is not None
    model.load(state, head=False)
    model.freeze(depth).eval()
    rows = np.arange(len(source.labels))
    pixels = torch.from_numpy(
        np.stack([resized(one, variant.preprocessing) for one in source.images.decoded(rows)])
    ).permute(0, 3, 1, 2)
    with torch.inference_mode():
        carried = [model.between(0, depth, some) for some in pixels.split(250)]
    return Backbone(model, state, torch.cat(carried).clone(), depth)


def described(name: str, **changed: object) -> Study:
    """The study of a model, head-only, 60 images of every class, 10 trials: facts may be changed."""
    study = Study(name, "mini", f"{name}_mini.fashion60k", "fashion_unseen", name, Path("unused"), RECIPES["fair"])
    given = {"trials": 10, "top_k": 2, "seeds": 3, "images_per_class": 60, **changed}
    given.setdefault("fixed", {"freeze_depth": study.backbone_stages})
    return replace(study, **given)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Done:
    """A study that has ended.

    Attributes:
        correct: (seeds, images) bool, of its test runs.
        index: of the test images.
        record: all the rest; its folder is gone.
    """

    study: Study
    correct: np.ndarray
    index: np.ndarray
    record: Record

    @property
    def epochs(self) -> int:
        """Trained by the search: its budget, as device-seconds would count it."""
        return sum(row["epochs"] for row in self.record.trials)


class Trainer:
    """Runs of one study."""

    def __init__(self, study: Study, splits: DatasetSplits) -> None:
        depth = study.fixed["freeze_depth"]
        assert isinstance(depth, int)
        self.study, self.splits, self.backbone = study, splits, backbone(study.model, study.dataset, depth)
        self.choice = precision("fp32", CPU)
        model = Model(study.model, study.scale, study.variant, len(splits.source.classes))
        self.template = Run("", model, study.point({}), study.recipe, study.search_seed, splits.digests())

    def examples(self, *names: str) -> Examples:
        parts = []
        for name in names:
            rows = self.splits.rows(name)
            if name == "train" and self.splits.chosen is not None:
                rows = rows[self.splits.chosen]
            places = torch.from_numpy(rows)
            labels = torch.from_numpy(self.splits.source.labels[rows])
            parts.append(CachedSplit(self.backbone.boundary, labels, rows, self.backbone.depth, places))
        return parts[0] if len(parts) == 1 else ConcatSplits(*parts)

    def train(self, run: Run, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Predictions | None:
        """One run; what it predicts, if it is to. Raises NotFinite, and what `on_epoch` does."""
        model = self.backbone.model
        model.restore(self.backbone.state, head=False)
        draw(model.head, run.seed)
        model.freeze(run.hyperparameters.freeze_depth)
        fit(
            model,
            self.examples(*run.fit_on),
            self.examples(run.validate_on) if run.validate_on else None,
            hyperparameters=run.hyperparameters,
            recipe=run.recipe,
            precision=self.choice,
            seed=run.seed,
            report=on_epoch,
            last_epoch=run.last_epoch,
        )
        return predict(model, self.examples(run.predict_on), self.choice) if run.predict_on else None

    def recorded(self, run: Run, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> tuple[Row, list[Row]]:
        """A run's row and curve; of its best epoch, as a study has it."""
        epochs: list[Epoch] = []
        best: Epoch | None = None
        status, reason = RunStatus.COMPLETED, None

        def keep(epoch: Epoch) -> None:
            nonlocal best
            epochs.append(epoch)
            best = epoch if epoch.beats(best) else best
            on_epoch(epoch)

        try:
            self.train(run, keep)
        except Stopped:
            status, reason = RunStatus.PRUNED, "ASHA"
        except NotFinite as failure:
            status, reason = RunStatus.FAILED, str(failure)
        row = {
            **asdict(run.hyperparameters),
            **{column: getattr(best, column) if best else None for column in COLUMNS},
            "best_epoch": best.epoch if best else None,
            "epochs": len(epochs),
            "trained_share": 0.0,
            "seed": run.seed,
            "status": status,
            "reason": reason,
        }
        return row, [{"run_id": run.run_id, "seed": run.seed, **asdict(epoch)} for epoch in epochs]


def splits_of(study: Study) -> DatasetSplits:
    return subset(
        split(images(study.dataset), seed=study.split_seed), images_per_class=study.images_per_class, seed=study.seed
    )


def run(study: Study) -> Done:
    """A whole study."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="whole-study-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        study = replace(study, results=folder)
        study.folder.mkdir()
        record = Record(study.folder)
        trainer = Trainer(study, splits_of(study))
        search(study, record, trainer)
        replicate(study, record, trainer)
        winner = evaluate.ranking(study, record)[0]
        seen = [trainer.train(one) for _, one in evaluate.test_runs(study, winner, trainer.template).values()]
        answers = [one for one in seen if one]
        correct = np.stack([one.predicted == one.label for one in answers])
        record.study = record.study.with_entries({"winner": winner})
        return Done(study, correct, answers[0].index, record)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def search(study: Study, record: Record, trainer: Trainer) -> None:
    """Trials one after the other, proposed and stopped as Tune has it done."""
    searcher = Searcher(study, record)
    rungs = asha(study, record)._brackets[0]
    for number in range(study.budget):
        given = searcher.suggest(str(number))
        if given == searcher.FINISHED:
            break
        name: str = given["trial_id"]
        merits: list[float] = []
        assert name == trial_id(number)

        def on_epoch(epoch: Epoch, name: str = name, merits: list[float] = merits, number: int = number) -> None:
            merits.append(max([study.metric.merit(epoch.score(study.metric)), *merits[-1:]]))
            told = {"epochs": epoch.epoch, study.metric.column: abs(merits[-1])}
            if epoch.epoch < study.recipe.epochs:
                stops = study.early_stopping == "asha" and (
                    rungs.on_result(SimpleNamespace(trial_id=name), epoch.epoch, merits[-1]) == "STOP"  # type: ignore[arg-type]
                )
                if stops:
                    raise Stopped
                searcher.on_trial_result(str(number), told)

        point = Hyperparameters(**given["hyperparameters"])
        row, curve = trainer.recorded(replace(trainer.template, run_id=name, hyperparameters=point), on_epoch)
        row = {**row, "trial_id": name}
        value = study.metric.of(row)
        failed = row["status"] == RunStatus.FAILED
        told = None if failed else {"epochs": row["epochs"], study.metric.column: value}
        searcher.on_trial_complete(str(number), told, error=failed)
        record.add(trials=[row], curves=[{**epoch, "phase": "search"} for epoch in curve])
    searcher.close()


def replicate(study: Study, record: Record, trainer: Trainer) -> None:
    for name, (row, one) in evaluate.replicate_runs(study, record, trainer.template).items():
        ended, curve = trainer.recorded(one)
        told = {**ended, "run_id": name, "phase": "replicate", "trial_id": row["trial_id"]}
        record.add(runs=[told], curves=[{**epoch, "phase": "replicate"} for epoch in curve])
