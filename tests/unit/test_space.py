"""A space of one's own: a table of ranges and choices, checked field by field."""

from pathlib import Path

import pytest

from study.design import space as spaces
from study.design.space import Choices, Range

STAGES = 5


def parsed(text: str) -> spaces.Space:
    return spaces.parse(text, "space mine.toml", STAGES)


def test_a_table_holds_ranges_and_choices_in_its_order() -> None:
    space = parsed(
        """
        [label_smoothing]
        low = 0.0
        high = 0.2

        [lr]
        low = 1e-5
        high = 3e-2
        log = true

        [batch_size]
        choices = [32, 64, 128]

        [augmentation]
        choices = ["none", "flip"]
        """
    )
    assert list(space.items()) == [
        ("label_smoothing", Range(0.0, 0.2)),
        ("lr", Range(1e-5, 3e-2, log=True)),
        ("batch_size", Choices((32, 64, 128))),
        ("augmentation", Choices(("none", "flip"))),
    ]


def test_what_a_record_holds_of_a_space_is_the_space() -> None:
    space = parsed('lr = { low = 1e-5, high = 3e-2 }\nschedule = { choices = ["step", "cosine"] }')
    assert spaces.from_facts({name: domain.facts() for name, domain in space.items()}) == space


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ('freeze_depth = { low = 0, high = "all" }', Range(0, 5)),
        ("freeze_depth = { low = 0.4, high = 1.0 }", Range(2, 5)),
        ('freeze_depth = { choices = [0, 0.6, "all"] }', Choices((0, 3, 5))),
    ],
)
def test_a_freeze_depth_is_stages_or_a_share_of_them_or_all(text: str, domain: spaces.Domain) -> None:
    assert parsed(text)["freeze_depth"] == domain


def test_a_range_is_logarithmic_where_it_is_declared_to_be() -> None:
    assert parsed("lr = { low = 1e-5, high = 1 }")["lr"] == Range(1e-5, 1.0, log=True)
    assert parsed("lr = { low = 1e-5, high = 1, log = false }")["lr"] == Range(1e-5, 1.0, log=False)


MISTAKES = {
    "an unknown name": ("label_smothing = { low = 0, high = 1 }", "did you mean label_smoothing?"),
    "an unknown field": ("lr = { lo = 1e-5, high = 1e-2 }", "did you mean low?"),
    "no table": ("lr = 1e-3", "lr takes a table of low and high, or of choices, got 0.001"),
    "a bound outside": ("label_smoothing = { low = 0, high = 1.5 }", "label_smoothing must be at least 0 and below 1"),
    "low above high": ("lr = { low = 1e-2, high = 1e-3 }", "lr: low 0.01 is above high 0.001"),
    "a single value": ("lr = { low = 1e-2, high = 1e-2 }", "--fix lr=0.01"),
    "no high": ("lr = { low = 1e-2 }", "lr has no high"),
    "log from 0": ("weight_decay = { low = 0, high = 1 }", "a logarithmic range needs a low above 0, got 0"),
    "log of something else": ('lr = { low = 1e-3, high = 1, log = "yes" }', "log takes true or false, got 'yes'"),
    "a choice that there is not": ('schedule = { choices = ["step", "cosin"] }', "did you mean cosine?"),
    "one choice": ('schedule = { choices = ["step"] }', "two choices or more"),
    "a choice twice": ("batch_size = { choices = [32, 32] }", "batch_size has a choice twice"),
    "both": ("lr = { low = 1e-3, high = 1, choices = [1] }", "lr has choices and a range"),
    "a range of names": ("schedule = { low = 0, high = 1 }", "schedule takes choices, of onecycle"),
    "half an image": ("batch_size = { low = 1.5, high = 8 }", "batch_size takes a whole number, got 1.5"),
    "too deep": ("freeze_depth = { low = 0, high = 6 }", "freeze_depth must be 0 to 5 stages"),
    "no number": ('lr = { low = "small", high = 1 }', "lr takes a number, got 'small'"),
    "no end": ("lr = { low = 1e-5, high = inf }", "lr must be above 0, got inf"),
    "nothing": ("", "is empty"),
    "no TOML": ("lr: 1", "is not TOML"),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_a_line_that_names_the_file_the_field_and_the_way_out(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^space mine\.toml") as raised:
        parsed(text)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"space .*none\.toml cannot be read \(No such file"):
        spaces.read(tmp_path / "none.toml", STAGES)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"binary\.toml is not text"):
        spaces.read(tmp_path / "binary.toml", STAGES)


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("freeze_depth=all", ("freeze_depth", 5)),
        ("freeze_depth=2", ("freeze_depth", 2)),
        ("freeze_depth=0.4", ("freeze_depth", 2)),
        ("lr=1e-3", ("lr", 1e-3)),
        ("batch_size=128", ("batch_size", 128)),
        ("augmentation=flip", ("augmentation", "flip")),
    ],
)
def test_any_declared_hyperparameter_can_be_fixed(assignment: str, value: tuple[str, object]) -> None:
    assert spaces.fixed_value(assignment, STAGES) == value


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("lr", "--fix takes NAME=VALUE, got 'lr'"),
        ("larning=1", "unknown hyperparameter to fix 'larning'"),
        ("lr=abc", "lr takes a number, got 'abc'"),
        ("batch_size=1.5", "batch_size takes a whole number, got '1.5'"),
        ("freeze_depth=9", "--fix freeze_depth takes a whole number from 0 to 5, a share such as 0.5, or all, got '9'"),
        ("schedule=linear", "unknown schedule 'linear'"),
    ],
)
def test_a_value_that_cannot_be_fixed_is_one_line(assignment: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as raised:
        spaces.fixed_value(assignment, STAGES)
    assert words in str(raised.value)


def test_a_finite_space_has_a_size_and_one_with_a_range_of_numbers_has_none() -> None:
    assert spaces.size(parsed('freeze_depth = { low = 0, high = "all" }')) == 6
    assert spaces.size(parsed('freeze_depth = { low = 1, high = 2 }\nschedule = { choices = ["step", "cosine"] }')) == 4
    assert spaces.size(parsed("freeze_depth = { low = 1, high = 2 }\nlr = { low = 1e-3, high = 1 }")) is None
