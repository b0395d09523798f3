"""Studies side by side: what is said of them follows from their records, and what cannot be said is said too."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from study.comparison import Comparison, Group, compare
from study.comparison.answers import could_have_been_found
from study.comparison.floor import floor
from study.comparison.gains import gains
from study.comparison.groups import MOST_IN_PAIRS
from study.comparison.summary import summary
from study.design.space import default
from study.options.comparison import study_folders
from study.results.record import Record
from study.results.study_file import FORMAT
from study.statistics import accuracy_interval, score_intervals, scores
from study.statistics.comparison import difference
from tests.records import THREE
from tests.rows import CLASSES, IMAGES, answers, edit, study

HIGH, MIDDLE, LOW = (answers(*three, seed=i) for i, three in enumerate([(0.95,) * 3, (0.85,) * 3, (0.75,) * 3]))


GIVEN = "Given this search, split and draw, "


def labels(group: Group) -> list[str]:
    return [row.label for row in group.rows]


def why(comparison: Comparison) -> str:
    """Of the only row that is left out."""
    ((_, reason),) = comparison.left_out
    return reason


# Rows


def test_a_rows_scores_are_those_of_its_predictions_with_the_intervals_of_the_statistics(tmp_path: Path) -> None:
    (row,) = compare([study(tmp_path, "resnet", MIDDLE)]).rows
    label = np.arange(IMAGES) % len(CLASSES)
    each = [scores(label, np.where(one, label, (label + 1) % len(CLASSES)), CLASSES) for one in MIDDLE]
    intervals = score_intervals(label, row.predicted, len(CLASSES))
    for name in ("accuracy", "mean_class_accuracy", "macro_f1"):
        found = getattr(row, name)
        assert found.mean == pytest.approx(np.mean([one[name] for one in each]))
        assert found.interval == intervals[name]
    assert row.accuracies == pytest.approx([0.85] * 3)
    assert row.recall["ant"] == pytest.approx(np.mean([one["per_class"][0]["recall"] for one in each]))
    assert (row.n_test, row.seeds, row.trials) == (IMAGES, (1, 2, 3), 4)
    assert (row.correct == MIDDLE).all()


def test_a_row_says_what_its_model_is_built_of(tmp_path: Path) -> None:
    made = [study(tmp_path, model, HIGH) for model in ("alexnet", "resnet", "vit", "coatnet")]
    families = {row.model: row.family for row in compare(made).rows}
    assert families == {"alexnet": "convolution", "resnet": "convolution", "vit": "attention", "coatnet": "hybrid"}


def test_a_model_that_is_no_longer_here_is_compared_all_the_same(tmp_path: Path) -> None:
    comparison = compare([study(tmp_path, "mixer", HIGH), study(tmp_path, "vit", LOW)])
    assert comparison.rows[0].family == "unknown"
    assert "mixer from scratch ranks first alone" in comparison.answer
    assert any("mixer-none-insects" in note for note in comparison.notes)


def test_the_search_of_a_row_costs_what_its_failed_trials_cost_too(tmp_path: Path) -> None:
    (row,) = compare([study(tmp_path, "resnet", HIGH)]).rows
    assert row.expected_best is not None
    assert row.device_seconds == 20
    assert len(row.expected_best.accuracy) == 3  # of the trials that have a validation accuracy
    assert row.expected_best.device_seconds[-1] == 20


def test_rows_are_named_apart_by_variant_and_by_the_part_of_train_they_used(tmp_path: Path) -> None:
    made = [
        study(tmp_path / "a", "resnet", HIGH, facts={"name": "a"}),
        study(tmp_path / "b", "resnet", MIDDLE, facts={"name": "b", "variant": "resnet_large"}),
        study(tmp_path / "c", "resnet", LOW, facts={"name": "c", "train_fraction": 0.1}),
    ]
    (group,) = compare(made).groups
    assert labels(group) == [
        "ResNet from scratch, resnet_mini, all of train",
        "ResNet from scratch, resnet_large",
        "ResNet from scratch, resnet_mini, 10 % of train",
    ]


def test_two_studies_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    made = [study(tmp_path / where, "resnet", HIGH) for where in ("here", "there")]
    assert {row.name for row in compare(made).rows} == {str(folder) for folder in made}


def test_a_folder_that_is_given_twice_is_one_row(tmp_path: Path) -> None:
    made = study(tmp_path, "resnet", HIGH)
    assert len(compare([made, made.parent / "." / made.name]).rows) == 1


# The answer


def test_a_clear_winner_is_named_with_what_it_beats_and_by_how_much(tmp_path: Path) -> None:
    made = [study(tmp_path, model, one) for model, one in (("vit", LOW), ("coatnet", HIGH), ("resnet", MIDDLE))]
    comparison = compare(made)
    (group,) = comparison.groups
    least = difference(HIGH, MIDDLE)
    low, high = (f"{100 * end:.1f}" for end in least.interval)
    assert comparison.answer == (
        f"{GIVEN}CoAtNet from scratch ranks first alone on insects: {percent(HIGH)}. "
        f"It beats ResNet from scratch and ViT from scratch by 10.0 points [{low}, {high}] or more."
    )
    assert [group.ranks[row.name] for row in group.rows] == [1, 2, 3]


def percent(correct: np.ndarray) -> str:
    low, high = accuracy_interval(correct)
    return f"{correct.mean():.2%} [{low:.2%}, {high:.2%}]"


def test_rows_that_tie_are_not_distinguished_and_share_a_letter(tmp_path: Path) -> None:
    made = [study(tmp_path, model, answers(0.9, 0.9, 0.91, seed=i)) for i, model in enumerate(("vit", "coatnet"))]
    comparison = compare(made)
    assert re.fullmatch(
        GIVEN + r"(CoAtNet|ViT) from scratch and (CoAtNet|ViT) from scratch are not distinguishable on insects: "
        r"\1 from scratch is 0\.0 points \[-[\d.]+, [\d.]+\] above \2 from scratch; [\d.]+ points could have been "
        r"found\.",
        comparison.answer,
    )
    assert set(comparison.groups[0].ranks.values()) == {1}
    assert set(comparison.groups[0].letters.values()) == {"a"}


def test_two_that_tie_and_both_beat_a_third_are_said_to(tmp_path: Path) -> None:
    twins = [answers(0.95, 0.95, 0.96, seed=i) for i in range(2)]
    made = [
        study(tmp_path, model, one) for model, one in zip(("vit", "coatnet", "alexnet"), [*twins, LOW], strict=True)
    ]
    first, second = compare(made).answer.split(". ")
    assert "are not distinguishable on insects" in first
    assert re.fullmatch(r"Both beat AlexNet from scratch by 20\.\d points \[1\d\.\d, 2\d\.\d\] or more\.", second)


def test_a_chain_says_who_beats_whom_and_who_is_not_distinguished(tmp_path: Path) -> None:
    """A beats B; C, whose seeds differ much, is distinguished from neither."""
    made = [
        study(tmp_path, "coatnet", answers(0.92, 0.92, 0.921)),
        study(tmp_path, "vit", answers(0.95, 0.80, 0.89, seed=1)),
        study(tmp_path, "resnet", answers(0.84, 0.84, 0.841, seed=2)),
    ]
    comparison = compare(made)
    assert list(comparison.groups[0].ranks.values()) == [1, 1, 2]
    assert list(comparison.groups[0].letters.values()) == ["a", "ab", "b"]
    first, second = comparison.answer.split(". ")
    assert first.startswith(f"{GIVEN}CoAtNet from scratch and ViT from scratch are not distinguishable on insects")
    assert re.fullmatch(
        r"CoAtNet from scratch beats ResNet from scratch by 8\.0 points \[[\d.]+, [\d.]+\], "
        r"while ViT from scratch is not distinguishable from it \([\d.]+ points could have been found\)\.",
        second,
    )


def test_a_difference_that_only_holm_takes_back_is_said_to_be_one_of_many(tmp_path: Path) -> None:
    """The pair's own interval leaves out 0, its adjusted p does not fall below 5 %."""
    near = [answers(*[0.9] * 3), answers(*[0.8725] * 3, seed=4)]
    near += [answers(0.93, 0.83, 0.88, seed=seed) for seed in (1, 2, 3)]  # told apart from nothing
    made = [study(tmp_path / str(i), "vit", one, facts={"name": f"vit-{i}"}) for i, one in enumerate(near)]
    (group,) = (comparison := compare(made)).groups
    first, last = group.rows[0], group.rows[-1]
    found = group.between(first, last)
    assert found.interval.low > 0
    assert not found.different
    assert f"is no evidence among 10 pairs (p = {found.p_adjusted:.2f})" in comparison.answer


