"""Images of a batch with the backgrounds of other images behind their objects."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from unlabel.data.source import Source, Unreadable
from unlabel.views import Background
from unlabel.views.background import bare, composed, sample_backgrounds, stretched
from unlabel.views.saliency import fitted

Pair = tuple[Tensor, Tensor]
"""An image uint8 [C, H, W] and the mask uint8 [1, H, W] of its object."""


class Backgrounds:
    """What a recipe's background does to the images of one epoch; a function of (seed, epoch, position, view) alone.

    source: where the images are from, and those whose backgrounds and objects are borrowed.
    views:  how many views an image has.

    An image stays as it is where its object is not known, where nothing stands out in it, and where the image that it
    borrows from cannot be read or has nothing to lend.
    """

    def __init__(self, background: Background, source: Source, *, seed: int, epoch: int, views: int) -> None:
        self.background, self.source, self.seed, self.epoch, self.views = background, source, seed, epoch, views

    def view(self, k: int, indices: np.ndarray, images: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
        """View k's images, of the same sizes, from the images [C, H, W] at `indices` and the masks of their objects."""
        behind = [self._behind(drawn, image) for drawn, image in zip(self._drawn(k, indices), images, strict=True)]
        return [
            image if ground is None or not mask.any() else composed(image, mask, ground)
            for image, mask, ground in zip(images, masks, behind, strict=True)
        ]

    def negatives(
        self, indices: np.ndarray, images: Sequence[Tensor], masks: Sequence[Tensor]
    ) -> tuple[list[Tensor], np.ndarray]:
        """Other objects on the backgrounds of the first views, and bool [B] which images have such; else the image."""
        shown, matched = list(images), np.zeros(len(images), bool)
        for n, drawn in enumerate(self._drawn(self.views, indices)):
            if not masks[n].any():
                continue  # its first view has its own background
            ground, other = self._behind(drawn, images[n]), None
            if ground is not None:
                other = self._borrowed(int(drawn["before"]), images[n])
            if ground is not None and other is not None and other[1].any():
                size = (images[n].shape[1], images[n].shape[2])
                shown[n] = composed(stretched(other[0], size), fitted(other[1], size), ground)
                matched[n] = True
        return shown, matched

    def _drawn(self, view_index: int, indices: np.ndarray) -> np.ndarray:
        return sample_backgrounds(
            self.background, seed=self.seed, epoch=self.epoch, view_index=view_index, indices=indices,
            images=len(self.source), views=self.views,
        )  # fmt: skip

    def _behind(self, drawn: np.void, image: Tensor) -> Tensor | None:
        """What is put behind one image, of its size; None: nothing."""
        if not drawn["on"]:
            return None
        if self.background.kind == "remove":
            return torch.full_like(image, int(drawn["grey"]))
        other = self._borrowed(int(drawn["behind"]), image)
        ground = None if other is None else bare(*other)
        return None if ground is None else stretched(ground, (image.shape[1], image.shape[2]))

    def _borrowed(self, index: int, like: Tensor) -> Pair | None:
        """Another image and the mask of its object, decoded no larger than is of use beside `like`."""
        mask = self.source.mask(index)
        if mask is None or index in self.source.skipped:
            return None
        try:
            image = self.source.look(index).pixels((like.shape[1], like.shape[2]))
        except Unreadable:
            return None
        return image, fitted(mask, (image.shape[1], image.shape[2]))
