"""ContrastiveCrop's regions of the training images: where the network sees something, and where crops then lie.

Regions are a state of training. They change after few updates, known from the start (`policies.refreshes`). The
loader draws nothing ahead across these, and checkpoints hold them: so a batch stays a function of (seed, update) and of
what was learned until the last refresh, and a resumed run goes on with the same crops.

Departures
    The network is shown the whole image, resized, where ContrastiveCrop's heat maps are of the test transform, which
    may cut the image's borders off.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from unlabel.data.loader import ViewLoader
from unlabel.data.source import Source
from unlabel.engine.job import Job
from unlabel.engine.monitor import evaluating
from unlabel.evaluation.features import extract
from unlabel.methods import Method
from unlabel.nn.maps import last_maps, region_of_interest
from unlabel.views import Batch, View

WHOLE = np.array((0.0, 0.0, 1.0, 1.0), np.float32)


class Localise(pl.Callback):
    """Finds regions after each of `moments` (in updates) and tells the loader; `seen` updates are done already."""

    def __init__(self, job: Job, source: Source, view: View, batches: ViewLoader, moments: Collection[int], seen: int):
        self.job, self.source, self.view, self.batches, self.moments, self.seen = (
            job, source, view, batches, moments, seen,
        )  # fmt: skip

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """After a batch that made an update."""
        assert isinstance(pl_module, Method)
        if pl_module.updates == self.seen:
            return  # accumulating
        self.seen = pl_module.updates
        if self.seen in self.moments:
            self.batches.regions = localise(
                pl_module, self.source, self.view, before=self.batches.regions, threshold=self.job.run.crop_threshold,
                device=self.job.settings.device,
            )  # fmt: skip


def localise(
    method: Method,
    source: Source,
    view: View,
    *,
    before: np.ndarray | None,
    threshold: float,
    device: str,
    indices: np.ndarray | None = None,
) -> np.ndarray:
    """Where the method's network sees something in each image: float32 [n, 4], see `region_of_interest`.

    view     shows whole images
    before   [n, 4] what was found before; it stays where there is nothing to be seen, or no image to be read
    indices  the images that are looked at; None: all
    """
    network = method.kept

    def found(x: Tensor) -> Tensor:
        regions, heat = region_of_interest(last_maps(network, x).float(), view.size, threshold=threshold)
        return torch.cat([regions, heat[:, None]], dim=1)  # [B, 5]

    regions = np.tile(WHOLE, (len(source), 1)) if before is None else before.copy()
    with evaluating(method):
        seen = extract(found, source, view, indices=indices, device=device)
    vectors, index = seen.vectors.numpy(), seen.index.numpy()
    says = vectors[:, 4] > 0
    regions[index[says]] = vectors[says, :4]
    return regions


def whole_view(size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> View:
    """What the network is shown: the whole image, resized."""
    return View(size=size, crop="load", load_size=size, flip=0.0, mean=mean, std=std)