def test_a_single_row_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    comparison = compare([study(tmp_path, "vit", HIGH)])
    assert comparison.answer == (
        f"{GIVEN}ViT from scratch is the only row on insects: {percent(HIGH)}. There is nothing to compare it with."
    )
    assert comparison.groups[0].differences == {}


def test_with_one_seed_nothing_is_found_and_the_answer_says_why(tmp_path: Path) -> None:
    comparison = compare([study(tmp_path, "vit", HIGH[:1]), study(tmp_path, "resnet", LOW[:1])])
    assert "two runs are compared, not two recipes" in comparison.answer
    assert not comparison.groups[0].differences["vit-none-insects", "resnet-none-insects"].different
    assert any(note.startswith("one seed only (vit-none-insects, resnet-none-insects)") for note in comparison.notes)


def test_two_datasets_that_disagree_are_said_to_with_both_differences(tmp_path: Path) -> None:
    made = [
        study(tmp_path, model, one, dataset=dataset)
        for model, dataset, one in (
            ("vit", "insects", HIGH),
            ("resnet", "insects", LOW),
            ("vit", "digits", LOW),
            ("resnet", "digits", HIGH),
        )
    ]
    comparison = compare(made)
    assert comparison.answer.startswith(
        f"{GIVEN}no row is unbeaten on all of insects and digits; unbeaten are on insects ViT from scratch; on digits "
        "ResNet from scratch. "
        "The datasets disagree: "
    )
    assert re.search(r"ResNet from scratch beats ViT from scratch on digits by 20\.0 points", comparison.answer)
    assert re.search(r"ViT from scratch beats ResNet from scratch on insects by 20\.0 points", comparison.answer)


