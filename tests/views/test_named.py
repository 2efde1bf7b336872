from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from unlabel.errors import Fault
from unlabel.views import IMAGENET_MEAN, IMAGENET_STD, NAMES, View, evaluation, named, render, render_batch, sample

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


@dataclass(frozen=True)
class Seen:
    """What a paper or its code says of a view: the area, the steps in order, and how strong or how likely they are."""

    area: tuple[float, float]
    steps: str
    jitter: tuple[float, float, float, float] | None = None
    jitter_p: float = 0.8
    grey: float = 0.0
    blur: float = 0.0
    solarise: float = 0.0
    strong: int = 0


SIMCLR = Seen((0.08, 1.0), "crop flip jitter grey blur", (0.8, 0.8, 0.8, 0.2), grey=0.2, blur=0.5)
MOCO2 = Seen((0.2, 1.0), "crop jitter grey blur flip", (0.4, 0.4, 0.4, 0.1), grey=0.2, blur=0.5)
BYOL = (
    Seen((0.08, 1.0), "crop flip jitter grey blur", (0.4, 0.4, 0.2, 0.1), grey=0.2, blur=1.0),
    Seen((0.08, 1.0), "crop flip jitter grey blur solarise", (0.4, 0.4, 0.2, 0.1), grey=0.2, blur=0.1, solarise=0.2),
)
ASYM = (
    Seen((0.08, 1.0), "crop flip jitter grey", (0.4, 0.4, 0.2, 0.1), grey=0.2),
    Seen((0.08, 1.0), "crop flip jitter grey solarise", (0.4, 0.4, 0.2, 0.1), grey=0.2, solarise=0.2),
)
MINIMAL = Seen((0.08, 1.0), "crop flip jitter grey", (0.4, 0.4, 0.4, 0.1), grey=0.2)
PIRL = Seen((0.08, 1.0), "crop jitter grey flip", (0.4, 0.4, 0.4, 0.2), jitter_p=1.0, grey=0.2)

SEEN: dict[str, tuple[Seen, ...]] = {
    "instdisc": (Seen((0.2, 1.0), "crop grey jitter flip", (0.4, 0.4, 0.4, 0.4), jitter_p=1.0, grey=0.2),),
    "moco2": (MOCO2,) * 2,
    "simclr": (SIMCLR,) * 2,
    "byol": BYOL,
    "cifar-sym": (SIMCLR,) * 2,
    "cifar-weak": (replace(SIMCLR, jitter=(0.4, 0.4, 0.4, 0.1)),) * 2,
    "cifar-asym": ASYM,
    "cifar-min": (MINIMAL,) * 2,
    "dino": (
        *(replace(view, area=(0.4, 1.0)) for view in BYOL),
        *(replace(BYOL[0], area=(0.05, 0.4), blur=0.5),) * 8,
    ),
    "multicrop": (*(replace(SIMCLR, area=(0.14, 1.0)),) * 2, *(replace(SIMCLR, area=(0.05, 0.14)),) * 6),
    "clsa": (MOCO2, MOCO2, replace(MOCO2, area=(0.086, 0.429), strong=5)),
    "pirl": (PIRL, *(replace(PIRL, area=(0.6, 1.0)),) * 9),
    "cmc": (Seen((0.08, 1.0), "crop flip"),),
}


def seen(view: View) -> Seen:
    """Steps that never happen are left out, wherever they stand in the order."""
    shares = {"crop": 1.0, "flip": view.flip, "jitter": view.jitter_p if view.jitter else 0.0, "grey": view.grey,
              "blur": view.blur, "solarise": view.solarise}  # fmt: skip
    steps = " ".join(step for step in view.order if shares[step] > 0)
    jitter_p = view.jitter_p if view.jitter else 0.8
    return Seen(view.scale, steps, view.jitter, jitter_p, view.grey, view.blur, view.solarise, view.strong)


@pytest.mark.parametrize("name", SEEN)
def test_views_are_those_of_the_papers_step_by_step(name):
    views = named(name, 224).views
    assert tuple(seen(view) for view in views) == SEEN[name]
    for view in views:
        assert (view.flip, view.ratio, view.blur_sigma) == (0.5, (3 / 4, 4 / 3), (0.1, 2.0))
        assert (view.mean, view.std) == (IMAGENET_MEAN, IMAGENET_STD)
        assert view.crop == ("cell" if view.scale == (0.6, 1.0) else "random_resized")
        assert view.transform is None and view.source == 0 and view.flip_of is None


def test_pieces_of_the_puzzle_are_parts_of_the_papers_cells():
    whole, *pieces = named("pirl", 224).views
    assert (whole.size, whole.crop) == (224, "random_resized")
    assert [view.cell for view in pieces] == list(range(9))
    for view in pieces:
        assert (view.size, view.grid, view.cell_share) == (64, (3, 3), 64 / 85)


def test_pictures_are_resized_as_the_papers_say():
    for name in ("byol", "dino"):
        assert {view.interpolation for view in named(name, 224).views} == {"bicubic"}


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
