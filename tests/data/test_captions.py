"""Pictures with texts: what lies beside a picture, what is missing and said so, which caption an epoch shows."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from tests.data.test_loader import RANDOM, Numbers
from unlabel.data import Captioned, Subset, ViewLoader, Views, open_source
from unlabel.data.captions import LONGEST, cleaned, drawn
from unlabel.data.source import Cached, Unreadable
from unlabel.errors import Fault
from unlabel.views import Recipe


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (200, 0, 0)).save(file)


def reason(source, i: int) -> str:
    with pytest.raises(Unreadable) as caught:
        source.image(i)
    assert source.skipped[i].reason == caught.value.reason
    with pytest.raises(Unreadable):
        source.look(i)
    return caught.value.reason


def test_texts_beside_the_pictures_of_a_folder(tmp_path):
    for name in ("a.jpg", "b.png", "c.jpg", "d.jpg", "e.jpg", "f.jpg", "g.jpg"):
        picture(tmp_path / name)
    (tmp_path / "a.txt").write_text("\ufeffA  dog,\trunning \r\n\r\n two dogs\n", "utf-8")
    (tmp_path / "b.txt").write_bytes("ein Hünd".encode())
    (tmp_path / "d.txt").write_bytes(b"caf\xe9")
    (tmp_path / "e.txt").write_text("   \n")
    (tmp_path / "f.txt").write_text("x" * (LONGEST + 1))
    (tmp_path / "g.txt").write_text("a red square")
    (tmp_path / "g.jpg").write_bytes(b"no picture")
    source = open_source(tmp_path, captions=True)
    assert source.captioned and len(source) == 7
    assert source.captions(0) == ("A dog, running", "two dogs") and source.captions(1) == ("ein Hünd",)
    assert source.image(0).shape == source.look(1).pixels(None).shape == (3, 4, 6)
    assert "no text file of its name" in reason(source, 2)
    assert "not UTF-8" in reason(source, 3)
    assert reason(source, 4) == "it has no caption"
    assert "longer than 65,536 bytes" in reason(source, 5)
    assert "not a picture" in reason(source, 6)
    plain = open_source(tmp_path)
    assert not plain.captioned and plain.captions(0) == () and plain.image(2).shape == (3, 4, 6)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_the_place_of_a_text_is_not_waited_for(tmp_path):
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b.jpg")
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("b")
    assert "it has no caption" in reason(open_source(tmp_path, captions=True), 0)


def test_data_without_captions_is_refused(tmp_path):
    picture(tmp_path / "a.jpg")
    with pytest.raises(Fault, match=r"has no captions: give .* cat\.txt"):
        open_source(tmp_path, captions=True)
    with pytest.raises(Fault, match="array has no captions"):
        open_source(np.zeros((3, 4, 4), np.uint8), captions=True)
    assert open_source(tmp_path).image(0).shape == (3, 4, 6)


def test_test_splits_have_their_own_texts(tmp_path):
    for name in ("train/cat/1", "train/dog/2", "test/dog/3"):
        picture(tmp_path / f"{name}.jpg")
        (tmp_path / f"{name}.txt").write_text(name)
    test = open_source(tmp_path, split="test", captions=True)
    assert test.captions(0) == ("test/dog/3",) and test.labels.tolist() == [1] and test.classes == ["cat", "dog"]


def test_subsets_and_caches_know_the_texts():
    whole = Captioned(Numbers(5), [(), ("one",), ("two", "zwei"), ("three",), ("four",)])
    for source in (Subset(Cached(whole, 1 << 20), [2, 0]), Cached(Subset(whole, [2, 0]), 1 << 20)):
        assert source.captioned and source.captions(0) == ("two", "zwei") and source.captions(1) == ()
        assert source.image(0)[0, 0, 0] == 2
        assert reason(source, 1) == "it has no caption"


def test_fingerprints_cover_the_texts():
    def of(*texts: tuple[str, ...]) -> str:
        return Captioned(Numbers(2), texts).fingerprint()

    prints = {of(("a",), ("b",)), of(("a", "b"), ()), of(("ab",), ("",)), of(("b",), ("a",)), Numbers(2).fingerprint()}
    assert len(prints) == 5 and of(("a",), ("b",)) == of(("a",), ("b",))


def test_what_is_no_text_is_none():
    assert cleaned(None) == cleaned("") == cleaned([]) == cleaned(["  ", 3, None]) == cleaned(4) == ()
    assert cleaned(["a\nb", "c"]) == ("a b", "c")
    assert cleaned("lone \ud800 surrogate") == ("lone ? surrogate",)


# ------------------------------------------------------------------------------------- in batches


def lengths(texts: list[str]) -> Tensor:
    """A stand-in for a tokeniser: the number that a text ends in, and its length."""
    return torch.tensor([[int(text.split()[-1]), len(text)] for text in texts])


def numbered(count: int, broken: tuple[int, ...] = (), silent: tuple[int, ...] = ()) -> Captioned:
    texts = [() if i in silent else tuple(f"{'x' * k} {i}" for k in range(1, 4)) for i in range(count)]
    return Captioned(Numbers(count, broken), texts)


def batches(source, **options) -> ViewLoader:
    chosen = {"seed": 0, "stop": 8, "threads": 0, "tokenise": lengths, **options}
    return ViewLoader([source], Recipe(views=(RANDOM,)), 4, **chosen)


def test_tokens_are_of_the_picture_that_is_shown_whatever_could_not_be():
    for batch in batches(numbered(12, broken=(3,), silent=(5, 7))):
        assert batch.tokens.dtype == torch.int64 and batch.tokens[:, 0].tolist() == batch.index.tolist()
        assert not {3, 5, 7} & set(batch.index.tolist())


def test_without_a_tokeniser_there_are_no_tokens():
    assert batches(numbered(12), tokenise=None).batch(0).tokens is None


def test_threads_and_ranks_change_no_caption():
    alone = [batch.tokens.tolist() for batch in batches(numbered(12))]
    assert alone == [batch.tokens.tolist() for batch in batches(numbered(12), threads=3)]
    halves = [[batch.tokens.tolist() for batch in batches(numbered(12), rank=r, world=2)] for r in range(2)]
    assert alone == [a + b for a, b in zip(*halves, strict=True)]


def test_a_caption_is_drawn_by_seed_epoch_and_picture_alone():
    source, every = numbered(300), np.arange(300)
    first = drawn(source, every, seed=1, epoch=0)
    assert first[::-1] == drawn(source, every[::-1], seed=1, epoch=0)
    assert first[17:19] == drawn(source, every[17:19], seed=1, epoch=0)
    assert first != drawn(source, every, seed=1, epoch=1) != drawn(source, every, seed=2, epoch=1)


def test_all_captions_of_a_picture_are_equally_likely():
    """Chi-squared of 900 draws: two degrees of freedom, 13.8 is the 0.1 % point."""
    source = numbered(300)
    seen = [text.count("x") for epoch in range(3) for text in drawn(source, np.arange(300), seed=0, epoch=epoch)]
    assert ((np.bincount(seen)[1:] - 300) ** 2 / 300).sum() < 13.8


def test_views_behind_a_dataloader_have_the_same_tokens():
    views = Views([numbered(12)], Recipe(views=(RANDOM,)), seed=3, tokenise=lengths)
    views.set_epoch(1)
    (batch,) = list(DataLoader(views, 12, collate_fn=Views.collate))
    loader = ViewLoader([numbered(12)], Recipe(views=(RANDOM,)), 12, seed=3, stop=2, threads=0, tokenise=lengths)
    ours = loader.batch(1)
    assert torch.equal(batch.tokens, ours.tokens[ours.index.argsort()])