def test_a_row_that_leads_on_every_dataset_is_said_to(tmp_path: Path) -> None:
    made = [
        study(tmp_path, model, one, dataset=dataset)
        for dataset in ("insects", "digits")
        for model, one in (("vit", HIGH), ("resnet", LOW))
    ]
    assert compare(made).answer == (
        f"{GIVEN}ViT from scratch ranks first alone on insects and digits. No two rows differ in opposite order on two "
        "of them."
    )


def test_attention_convolution_or_both_is_answered_among_models_of_one_pretraining(tmp_path: Path) -> None:
    made = [
        study(tmp_path, "coatnet", HIGH, pretraining="in1k"),
        study(tmp_path, "vit", MIDDLE, pretraining="in1k"),
        study(tmp_path, "resnet", LOW, pretraining="in1k"),
        study(tmp_path, "resnet", LOW, pretraining="in21k"),
    ]
    (answer,) = [one.answer for one in compare(made).questions if one.question.startswith("Attention")]
    assert answer == (
        f"{GIVEN}on insects with in1k weights, both at once (CoAtNet) ranks first alone; attention (ViT) and "
        "convolution (ResNet) are behind it."
    )


def test_what_a_pretraining_changes_is_answered_for_every_model_that_has_two(tmp_path: Path) -> None:
    made = [study(tmp_path, "vit", one, pretraining=name) for name, one in (("in1k", LOW), ("in21k", HIGH))]
    (answer,) = [one.answer for one in compare(made).questions if "pretraining change" in one.question]
    assert answer.startswith(f"{GIVEN}on insects ViT in21k beats ViT in1k by 20.0 points [")
    alone = compare([study(tmp_path, "vit", HIGH), study(tmp_path, "resnet", LOW)])
    assert not [one for one in alone.questions if "pretraining" in one.question]


def test_which_model_gains_the_most_from_pretraining_is_answered_where_several_have_both(tmp_path: Path) -> None:
    made = [
        study(tmp_path, "vit", HIGH, pretraining="in1k"),
        study(tmp_path, "vit", LOW),
        study(tmp_path, "resnet", HIGH, pretraining="in1k"),
        study(tmp_path, "resnet", answers(0.94, 0.94, 0.94, seed=3)),
        study(tmp_path, "alexnet", MIDDLE, pretraining="in1k"),
    ]
    comparison = compare(made)
    (answer,) = [one.answer for one in comparison.questions if "gains" in one.question]
    assert re.fullmatch(
        GIVEN
        + r"on insects, from no pretraining to in1k, ViT gains the most, 20\.0 points \[.*\]: more than ResNet by "
        r"19\.0 points \[.*\]\.",
        answer,
    )
    ((found,),) = gains(comparison.groups)
    assert (found.before, found.after, [*found.each]) == ("none", "in1k", ["ViT", "ResNet"])


