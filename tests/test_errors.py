"""The hints that end sentences about unknown names."""

import pytest

from unlabel.errors import nearest

OPTIONS = ["epochs", "seed", "temperature", "teacher_temperature", "batch_size"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("epohs", "epochs"), ("Seed", "seed"), ("temp", "temperature"), ("batch", "batch_size"), ("teacher", OPTIONS[3])],
)
def test_a_misspelt_or_shortened_name_is_known_again(word: str, meant: str) -> None:
    assert nearest(word, OPTIONS) == f"; did you mean `{meant}`?"


@pytest.mark.parametrize("word", ["nosuch", "", "e", "wd", "momentum"])
def test_nothing_is_meant_by_a_word_that_is_far_from_all(word: str) -> None:
    assert nearest(word, OPTIONS) == ""
