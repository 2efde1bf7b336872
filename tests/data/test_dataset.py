"""Torch's data sets as sources, and views behind torch's DataLoader."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from tests.data.test_loader import RANDOM, Numbers
from unlabel.data import TorchDataset, ViewLoader, Views, open_source
from unlabel.errors import Fault
from unlabel.methods import get
from unlabel.nn import backbones
from unlabel.views import RandomMask, Recipe


class Pictures(Dataset):
    """As torchvision's data sets are: (PIL image, label)."""

    targets = (0, 1, 1)
    classes = ("cat", "dog")

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        if i == 2:
            raise OSError("gone")
        return Image.new("RGB", (6, 4), (10 * i, 0, 0)), self.targets[i]


def test_a_torch_data_set_is_a_source():
    source = open_source(Pictures())
    assert isinstance(source, TorchDataset) and len(source) == 3
    assert source.image(1).shape == (3, 4, 6) and int(source.image(1)[0, 0, 0]) == 10
    assert source.labels.tolist() == [0, 1, 1] and source.classes == ["cat", "dog"]
    with pytest.raises(Exception, match="Pictures/2: gone"):
        source.image(2)
    assert list(source.skipped) == [2]


def test_pictures_may_be_byte_tensors_and_must_be_pictures():
    source = TorchDataset(TensorDataset(torch.zeros(5, 3, 8, 8, dtype=torch.uint8)))
    assert source.image(4).shape == (3, 8, 8) and (source.labels == -1).all()
    with pytest.raises(Fault, match=r"torch.float32 \[3, 8, 8\], not a PIL image"):
        TorchDataset(TensorDataset(torch.zeros(5, 3, 8, 8))).image(0)

    class Stream(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(Fault, match="needs a length"):
        TorchDataset(Stream())


@pytest.mark.parametrize("workers", [0, 2])
def test_views_behind_a_dataloader_are_those_of_our_loader(workers):
    recipe = Recipe(views=(RANDOM, RANDOM), mask=RandomMask(ratio=0.5, grid=(2, 2)))
    views = Views([Numbers(12, (5,))], recipe, seed=3)
    views.set_epoch(1)
    loader = DataLoader(views, 12, num_workers=workers, collate_fn=Views.collate)
    (batch,) = list(loader)
    ours = ViewLoader([Numbers(12)], recipe, 12, seed=3, start=1, stop=2, threads=0).batch(1)
    order = np.argsort(ours.index.numpy())
    there = [i for i in range(12) if i != 5]  # whose place the next one has
    assert batch.index.tolist() == [6 if i == 5 else i for i in range(12)]
    for mine, theirs in zip(batch.views, ours.views, strict=True):
        torch.testing.assert_close(mine[there], theirs[order][there])
    assert torch.equal(batch.masks[there], ours.masks[order][there])
    assert np.array_equal(batch.records[0][there], ours.records[0][order][there])


class Seen(pl.Callback):
    """What an update was made with."""

    def __init__(self) -> None:
        self.rates, self.pixels = [], []

    def on_train_batch_end(self, trainer, method, outputs, batch, batch_idx) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.pixels.append(batch.views[0][batch.index == 0].sum().item())


def fit(method, loader, **options):
    seen = Seen()
    trainer = pl.Trainer(**options, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[seen],
                         enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(method, loader)
    return seen


@pytest.mark.parametrize("workers", [{}, {"num_workers": 1, "persistent_workers": True}])
def test_a_method_trains_with_a_trainer_of_the_users(workers):
    method = get("instdisc")(backbones.build(backbones.resolve("tiny_resnet", 16)), projector_dim=8, negatives=4)
    images = torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8)
    views = Views([open_source(TensorDataset(images))], method.views(16), seed=0)
    seen = fit(method, DataLoader(views, 8, shuffle=True, collate_fn=Views.collate, **workers), max_epochs=3)
    assert (method.updates, method.total_updates, method.total_epochs) == (6, 6, 3.0)
    assert method.plan.batch_size == 8 and all(0 < rate <= method.plan.peak(8) for rate in seen.rates)
    shown = [pixels for pixels in seen.pixels if pixels]  # of image 0, once an epoch
    assert len(set(shown)) == 3  # and other views each time


def test_a_length_that_nobody_knows_is_a_fault():
    method = get("simclr")(backbones.build(backbones.resolve("tiny_resnet", 16)), projector_width=8, projector_dim=4)
    views = Views([Numbers(12)], method.views(16), seed=0)
    with pytest.raises(Fault, match="give the trainer max_epochs"):
        fit(method, DataLoader(views, 4, collate_fn=Views.collate), max_epochs=-1)


def test_two_domains_need_two_sources():
    with pytest.raises(Fault, match="2 sources of pictures, and 1 is given"):
        Views([Numbers(4)], get("cut")(size=32).views(32), seed=0)