def test_gains_that_do_not_differ_are_said_not_to(tmp_path: Path) -> None:
    made = [
        study(tmp_path, model, one, pretraining=name)
        for model in ("vit", "resnet")
        for name, one in (("in1k", HIGH), ("in21k", MIDDLE))
    ]
    (answer,) = [one.answer for one in compare(made).questions if "gains" in one.question]
    assert "from in21k to in1k, ResNet gains the most, 10.0 points" in answer
    assert "which is not found to be more than that of ViT (10.0 points" in answer


# What must be equal


def two(tmp_path: Path, **changed: Any) -> Comparison:
    """Two rows, of which the second is changed."""
    return compare([study(tmp_path, "vit", HIGH), study(tmp_path, "resnet", LOW, **changed)])


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"trials": 8}, "trials differs: 4 (vit-none-insects), 8 (resnet-none-insects)"),
        ({"epochs": 9}, "epochs differs: 3 (vit-none-insects), 9 (resnet-none-insects)"),
        ({"early_stopping": "none"}, "early stopping differs: asha (vit-none-insects), none (resnet-none-insects)"),
        ({"top_k": 1}, "top k differs: 3 (vit-none-insects), 1 (resnet-none-insects)"),
        ({"grad_accum": 4}, "grad accum differs: auto (vit-none-insects), 4 (resnet-none-insects)"),
        ({"protocol": 3}, "protocol differs: 1 (vit-none-insects), 3 (resnet-none-insects)"),
        ({"scale": "paper"}, "scale differs: mini (vit-none-insects), paper (resnet-none-insects)"),
        ({"fixed": {"lr": 0.1}}, "fixed differs: none (vit-none-insects), lr=0.1 (resnet-none-insects)"),
        (
            {"train_fraction": 0.5},
            "insects: train fraction differs: not recorded (vit-none-insects), 0.5 (resnet-none-insects)",
        ),
    ],
)
def test_a_budget_or_a_protocol_that_differs_is_named_with_both_values(
    facts: dict[str, Any], said: str, tmp_path: Path
) -> None:
    assert two(tmp_path, facts=facts).unequal == (said,)


def test_another_size_of_images_and_another_version_of_the_code_are_unequal(tmp_path: Path) -> None:
    as_shown = {"mean": [0.5] * 3, "std": [0.5] * 3, "crop": 0.9, "interpolation": "bilinear"}
    comparison = two(tmp_path, preprocessing={"size": 64, **as_shown}, versions={"torch": "2.14.1", "commit": "abc"})
    assert comparison.unequal == (
        "image size differs: 32 (vit-none-insects), 64 (resnet-none-insects)",
        "code version differs: not recorded (vit-none-insects), abc (resnet-none-insects)",
    )
    assert "preprocessing's crop differs: 1.0 (vit-none-insects), 0.9 (resnet-none-insects)" in comparison.notes


def test_rows_of_one_variant_with_other_weights_are_unequal(tmp_path: Path) -> None:
    def model(weights: str) -> dict[str, Any]:
        return {"parameters": 1, "stage_names": ["stem", "head"], "weights": weights}

    made = [
        study(tmp_path, "vit", HIGH, dataset=dataset, pretraining="in1k", model=model(weights))
        for dataset, weights in (("insects", "first"), ("digits", "second"))
    ]
    assert compare([*made, study(tmp_path, "resnet", LOW, model=model("third"))]).unequal == (
        "vit_mini: weights differs: first (vit-in1k-insects), second (vit-in1k-digits)",
    )


