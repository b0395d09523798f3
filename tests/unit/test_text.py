"""Words for readers."""

import pytest

from study import text


@pytest.mark.parametrize(
    ("seconds", "words"), [(6.7, "7 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (3720, "1 h 02 min")]
)
def test_a_duration_is_as_exact_as_it_is_short(seconds: float, words: str) -> None:
    assert text.duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "study", "1 study"),
        (2, "study", "2 studies"),
        (0, "trial", "0 trials"),
        (1200, "class", "1,200 classes"),
        (2, "day", "2 days"),
        (3, "test image", "3 test images"),
        (4, "epoch", "4 epochs"),
    ],
)
def test_a_noun_is_in_the_plural_but_for_one(number: int, noun: str, words: str) -> None:
    assert text.plural(number, noun) == words


def test_the_last_of_several_words_is_joined_by_and() -> None:
    assert [text.joined(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_of_many_names_the_first_few_are_said_and_how_many_more() -> None:
    assert text.shorten(list("abc")) == "a, b, c"
    assert text.shorten(list("abcdefg")) == "a, b, c and 4 more"


def test_a_small_p_value_is_not_said_to_be_zero() -> None:
    assert [text.p_value(p) for p in (None, 0.0004, 0.034)] == ["–", "< 0.001", "0.034"]
