"""What a method draws as it learns: always of the same images, never to the harm of training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import unlabel
from tests.engine.test_resume import end, options
from tests.methods.toy import toy_batch, toy_method
from unlabel import methods
from unlabel.engine.album import IMAGES, NAME, Album, draws, thinned
from unlabel.engine.folder import RunFolder
from unlabel.engine.job import Job
from unlabel.engine.options import needs_backbone

DRAWING = [name for name in methods.available() if methods.get(name).picture is not methods.Method.picture]


class Plain:
    """What an album needs to know of a job."""

    class run:
        compile = False
        seed = 0

    size = 32


def album_of(name: str, method: methods.Method, folder: Path) -> Album:
    job: Job = Plain()  # type: ignore[assignment]
    return Album(RunFolder(folder), job, method.pictured_together, lambda: toy_batch(name, method))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in RunFolder(folder).over_time.iterdir()}


def test_few_moments_are_all_kept_and_many_thinned() -> None:
    assert thinned([]) == set()
    assert thinned([0, 3, 9]) == {0, 3, 9}
    assert sorted(thinned(range(0, 1001, 10))) == [0, 110, 220, 330, 440, 560, 670, 780, 890, 1000]
    assert len(thinned(range(13))) == 10 and {0, 12} <= thinned(range(13))


@pytest.mark.parametrize("name", DRAWING)
def test_drawing_changes_nothing_and_repeats(name: str, tmp_path: Path) -> None:
    method = toy_method(name).train()
    album = album_of(name, method, tmp_path)
    before = {key: value.clone() for key, value in method.state_dict().items() if isinstance(value, torch.Tensor)}
    modes, state = [part.training for part in method.modules()], torch.get_rng_state()
    first, again = album.drawn(method), album.drawn(method)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in method.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items() if key in before)
    assert all(parameter.grad is None for parameter in method.parameters())
    assert first and first.keys() == again.keys()
    for key, (picture, count) in first.items():
        assert count == (1 if method.pictured_together else IMAGES)
        assert picture.dtype == torch.uint8 and picture.shape[2] % count == 0 and picture.shape[2] <= 2000
        assert torch.equal(picture, again[key][0])


def test_files_say_what_they_are(tmp_path: Path) -> None:
    method = toy_method("mae")
    album_of("mae", method, tmp_path).draw(method, 70)
    (path,) = RunFolder(tmp_path).over_time.iterdir()
    match = NAME.fullmatch(path.name)
    assert match and (match["name"], int(match["update"]), int(match["images"])) == ("reconstructions", 70, 4)
    with Image.open(path) as picture:
        assert picture.width == 4 * 3 * 36  # four images of 32 px with a frame, three times as large
        assert np.asarray(picture).std() > 10


def test_methods_that_draw_nothing_have_no_album() -> None:
    assert draws(toy_method("mae")) and not draws(toy_method("simclr"))
    assert needs_backbone(methods.get("mae"))


@pytest.mark.parametrize("name", ["mae", "cut"])
def test_a_run_cut_off_shows_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {**options(name), "monitors": 12}
    monkeypatch.setattr("tests.engine.test_resume.options", lambda name: more)
    end(name, tmp_path / "ended", monkeypatch)
    cut_off = files(tmp_path / "ended")
    unlabel.pretrain(resume=tmp_path / "ended")
    unlabel.pretrain(name, out=tmp_path / "whole", **more)
    whole = files(tmp_path / "whole")
    assert files(tmp_path / "ended") == whole
    assert len(cut_off) < len(whole) <= 10
    updates = sorted(int(NAME.fullmatch(path)["update"]) for path in whole)
    assert updates[0] == 0 and updates[-1] == RunFolder(tmp_path / "whole").read()["updates"]