def test_p_is_adjusted_over_all_pairs_of_all_datasets(tmp_path: Path) -> None:
    near = [answers(*[0.9] * 3), answers(*[0.88] * 3, seed=4)]
    made = [
        study(tmp_path, model, one, dataset=dataset)
        for dataset in ("insects", "digits")
        for model, one in zip(("vit", "resnet"), near, strict=True)
    ]
    alone = compare(made[:2]).groups[0].differences["vit-none-insects", "resnet-none-insects"]
    both = compare(made)
    (of_two,) = both.groups[0].differences.values()
    assert (alone.p_adjusted, of_two.p_adjusted) == (alone.p, 2 * alone.p)


def test_no_more_than_a_hundred_points_could_have_been_found() -> None:
    assert could_have_been_found(0.014) == "1.4 points could have been found"
    assert could_have_been_found(1.351).startswith("no difference could have been found")


def test_rows_that_are_equal_within_a_margin_are_said_to_be(tmp_path: Path) -> None:
    made = [study(tmp_path, model, answers(0.9, 0.9, 0.9, own=0.0)) for model in ("vit", "resnet")]
    assert "points could have been found" in compare(made).answer
    comparison = compare(made, margin=0.03)
    assert "they are equal within 3 points" in comparison.answer
    assert {one.verdict for one in comparison.groups[0].equivalences.values()} == {"equal"}


@pytest.mark.parametrize("name", ["probe.json", "corruptions.json"])
def test_a_row_of_which_what_lies_beside_the_record_cannot_be_read_is_left_out_by_name(
    name: str, tmp_path: Path
) -> None:
    damaged, whole = study(tmp_path, "vit", MIDDLE), study(tmp_path, "resnet", MIDDLE)
    (damaged / name).write_text('{"probes": [')
    comparison = compare([damaged, whole])
    assert [row.record.folder for row in comparison.rows] == [whole]
    [(left, why)] = comparison.left_out
    assert left == damaged.name
    assert f"{damaged / name} cannot be read" in why


def test_a_head_that_is_worse_than_ridge_regression_is_said_to_be_under_trained(tmp_path: Path) -> None:
    model = {"parameters": 1, "stage_names": ["stem", "head"]}
    scores = {"seeds": [1], "scores": [0.8], "val_accuracies": [0.8], "score": 0.8}
    winner: dict[str, Any] = {
        "trial_id": "trial-000",
        "freeze_depth": 1,
        "last_epoch": 2,
        "trained_share": 0.1,
    } | scores
    folder = study(tmp_path, "vit", MIDDLE, model=model, winner=winner)
    found = {"variant": "vit_mini", "accuracy": 0.86, "interval": [0.82, 0.89]}
    (folder / "probe.json").write_text(json.dumps({"probes": [found]}))
    assert compare([folder]).notes == (
        "ViT from scratch on insects is 1.0 points below ridge regression on its own frozen features: its head was "
        "under-trained",
    )
    rows = [
        {**row, "variant": "vit_mini", "predicted": row["label"] if row["index"] % 100 < 86 else 1 - row["label"] % 2}
        for row in Record(folder).tables["predictions"]
        if row["seed"] == 1
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "probe.parquet")
    (row,) = compare([folder]).rows
    of = floor(row)
    assert of is not None
    assert of.above is not None
    assert of.above.mean == pytest.approx(
        row.accuracy.mean - np.mean([one["predicted"] == one["label"] for one in rows])
    )
    assert re.search(r"1\.0 points \[-\d\.\d, \d\.\d\] below", compare([folder]).notes[0])


def test_equal_studies_differ_in_nothing(tmp_path: Path) -> None:
    comparison = two(tmp_path)
    assert (comparison.unequal, comparison.notes, comparison.left_out) == ((), (), ())


def test_another_metric_is_unequal_and_a_record_from_before_there_was_a_choice_chose_by_accuracy(
    tmp_path: Path,
) -> None:
    assert two(tmp_path, facts={"metric": "macro_f1"}).unequal == (
        "metric differs: accuracy (vit-none-insects), macro_f1 (resnet-none-insects)",
    )
    old = study(tmp_path / "old", "vit", HIGH)
    content = json.loads((old / "study.json").read_text())
    del content["study"]["metric"]
    (old / "study.json").write_text(json.dumps(content))
    new = study(tmp_path / "old", "resnet", LOW, facts={"metric": "accuracy"})
    assert compare([old, new]).unequal == ()


