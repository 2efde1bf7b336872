"""The pointing game and swapped backgrounds, on networks that are known to look at the object, or anywhere else."""

import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.evaluation.pictures import Bars
from unlabel.data.shapes import Shapes
from unlabel.evaluation.objects import (
    Swapped,
    evaluate_objects,
    pointed,
    pointing_game,
    swapped_backgrounds,
    where_it_looks,
)
from unlabel.evaluation.protocol import Protocol
from unlabel.nn import backbones
from unlabel.views import View, evaluation

VIEW = evaluation(32, (0.0,) * 3, (1.0,) * 3)


class Blobs(Bars):
    """Class k has an object of colour k, on a ground of any grey: it cannot be told from the ground, or only so."""

    masked = True

    def __init__(self, n: int, *, by_ground: bool = False, **options) -> None:
        super().__init__(n, **options)
        draw = np.random.default_rng(n)
        self.corner = draw.integers(2, 8, (n, 2))
        self.grey = np.array([40, 120, 200])[self.labels] if by_ground else draw.integers(20, 220, n)
        self.colour = draw.integers(0, 255, n) if by_ground else np.array([10, 130, 250])[self.labels]

    def image(self, i: int) -> Tensor:
        super().image(i)  # raises for those that cannot be read
        image = torch.full((3, 16, 16), int(self.grey[i]), dtype=torch.uint8)
        image[0, self.mask(i)[0] > 0] = int(self.colour[i])
        image[1:, self.mask(i)[0] > 0] = 0
        return image

    def mask(self, i: int) -> Tensor:
        mask = torch.zeros(1, 16, 16, dtype=torch.uint8)
        top, left = self.corner[i]
        mask[:, top : top + 6, left : left + 6] = 255
        return mask


