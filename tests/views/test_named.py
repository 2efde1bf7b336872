from dataclasses import replace

import numpy as np
import pytest
import torch

from unlabel.errors import Fault
from unlabel.views import NAMES, evaluation, named, render, render_batch, sample

SIZES = [(1, 1), (3, 3), (2000, 8), (8, 2000), (33, 47)]


def images() -> list[torch.Tensor]:
    """Odd shapes, the last one grey stored as three channels."""
    rng = np.random.default_rng(0)
    drawn = [torch.from_numpy(rng.integers(0, 256, (3, *size), dtype=np.uint8)) for size in SIZES]
    return [*drawn, drawn[-1][:1].repeat(3, 1, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_renders_any_image(name):
    sources = images()
    sizes = np.array([image.shape[1:] for image in sources])
    for v, view in enumerate(dict.fromkeys(named(name, 32).views)):
        records = sample(view, seed=0, epoch=0, view_index=v, indices=np.arange(len(sources)), sizes=sizes)
        x = torch.stack([render(image, record, view) for image, record in zip(sources, records, strict=True)])
        assert x.shape == (len(sources), 3, view.size, view.size) and x.dtype == torch.float32
        pixels = x * torch.tensor(view.std).view(3, 1, 1) + torch.tensor(view.mean).view(3, 1, 1)
        assert pixels.min() >= -1e-5 and pixels.max() <= 1 + 1e-5  # and so finite, and normalised as declared
        if view.strong:  # which makes grey levels of the last bit of float32; tests/views/test_strong.py compares it
            view = replace(view, strong=0)
            x = torch.stack([render(image, record, view) for image, record in zip(sources, records, strict=True)])
        assert (render_batch(sources, records, view) - x).abs().max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [32, 64, 96, 224])
def test_every_recipe_exists_at_every_usual_size(name, size):
    recipe = named(name, size)
    assert recipe.views[0].size == size
    assert all(view.size % 4 == 0 for view in recipe.views)


def test_small_crops_are_those_of_the_papers_at_224():
    dino, swav = named("dino", 224).views, named("multicrop", 224).views
    assert [view.size for view in dino] == [224] * 2 + [96] * 8
    assert [view.scale for view in dino] == [(0.4, 1.0)] * 2 + [(0.05, 0.4)] * 8
    assert [view.blur for view in dino] == [1.0, 0.1] + [0.5] * 8
    assert [view.solarise for view in dino] == [0.0, 0.2] + [0.0] * 8
    assert [view.size for view in swav] == [224] * 2 + [96] * 6
    assert [view.scale for view in swav] == [(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 6
    assert [view.size for view in named("dino-small", 32).views] == [32] * 2 + [16] * 4
    assert [view.size for view in named("multicrop-small", 32).views] == [32] * 2 + [16] * 4


def test_two_views_of_one_recipe_have_the_colours_of_the_paper():
    first, second = named("byol", 224).views
    assert first.jitter == second.jitter == (0.4, 0.4, 0.2, 0.1) and first.interpolation == "bicubic"
    assert (first.blur, first.solarise, second.blur, second.solarise) == (1.0, 0.0, 0.1, 0.2)
    assert named("simclr", 224).views[0].jitter == (0.8, 0.8, 0.8, 0.2)
    assert len(named("instdisc", 32).views) == 1 and named("instdisc", 32).views[0].jitter_p == 1.0


def test_masks_fit_the_usual_patches():
    for size, grid in ((32, (8, 8)), (64, (8, 8)), (96, (8, 8)), (224, (14, 14))):
        mask = named("mae", size).mask
        assert mask is not None and mask.grid == grid and mask.ratio == 0.75


def test_cut_looks_at_two_domains_in_minus_one_to_one():
    recipe = named("cut", 256)
    assert recipe.sources == 2 and recipe.views[0].load_size == 286
    assert recipe.views[0].mean == recipe.views[0].std == (0.5, 0.5, 0.5)


def test_amdim_flips_both_views_alike_and_moves_or_crops_them_by_size():
    first, second = named("amdim", 32).views
    assert (first.crop, first.pad, first.pad_p, first.flip_of, second.flip_of) == ("pad", 4, 0.8, None, 0)
    assert replace(second, flip_of=None) == first
    assert first.jitter == (0.4, 0.4, 0.4, 0.2) and first.grey == 0.25
    for size, grey in ((64, 0.25), (128, 0.2)):
        view = named("amdim", size).views[1]
        assert (view.crop, view.scale, view.ratio, view.grey) == ("random_resized", (0.3, 1.0), (0.7, 1.4), grey)


def test_evaluation_is_the_resized_central_square():
    """For a square image it is "resize the shorter side, then crop"; nothing depends on the seed."""
    image = torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8)
    view = evaluation(32)
    drawn = [
        sample(view, seed=s, epoch=s, view_index=0, indices=np.array([0]), sizes=np.array([[40, 40]])) for s in range(2)
    ]
    a, b = (render(image, record[0], view) for record in drawn)
    assert torch.equal(a, b)
    x = torch.nn.functional.interpolate(image[None] / 255, (32, 32), mode="bilinear", antialias=True)[0]
    mean, std = torch.tensor(view.mean).view(3, 1, 1), torch.tensor(view.std).view(3, 1, 1)
    assert torch.allclose(a, (x - mean) / std, atol=1e-5)


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(Fault, match="did you mean `simclr`"):
        named("simclrr", 32)
    with pytest.raises(Fault, match="known are instdisc"):
        named("zzzzqqq", 32)