def test_a_recipe_from_before_a_hyperparameter_was_declared_has_its_default(tmp_path: Path) -> None:
    """Also where `head_first` was a table."""
    old = {"name": "shared", "epochs": 3, "batch_size": 64, "schedule": "cosine", "warmup": 0.1}
    new = old | {"dropout": None, "mixup": 0.0, "head_first_share": 0.0, "head_first_lr_scale": 1.0}
    assert two(tmp_path / "same", facts={"recipe": new}).unequal == ()
    made = [
        study(tmp_path, "vit", HIGH, facts={"recipe": old | {"head_first": {"share": 0.2, "lr_scale": 0.1}}}, format=1),
        study(tmp_path, "resnet", LOW, facts={"recipe": old | {"head_first_share": 0.2, "head_first_lr_scale": 0.1}}),
    ]
    assert compare(made).unequal == ()
    assert two(tmp_path / "other", facts={"recipe": new | {"mixup": 0.2}}).unequal == (
        "recipe's mixup differs: 0.0 (vit-none-insects), 0.2 (resnet-none-insects)",
    )


def test_another_space_is_unequal(tmp_path: Path) -> None:
    wider = {**THREE, "weight_decay": {"low": 1e-6, "high": 0.3, "log": True}}
    assert two(tmp_path / "wider", space=wider).unequal == (
        "range of weight decay differs: 1e-06 to 0.1, log (vit-none-insects), 1e-06 to 0.3, log (resnet-none-insects)",
    )
    assert two(tmp_path / "more", space={**THREE, "schedule": {"choices": ["cosine", "step"]}}).unequal == (
        "what is searched or fixed differs: lr, weight_decay, freeze_depth (vit-none-insects), "
        "lr, weight_decay, freeze_depth, schedule (resnet-none-insects)",
    )


def test_architectures_that_were_searched_in_their_own_ranges_are_equal_and_the_ranges_are_noted(
    tmp_path: Path,
) -> None:
    made = [
        study(tmp_path, model, one, space={name: one.facts() for name, one in default(model, 5).items()})
        for model, one in (("vit", HIGH), ("resnet", LOW))
    ]
    comparison = compare(made)
    assert comparison.unequal == ()
    assert comparison.notes == (
        "range of weight decay differs: 1e-05 to 0.3, log (vit-none-insects), 1e-05 to 0.1, log (resnet-none-insects)",
    )


def test_another_augmentation_or_sampler_is_unequal(tmp_path: Path) -> None:
    one = Record(study(tmp_path, "vit", HIGH, sampler={"name": "TPE"}))
    recipe = {**one.configuration.recipe, "augmentation": "autoaugment"}
    other = study(tmp_path, "resnet", LOW, facts={"recipe": recipe}, sampler={"name": "random"})
    assert compare([one.folder, other]).unequal == (
        "recipe's augmentation differs: none (vit-none-insects), autoaugment (resnet-none-insects)",
        "sampler differs: name=TPE (vit-none-insects), name=random (resnet-none-insects)",
    )


def test_head_only_studies_are_alike_however_many_stages_a_backbone_has(tmp_path: Path) -> None:
    made = []
    for name, stages in (("vit", 8), ("resnet", 5)):
        model = {"parameters": 1, "stage_names": [*map(str, range(stages)), "head"]}
        made.append(study(tmp_path, name, HIGH, facts={"fixed": {"freeze_depth": stages}}, model=model))
    assert compare(made).unequal == ()


def test_studies_of_other_splits_are_unequal_even_where_their_test_sets_are_the_same(tmp_path: Path) -> None:
    comparison = two(tmp_path, data={"fingerprint": "another"})
    assert len(comparison.groups) == 1
    (said,) = comparison.unequal
    assert said.startswith("insects: splits differs: 8f14e45fceea167a (vit-none-insects), another")


def test_rows_with_different_test_sets_are_compared_apart_and_it_is_said(tmp_path: Path) -> None:
    comparison = two(tmp_path, data={"test_set": "another"})
    assert [group.title for group in comparison.groups] == ["insects (test set 1 of 2)", "insects (test set 2 of 2)"]
    assert all(not group.differences for group in comparison.groups)
    assert comparison.answer.endswith("No two rows answered the same test images: nothing is compared.")
    assert comparison.unequal == (
        "insects: test set differs: of insects (vit-none-insects), another (resnet-none-insects)",
    )
    assert "several test sets" in (comparison.no_critical_difference or "")


