"""Texts become ids and come back; what is learnt is the same each time and survives a file."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unlabel.data.sentences import sentences
from unlabel.data.shapes import Shapes
from unlabel.data.tokens import Tokeniser
from unlabel.errors import Fault
from unlabel.nn.text import END, PAD, START

TEXTS = [text for some in sentences(Shapes(200).factors) for text in some]


def learnt(context: int = 24, vocabulary: int = 500) -> Tokeniser:
    return Tokeniser.learn(TEXTS, vocabulary=vocabulary, context=context)


LONG = learnt(context=2000)  # nothing is cut


def test_a_row_is_start_text_end_and_filling():
    rows = learnt()(["a red star", ""])
    assert rows.dtype == torch.int64 and rows.shape == (2, 24)
    assert rows[1].tolist() == [START, END] + [PAD] * 22
    assert rows[0, 0] == START and (rows[0] == END).sum() == 1
    end = int((rows[0] == END).int().argmax())
    assert 3 <= end <= 5 and (rows[0, 1:end] > END).all() and (rows[0, end + 1 :] == PAD).all()
    assert learnt()([]).shape == (0, 24)


def test_frequent_words_are_one_token_each():
    (row,) = learnt()(["a large red star at the top left on a striped blue ground"])
    assert int((row == END).int().argmax()) == 14  # thirteen words behind the start


def test_a_text_that_is_too_long_is_cut_and_keeps_its_end():
    (row,) = learnt(context=6)(["a large red star at the top left on a striped blue ground"])
    assert row[0] == START and row[-1] == END and (row[1:-1] > END).all()


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_decoding_gives_the_normalised_text(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode()  # without lone surrogates
    assert LONG.decode(LONG([text])[0]) == LONG.normalised(text).strip()


def test_case_and_blanks_are_no_matter():
    a, b = LONG(["A  Red\tSTAR ", "a red star"])
    assert torch.equal(a, b) and LONG.normalised(" Été \n e\u0301") == "été é"


@pytest.mark.parametrize("text", ["<END>", "<PAD> a <START>", "<end>"])
def test_a_text_cannot_forge_its_end(text: str) -> None:
    (row,) = LONG([text])
    assert (row == END).sum() == 1 and (row == START).sum() == 1
    assert LONG.decode(row) == text.lower()


def test_what_is_learnt_depends_on_the_texts_alone_and_survives_a_file(tmp_path):
    one = learnt()
    assert one.as_json() == learnt().as_json()
    (tmp_path / "t.json").write_text(one.as_json())
    again = Tokeniser.read(tmp_path / "t.json")
    assert torch.equal(again(TEXTS), one(TEXTS)) and again.context == 24 and again.size == one.size
    (row,) = again(["<END>"])
    assert (row == END).sum() == 1


def test_the_vocabulary_is_at_most_what_was_asked_for():
    assert learnt(vocabulary=300).size <= 300
    assert int(learnt(vocabulary=300)(TEXTS).max()) < 300
    assert learnt(vocabulary=5000).size < 600  # there is no more to learn


@pytest.mark.parametrize("damage", ["missing", "half", "no tokeniser", "another"])
def test_files_that_are_none(tmp_path, damage: str) -> None:
    file = tmp_path / "t.json"
    if damage == "half":
        file.write_text(learnt().as_json()[:500])
    if damage == "no tokeniser":
        file.write_text('{"a": 1}')
    if damage == "another":
        changed = json.loads(learnt().as_json())
        changed["padding"] = None
        file.write_text(json.dumps(changed))
    with pytest.raises(Fault, match=r"t\.json|no tokeniser"):
        Tokeniser.read(file)
