import numpy as np
import pytest
import torch

from unlabel.views import View, render_batch, render_saliency, sample
from unlabel.views.saliency import fitted

COLOURFUL = {"jitter": (0.8, 0.8, 0.8, 0.2), "jitter_p": 1.0, "grey": 1.0, "blur": 1.0, "solarise": 1.0}


@pytest.mark.parametrize("options", [{}, {"crop": "pad", "pad": 4}, {"crop": "load", "load_size": 20}])
def test_a_mask_moves_with_its_view(options) -> None:
    """A picture that shows its own mask, rendered without colours, is the rendered mask."""
    masks = [torch.randint(0, 2, (1, 20 + k, 30), dtype=torch.uint8) * 255 for k in range(6)]
    sizes = np.array([mask.shape[1:] for mask in masks])
    view = View(size=16, flip=0.5, interpolation="bicubic", **COLOURFUL, **options)
    keys = {"seed": 1, "epoch": 2, "view_index": 0, "indices": np.arange(6), "sizes": sizes}
    shape = View(size=16, flip=0.5, mean=(0, 0, 0), std=(1, 1, 1), **options)
    expected = render_batch([mask.expand(3, -1, -1).contiguous() for mask in masks], sample(shape, **keys), shape)
    shown = render_saliency(masks, sample(view, **keys), view)
    assert shown.shape == (6, 16, 16) and shown.min() >= 0 and shown.max() <= 1
    torch.testing.assert_close(shown, expected[:, 0])
    assert sample(view, **keys)["flip"].any()


def test_masks_are_fitted_by_nearest_pixels() -> None:
    mask = torch.tensor([[[0, 255], [255, 0]]], dtype=torch.uint8)
    assert fitted(mask, (2, 2)) is mask
    assert fitted(mask, (4, 4))[0].tolist() == [[0, 0, 255, 255]] * 2 + [[255, 255, 0, 0]] * 2
    assert fitted(fitted(mask, (6, 4)), (2, 2)).equal(mask)
