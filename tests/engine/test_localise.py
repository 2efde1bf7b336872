"""ContrastiveCrop in a run: when regions are refreshed, what crops follow, and that a resumed run does the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import unlabel
from tests.evaluation.pictures import Bars
from tests.methods.toy import toy_method
from unlabel.engine import callbacks, checkpoint, fit
from unlabel.engine.folder import RunFolder
from unlabel.engine.localise import localise, whole_view
from unlabel.errors import Fault

SHORT = {"data": "shapes:64", "batch_size": 16, "epochs": 3, "monitors": 0, "evaluate": False, "device": "cpu",
         "recipe": "small", "projector_width": 16, "crops": "contrastive", "save_every": "0.001s"}  # fmt: skip


class Bright(nn.Module):
    """Whose one map is the picture's brightness."""

    def forward_features(self, x: Tensor) -> Tensor:
        return x.mean(dim=1, keepdim=True)

    def forward_head(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def method(network: nn.Module) -> object:
    found = toy_method("simclr")
    found.backbone = network
    return found


def test_regions_are_where_the_network_sees_something() -> None:
    class Spot(Bars):
        def image(self, i: int) -> Tensor:
            super().image(i)  # raises for those that cannot be read
            image = torch.zeros(3, 20, 40, dtype=torch.uint8)
            image[:, 5:10, 10 * (i % 4) : 10 * (i % 4) + 10] = 255 if i != 3 else 0
            return image

    source, view = Spot(6, broken=(2,)), whole_view(16, (0.0,) * 3, (1.0,) * 3)
    before = np.random.default_rng(0).uniform(size=(6, 4)).astype(np.float32)
    kept = before.copy()
    found = localise(method(Bright()), source, view, before=before, threshold=0.5, device="cpu")
    assert found.dtype == np.float32 and np.array_equal(before, kept)
    for i in (0, 1, 4, 5):
        left = (i % 4) / 4
        np.testing.assert_allclose(found[i], (0.25, left, 0.5, left + 0.25), atol=1 / 16)
    assert np.array_equal(found[[2, 3]], before[[2, 3]])  # cannot be read; shows nothing
    first = localise(method(Bright()), source, view, before=None, threshold=0.5, device="cpu")
    assert np.array_equal(first[[2, 3]], [[0, 0, 1, 1]] * 2)


def test_localising_leaves_modes_and_random_numbers_as_they_were() -> None:
    simclr = toy_method("simclr").train()
    simclr.backbone.layer1.eval()
    before = [part.training for part in simclr.modules()]
    weights = {name: value.clone() for name, value in simclr.state_dict().items() if isinstance(value, Tensor)}
    state = torch.get_rng_state()
    localise(simclr, Bars(30), whole_view(16, (0.5,) * 3, (0.2,) * 3), before=None, threshold=0.1, device="cpu")
    assert [part.training for part in simclr.modules()] == before and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, simclr.state_dict()[name]) for name, value in weights.items())


def test_a_run_refreshes_regions_at_its_moments_and_crops_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed: list[int] = []
    from unlabel.engine import localise as room

    def noting(found: object, *arguments: object, **options: object) -> np.ndarray:
        refreshed.append(found.updates)
        return localise(found, *arguments, **options)

    monkeypatch.setattr(room, "localise", noting)
    unlabel.pretrain("simclr", out=tmp_path / "led", crop_warmup=0.25, crop_interval=0.25, **SHORT)
    assert refreshed == [3, 6, 9]
    stored = checkpoint.load(RunFolder(tmp_path / "led").checkpoint)
    assert stored.regions.shape[1] == 4 and stored.regions.min() >= 0 and stored.regions.max() <= 1
    plain = {name: value for name, value in SHORT.items() if name != "crops"}
    unlabel.pretrain("simclr", out=tmp_path / "plain", **plain)
    ours, theirs = ([line["loss"] for line in RunFolder(tmp_path / run).readings()] for run in ("led", "plain"))
    assert ours[:3] == theirs[:3]  # until there are regions crops are random
    assert ours[3:] != theirs[3:]
    assert checkpoint.load(RunFolder(tmp_path / "plain").checkpoint).regions is None


@pytest.mark.parametrize(("stop", "accumulate"), [(3, 1), (5, 1), (6, 1), (2, 2)])
def test_a_resumed_run_goes_on_with_the_same_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, accumulate: int
) -> None:
    """The run folder is copied as it is after update `stop`, and the copy goes on."""
    save = checkpoint.save

    def copying(path: Path, found: object, *arguments: object, **options: object) -> None:
        save(path, found, *arguments, **options)
        if found.updates == stop and not (tmp_path / "stopped").exists():
            shutil.copytree(tmp_path / "whole", tmp_path / "stopped")

    monkeypatch.setattr(callbacks.checkpoint, "save", copying)
    unlabel.pretrain(
        "simclr",
        out=tmp_path / "whole",
        crop_warmup=0.25,
        crop_interval=0.25,
        accumulate=accumulate,
        threads=1,
        **SHORT,
    )
    unlabel.pretrain(resume=tmp_path / "stopped")
    whole, resumed = (checkpoint.load(RunFolder(tmp_path / name).checkpoint) for name in ("whole", "stopped"))
    assert whole.updates == resumed.updates > stop and torch.equal(whole.regions, resumed.regions)
    for name, value in whole.method.items():
        same = torch.equal(value, resumed.method[name]) if isinstance(value, Tensor) else value == resumed.method[name]
        assert same, f"{name} differs"


def test_a_budget_counts_the_refreshes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: dict[bool, int] = {}
    monkeypatch.setattr(fit, "_refreshing", lambda job, method, sources: 1e9 if job.run.crops == "contrastive" else 0.0)
    for led in (True, False):
        options = {**SHORT, "crops": "contrastive" if led else "auto"}
        del options["epochs"]
        unlabel.pretrain("simclr", out=tmp_path / str(led), budget="4s", **options)
        spent[led] = RunFolder(tmp_path / str(led)).read()["updates"]
    assert spent[True] == 1 < spent[False]


def test_what_cannot_be_led_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    options = {name: value for name, value in SHORT.items() if name != "projector_width"}
    with pytest.raises(Fault, match="choose a network of convolutions"):
        unlabel.pretrain("mae", out=tmp_path / "mae", **options)
    with pytest.raises(Fault, match="leave out the option `crops`"):
        unlabel.pretrain("rotation", out=tmp_path / "rotation", **options)
    assert not list(tmp_path.iterdir())