def test_rows_that_answered_other_images_are_never_paired(tmp_path: Path) -> None:
    """Whatever their records say of the test set."""
    assert len(two(tmp_path, index=np.arange(IMAGES)).groups) == 2
    assert len(two(tmp_path / "labels", label=np.arange(IMAGES) % 3).groups) == 2
    assert len(two(tmp_path / "classes", classes=("ant", "bee", "cat", "emu")).groups) == 2


def test_other_versions_and_machines_are_noted_and_are_no_inequality(tmp_path: Path) -> None:
    versions = {"python": "3.11.9", "torch": "2.15.0", "ray": "2.60.0", "optuna": "5.0.0"}
    comparison = two(tmp_path, versions=versions, hardware={"cpus": 64})
    assert comparison.unequal == ()
    assert comparison.notes == (
        "torch differs: 2.14.1 (vit-none-insects), 2.15.0 (resnet-none-insects)",
        "the studies ran on different machines: their times cannot be compared",
    )


def test_a_test_run_that_failed_is_noted(tmp_path: Path) -> None:
    comparison = two(tmp_path, facts={"seeds": 3})
    assert comparison.notes == ()
    comparison = compare([study(tmp_path / "less", "vit", HIGH[:2], facts={"seeds": 3})])
    assert comparison.notes == ("vit-none-insects has 2 of 3 seeds: the other test runs failed",)


def test_a_class_without_test_images_has_no_recall_and_is_noted(tmp_path: Path) -> None:
    comparison = compare([study(tmp_path, "vit", np.ones((3, 30), bool), label=np.arange(30) % 3)])
    (row,) = comparison.rows
    assert row.recall == {"ant": 1.0, "bee": 1.0, "cat": 1.0, "dog": None}
    assert row.mean_class_accuracy.mean == 1.0
    assert comparison.notes == ("insects: no test image of class dog, which counts in no mean over classes",)


# What is left out


def test_a_folder_without_a_record_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    comparison = compare([tmp_path / "empty"])
    assert comparison.rows == ()
    assert comparison.left_out == (("empty", "it has no study.json: it is not the folder of a study"),)
    assert comparison.answer == "No study is finished: there is nothing to compare."