class Sees(nn.Module):
    """Two maps of side x side: how bright places are, and one that is the same everywhere."""

    num_features = 2

    def __init__(self, side: int = 4) -> None:
        super().__init__()
        self.side = side

    def forward_features(self, x: Tensor) -> Tensor:
        bright = nn.functional.adaptive_avg_pool2d(x.mean(dim=1, keepdim=True), self.side)
        return torch.cat([bright, torch.full_like(bright, 0.5)], dim=1)

    def forward_head(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def test_the_highest_place_counts() -> None:
    heat = torch.zeros(3, 4, 4)
    heat[0, 1, 2], heat[1, 3, 0] = 1, 1
    masks = torch.zeros(3, 8, 8)
    masks[:, 2:4, 4:6] = 1
    assert pointed(heat, masks).tolist() == [True, False, False]


def test_attention_is_grad_cam_of_image_and_object() -> None:
    """For maps that are averaged, alpha is the part of the object's vector across the image's."""
    network = Sees()
    x, masks = torch.rand(2, 3, 32, 32, dtype=torch.float64), torch.zeros(2, 32, 32, dtype=torch.float64)
    masks[:, 8:16, 8:24] = 1
    maps = network.forward_features(x)
    h, key = (nn.functional.normalize(network(each), dim=1) for each in (x, x * masks[:, None]))
    alpha = key - h * (h * key).sum(dim=1, keepdim=True)
    heat = torch.relu(torch.einsum("bd,bdhw->bhw", alpha, maps))
    found = where_it_looks(network, x, masks)
    scaled = (heat - heat.amin(dim=(1, 2), keepdim=True)) / (heat.amax(dim=(1, 2)) - heat.amin(dim=(1, 2)))[
        :, None, None
    ]
    torch.testing.assert_close(found, scaled)
    assert not found.requires_grad


def test_a_network_that_sees_the_object_points_at_it() -> None:
    source = Shapes(200)
    view = evaluation(32, (0.5,) * 3, (1.0,) * 3)  # 0 is grey, darker than the objects and brighter than the ground
    found = pointing_game({"sees": Sees(16)}, White(source), view, indices=np.arange(200))
    assert found["images"] == 200
    areas = np.array([(source.mask(i) > 0).float().mean() for i in range(200)])
    assert found["chance"] == pytest.approx(100 * areas.mean(), abs=0.5)
    centres = np.mean([float(source.mask(i)[0, 16, 16] > 0) for i in range(200)])
    assert found["centre"] == pytest.approx(100 * centres)
    assert found["sees"] > 90 > found["chance"]


class White(Bars):
    """Shapes, white on a dark ground."""

    masked = True

    def __init__(self, source: Shapes) -> None:
        super().__init__(len(source))
        self.source = source

    def image(self, i: int) -> Tensor:
        return self.source.mask(i).clamp(min=50).expand(3, -1, -1).contiguous()

    def mask(self, i: int) -> Tensor:
        return self.source.mask(i)


def test_images_without_an_object_or_pixels_are_left_out() -> None:
    source = Blobs(20, broken=(3, 4))
    found = pointing_game({"sees": Sees()}, source, View(size=16, crop="centre", flip=0.0), indices=np.arange(20))
    assert found["images"] == 18
    assert pointing_game({"sees": Sees()}, Bars(5), VIEW, indices=np.arange(5)) is None


def test_swapped_images_keep_their_object_and_have_another_ground() -> None:
    source = Blobs(30)
    swapped = Swapped(source)
    assert len(swapped) == 30 and swapped.path(4) == source.path(4)
    grounds = 0
    for i in range(30):
        there = source.mask(i)[0] > 0
        image = swapped.image(i)
        assert torch.equal(image[:, there], source.image(i)[:, there])
        grounds += int(image[0, 0, 0] != source.image(i)[0, 0, 0])
        assert torch.equal(image, Swapped(source).image(i))
    assert grounds > 25


def red(x: Tensor) -> Tensor:
    """Colour of the object alone: where green is 0."""
    there = (x[:, 1] < 0.02).float()
    share = (x[:, 0] * there).sum(dim=(1, 2)) / there.sum(dim=(1, 2)).clamp(min=1)
    return torch.stack([torch.cos(3 * share), torch.sin(3 * share)], dim=1)


def ground(x: Tensor) -> Tensor:
    """The grey of a corner."""
    return torch.stack([torch.cos(3 * x[:, 1, 0, 0]), torch.sin(3 * x[:, 1, 0, 0])], dim=1)


@pytest.mark.parametrize("by_ground", [False, True])
def test_swapped_backgrounds_tell_who_relies_on_them(by_ground: bool) -> None:
    memory, queries = Blobs(150, by_ground=by_ground), Blobs(90, by_ground=by_ground, seed=1)
    view = evaluation(16, (0.0,) * 3, (1.0,) * 3)
    found = swapped_backgrounds(
        {"object": red, "ground": ground}, memory, queries, view,
        remembered=np.arange(150), asked=np.arange(90), protocol=Protocol(),
    )  # fmt: skip
    who = "ground" if by_ground else "object"
    for probe in ("knn", "linear"):
        assert found[probe][who]["original"] > 95
        if by_ground:
            assert found[probe]["ground"]["swapped"] < 50  # a third are right by chance
        else:
            assert found[probe]["object"]["swapped"] > 95
    assert found["images"] == 90


def test_everything_at_once_beside_its_controls() -> None:
    spec = backbones.resolve("tiny_resnet", 32)
    network = backbones.build(spec).eval()
    found = evaluate_objects(
        network, network, Shapes(160), Shapes(80, split="test"), view=evaluation(32),
        untrained=partial(backbones.build, spec), protocol=Protocol(),
    )  # fmt: skip
    found = json.loads(json.dumps(found, allow_nan=False))
    assert set(found["pointing"]) == {"run", "random", "centre", "chance", "images"}
    assert set(found["swapped"]["knn"]) == set(found["swapped"]["linear"]) == {"run", "random", "pixels"}
    assert found["pointing"]["images"] == found["swapped"]["images"] == 80


def test_what_cannot_be_measured_is_none() -> None:
    vit = backbones.build(backbones.resolve("tiny_vit", 32)).eval()
    shapes = Shapes(60)
    found = evaluate_objects(vit, vit, shapes, shapes, view=evaluation(32), untrained=None, protocol=Protocol())
    assert found == {"pointing": None, "swapped": None, "protocols": {}}
