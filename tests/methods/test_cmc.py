"""CMC by its algorithm box: each sight against the bank of the other."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.methods.toy import Backbone, batch
from unlabel.errors import Fault
from unlabel.losses import cross_view
from unlabel.methods.cmc import CMC
from unlabel.nn.lab import LabPair
from unlabel.views import Batch

IMAGES = 20
OBJECTIVES = [{}, {"objective": "softmax"}, {"objective": "softmax", "negatives": 0}, {"objective": "in_batch"}]


def method(**options) -> CMC:
    torch.manual_seed(0)
    made = CMC(Backbone(), **{"projector_dim": 4, "negatives": 7, "temperature": 0.2, **options})
    made.prepare(IMAGES)
    return made.double()


def given(b: int = 5, first: int = 3) -> Batch:
    made = batch(b)
    made.index = torch.arange(first, first + b)
    return made


def features(made: CMC, x: Batch) -> dict[str, Tensor]:
    light, colour = made.backbone.split(x.views[0])
    return {
        "lightness": F.normalize(made.projectors["lightness"](made.backbone.lightness(light)), dim=1),
        "colour": F.normalize(made.projectors["colour"](made.backbone.colour(colour)), dim=1),
    }


def total(made: CMC, x: Batch) -> Tensor:
    loss = made.loss(x)
    return torch.stack(list(loss.values())).sum() if isinstance(loss, dict) else loss


def test_nce_is_the_algorithm_box() -> None:
    made, x = method(), given()
    z, terms = features(made, x), made.loss(x)
    for sight, other in (("lightness", "colour"), ("colour", "lightness")):
        v, drawn = made.banks[other].rows, made.banks[other].drawn(0)
        whole = IMAGES * torch.stack([(a @ v[j] / 0.2).exp() for a in z[sight] for j in drawn]).mean()
        expected = 0.0
        for a, i in zip(z[sight], x.index, strict=True):
            odds = [(a @ v[j] / 0.2).exp() / whole for j in (i, *drawn)]
            h = [p / (p + 7 / IMAGES) for p in odds]
            expected -= (h[0].log() + sum((1 - p).log() for p in h[1:])).item() / len(x)
        assert terms[sight].item() == pytest.approx(expected, rel=1e-10)


def test_softmax_is_the_cross_entropy_against_the_other_bank() -> None:
    made, x = method(objective="softmax", negatives=0), given()
    z, terms = features(made, x), made.loss(x)
    for sight, other in (("lightness", "colour"), ("colour", "lightness")):
        expected = F.cross_entropy(z[sight] @ made.banks[other].rows.T / 0.2, x.index)
        assert terms[sight].item() == pytest.approx(expected.item(), rel=1e-12)


def test_in_the_batch_it_is_the_contrast_of_both_sights() -> None:
    made, x = method(objective="in_batch"), given()
    z = features(made, x)
    expected = cross_view(z["lightness"], z["colour"], temperature=0.2)
    assert total(made, x).item() == pytest.approx(expected.item(), rel=1e-12)
    made.advance()  # and there is no bank to move


class Exchanged(nn.Module):
    """Says of colour what `pair` says of lightness, and the other way round."""

    def __init__(self, pair: LabPair) -> None:
        super().__init__()
        self.pair = pair

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        light, colour = self.pair.both(x)
        return colour, light


@pytest.mark.parametrize("options", OBJECTIVES)
def test_sights_may_be_exchanged(options: dict) -> None:
    made, x = method(**options), given()
    turned = copy.deepcopy(made)
    turned.backbone = Exchanged(turned.backbone)
    for parts in (turned.projectors, turned.banks):
        parts["lightness"], parts["colour"] = parts["colour"], parts["lightness"]
    assert total(turned, x).item() == pytest.approx(total(made, x).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"objective": "softmax"}, 2 * math.log(1 + 7)),
        ({"objective": "softmax", "negatives": 0}, 2 * math.log(IMAGES)),
        ({"objective": "in_batch"}, 2 * math.log(5)),
        ({"negatives": 10}, 2 * 3.350997),
    ],
)
def test_values_at_collapse(options: dict, value: float) -> None:
    made, x = method(**options), given()
    with torch.no_grad():
        for projector in made.projectors.values():
            projector.weight.zero_()
    if made.objective != "in_batch":  # which remembers nothing
        for bank in made.banks.values():
            bank.rows.fill_(0.5)
    assert total(made, x).item() == pytest.approx(value, abs=1e-6)


def test_each_memory_follows_its_own_sight() -> None:
    made, x = method(), given()
    before, z = copy.deepcopy(made.banks), features(made, x)
    made.loss(x)
    assert all(torch.equal(made.banks[s].rows, before[s].rows) for s in z)
    made.advance()
    others = [i for i in range(IMAGES) if i not in x.index]
    for sight, of_sight in z.items():
        expected = F.normalize((before[sight].rows[x.index] + of_sight.detach()) / 2, dim=1)
        torch.testing.assert_close(made.banks[sight].rows[x.index], expected)
        assert torch.equal(made.banks[sight].rows[others], before[sight].rows[others])


def test_each_direction_has_a_normaliser_that_is_set_once() -> None:
    made = method()
    made.loss(given())
    made.advance()
    first = [made.banks[sight].constant.clone() for sight in ("lightness", "colour")]
    assert torch.isfinite(torch.stack(first)).all() and first[0] != first[1]
    made.loss(given(first=9))
    made.advance()
    assert [made.banks[sight].constant for sight in ("lightness", "colour")] == first


@pytest.mark.parametrize("options", OBJECTIVES)
def test_looking_repeats_and_moves_nothing(options: dict) -> None:
    made, x = method(**options), given()
    before = {name: value.clone() for name, value in made.banks.state_dict().items()}
    first = total(made, x)
    assert torch.equal(total(made, x), first)
    made.zero_grad()
    again = method(**options).eval()
    again.loss(x)
    again.after_update()
    assert all(torch.equal(value, before[name]) for name, value in again.banks.state_dict().items())


def test_both_networks_learn_and_are_kept_side_by_side() -> None:
    made, x = method(), given()
    total(made, x).backward()
    for name, p in made.named_parameters():
        assert p.grad is not None and p.grad.abs().sum() > 0, name
    made.eval()
    light, colour = made.backbone.both(x.views[0])
    assert torch.equal(made.embed(x.views[0]), torch.cat([light, colour], dim=1))


def test_images_without_rgb_are_refused() -> None:
    backbone = Backbone()
    backbone.layers[0] = nn.Conv2d(5, 6, 3)
    with pytest.raises(Fault, match="CMC parts RGB images into lightness and colour"):
        CMC(backbone)


def test_the_view_keeps_the_colours() -> None:
    (view,) = CMC(Backbone()).views(32).views
    assert view.jitter is None and view.grey == 0 and view.scale == (0.08, 1.0) and view.flip == 0.5