@pytest.mark.parametrize("name", ["predictions.parquet", "trials.parquet", "study.json"])
def test_a_truncated_file_is_named_and_the_others_are_compared(name: str, tmp_path: Path) -> None:
    good, bad = study(tmp_path, "vit", HIGH), study(tmp_path, "resnet", LOW)
    whole = (bad / name).read_bytes()
    (bad / name).write_bytes(whole[: len(whole) // 2])
    (bad / "record.journal").unlink()  # which has the trials, too
    comparison = compare([good, bad])
    assert [row.model for row in comparison.rows] == ["vit"]
    assert f"{bad / name} cannot be read" in why(comparison)
    assert "\n" not in why(comparison)


def test_a_study_that_is_not_finished_is_left_out_with_the_way_to_go_on(tmp_path: Path) -> None:
    folder = study(tmp_path, "vit", HIGH)
    edit(folder, status="interrupted", command="python -m study.run --model vit")
    assert why(compare([folder])) == (
        "it is not finished but interrupted; go on with: python -m study.run --model vit --resume"
    )


def test_a_record_of_a_later_format_is_left_out(tmp_path: Path) -> None:
    folder = study(tmp_path, "vit", HIGH)
    edit(folder, format=FORMAT + 1)
    assert f"it has format {FORMAT + 1}, and this version reads formats 1 to {FORMAT}" in why(compare([folder]))


@pytest.mark.parametrize("entry", ["study", "data", "status"])
def test_a_record_that_lacks_an_entry_is_left_out(entry: str, tmp_path: Path) -> None:
    folder = study(tmp_path, "vit", HIGH)
    facts = json.loads((folder / "study.json").read_text())
    del facts[entry]
    (folder / "study.json").write_text(json.dumps(facts))
    assert why(compare([folder])) == f"its record is not complete: study.json has no {entry}"


def test_missing_predictions_are_named(tmp_path: Path) -> None:
    folder = study(tmp_path, "vit", HIGH)
    (folder / "predictions.parquet").unlink()
    assert "no predictions on the test set" in why(compare([folder]))


def test_a_record_without_its_trials_says_that_its_search_is_not_known(tmp_path: Path) -> None:
    folder = study(tmp_path, "vit", HIGH)
    for name in ("trials.parquet", "record.journal"):
        (folder / name).unlink()
    comparison = compare([folder])
    assert (comparison.rows[0].trials, comparison.rows[0].expected_best) == (0, None)
    assert comparison.notes == (
        "vit-none-insects has 0 of 4 trials in its record: what its search found and cost is not known",
    )


@pytest.mark.parametrize("keep", [slice(0, -1), slice(0, 2 * IMAGES + 1), slice(1, None)])
def test_seeds_that_did_not_answer_the_same_images_are_left_out(keep: slice, tmp_path: Path) -> None:
    record = Record(study(tmp_path, "vit", HIGH))
    record.replace("predictions", record.tables["predictions"][keep])
    assert "did not predict the same images" in why(compare([record.folder]))


def test_an_image_that_was_answered_twice_is_no_test_set(tmp_path: Path) -> None:
    folder = study(tmp_path, "vit", HIGH, index=np.zeros(IMAGES, int))
    assert "did not predict the same images" in why(compare([folder]))


def test_a_prediction_of_a_class_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    record = Record(study(tmp_path, "vit", HIGH))
    first, *others = record.tables["predictions"]
    record.replace("predictions", [{**first, "predicted": 7}, *others])
    assert why(compare([record.folder])) == "its predictions name classes that it does not have: it has 4"


def test_rows_without_weights_are_left_out_with_the_reason_they_are_given(tmp_path: Path) -> None:
    given = [("CoAtNet in21k", "there are no such weights")]
    assert compare([study(tmp_path, "vit", HIGH)], given).left_out == tuple(given)


def test_too_many_rows_for_pairs_are_shown_without_and_it_is_said(tmp_path: Path) -> None:
    few = answers(0.9, 0.8, images=20)
    made = [
        study(tmp_path, "vit", few, facts={"name": f"vit-{n}"}, pretraining=f"p{n}") for n in range(MOST_IN_PAIRS + 1)
    ]
    comparison = compare(made)
    (group,) = comparison.groups
    assert (len(group.rows), group.differences, group.ranks) == (MOST_IN_PAIRS + 1, {}, {})
    assert "101 rows on insects are not compared in pairs: at most 100 are" in comparison.answer
    assert "and 81 more" in summary(comparison, tmp_path)


# Over datasets


def over(tmp_path: Path, datasets: int, models: Sequence[str] = ("vit", "resnet", "alexnet")) -> Comparison:
    three = (HIGH, MIDDLE, LOW)
    return compare(
        [
            study(tmp_path, model, one, dataset=f"set{n}")
            for n in range(datasets)
            for model, one in zip(models, three, strict=False)
        ]
    )


def test_critical_differences_are_there_from_five_datasets_up(tmp_path: Path) -> None:
    found = over(tmp_path, 5).critical_difference
    assert found is not None
    assert found.mean_ranks == {"ViT from scratch": 1, "ResNet from scratch": 2, "AlexNet from scratch": 3}


def test_below_five_datasets_there_are_none_and_it_is_said_why(tmp_path: Path) -> None:
    comparison = over(tmp_path, 2)
    assert comparison.critical_difference is None
    assert re.search(r"at least 5 data ?sets, there are 2", comparison.no_critical_difference or "")


def test_many_datasets_are_summed_up_on_a_screen(tmp_path: Path) -> None:
    comparison = over(tmp_path, 9, models=("vit", "resnet"))
    screen = summary(comparison, tmp_path)
    assert "ranks first alone on set0, set1, set2 and 6 more" in comparison.answer
    assert "and 5 more datasets or test sets" in screen
    assert len(screen.splitlines()) < 40


# Where studies are found


def test_a_place_is_a_study_or_a_folder_that_holds_studies(tmp_path: Path) -> None:
    made = [study(tmp_path, model, HIGH) for model in ("resnet", "vit")]
    assert study_folders([tmp_path]) == made
    assert study_folders([made[1]]) == [made[1]]


def test_a_place_without_studies_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} holds no study"):
        study_folders([tmp_path])
    with pytest.raises(ValueError, match="nowhere is no folder"):
        study_folders([tmp_path / "nowhere"])
