import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.methods.pixels import Mapping, batch, whole
from unlabel.errors import Fault
from unlabel.methods.pixcontrast import PixContrast
from unlabel.nn import backbones
from unlabel.views import Batch, bins


def method(**options) -> PixContrast:
    return PixContrast(Mapping(), projector_width=8, projector_dim=4, **options).double()


def places(backbone: nn.Module, projector: nn.Module, v: Tensor) -> Tensor:
    """[B, N, d], place by place."""
    found = backbone.forward_features(v)
    b, d = found.shape[:2]
    rows = torch.stack([found[i, :, r, c] for i in range(b) for r in range(4) for c in range(4)])
    assert rows.shape == (16 * b, d)
    return projector(rows).view(b, 16, -1).detach()


def slow(x: Tensor, y: Tensor, records: list[np.ndarray], tau: float, distance: float) -> float:
    """One direction, place by place."""
    one, other = (bins(record, (4, 4)) for record in records)
    images = []
    for b in range(len(x)):
        each = []
        for i in range(16):
            e = [math.exp(float(F.cosine_similarity(x[b, i], y[b, j], dim=0)) / tau) for j in range(16)]
            reach = distance * max(float(one.diagonal[b]), float(other.diagonal[b]))
            near = [j for j in range(16) if float((one.centres[b, i] - other.centres[b, j]).norm()) <= reach]
            if near:
                each.append(-math.log(sum(e[j] for j in near) / sum(e)))
        images.append(sum(each) / len(each) if each else 0.0)
    return sum(images) / len(images)


def test_loss_is_the_algorithm_box() -> None:
    pix, given = method(temperature=0.2, distance=0.9), batch()
    for p in pix.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    x = [places(pix.backbone, pix.projector, v) for v in given.views]
    y = [places(pix.teacher["backbone"], pix.teacher["projector"], v) for v in given.views]
    there = slow(x[0], y[1], given.records, 0.2, 0.9)
    back = slow(x[1], y[0], given.records[::-1], 0.2, 0.9)
    assert there > 0 and back > 0
    assert pix.loss(given).item() == pytest.approx((there + back) / 2, rel=1e-11)


def test_views_may_be_swapped() -> None:
    pix, given = method(), batch()
    swapped = Batch(views=given.views[::-1], index=given.index, records=given.records[::-1])
    assert pix.loss(given).item() == pytest.approx(pix.loss(swapped).item(), rel=1e-12)
    wrong = Batch(views=given.views[::-1], index=given.index, records=given.records)
    assert pix.loss(wrong).item() != pytest.approx(pix.loss(given).item(), rel=1e-6)  # the crops belong to the views


def test_a_mirrored_view_with_its_flip_costs_the_same() -> None:
    """The backbone looks at single pixels, so that a mirrored view gives the mirrored map."""
    pix, given = method(), batch()
    flipped = given.records[1].copy()
    flipped["flip"] = ~flipped["flip"]
    mirrored = replace(given, views=[given.views[0], given.views[1].flip(3)], records=[given.records[0], flipped])
    assert pix.loss(mirrored).item() == pytest.approx(pix.loss(given).item(), rel=1e-12)
    forgotten = replace(mirrored, records=given.records)
    assert pix.loss(forgotten).item() != pytest.approx(pix.loss(given).item(), rel=1e-6)


def test_collapsed_places_cost_log_of_their_number() -> None:
    pix, given = method(), batch()
    for projector in (pix.projector, pix.teacher["projector"]):
        nn.init.zeros_(projector[-1].weight)
    given.records = [whole(), whole()]
    assert pix.loss(given).item() == pytest.approx(math.log(16), rel=1e-12)
    given.records = [whole(), whole(left=5)]  # half a place aside: two partners, but one at the edge
    partners = [2] * 12 + [1] * 4
    assert pix.loss(given).item() == pytest.approx(sum(math.log(16 / p) for p in partners) / 16, rel=1e-12)


def test_views_that_share_nothing_cost_nothing_and_teach_nothing() -> None:
    pix, given = method(), batch()
    given.records = [whole(), whole(left=400)]
    loss = pix.loss(given)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in pix.parameters())


def test_only_the_online_network_learns() -> None:
    pix = method()
    pix.loss(batch()).backward()
    assert all(p.grad is None for p in pix.teacher.parameters())
    assert all(p.grad is not None for p in nn.ModuleList([pix.backbone, pix.projector]).parameters())
    assert pix.kept is pix.backbone


def test_the_projector_has_the_papers_layers() -> None:
    projector = PixContrast(Mapping()).projector
    assert [type(part).__name__ for part in projector] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert projector[0].weight.shape == (4096, 6) and projector[-1].weight.shape == (256, 4096)
    assert projector[0].bias is not None and projector[-1].bias is not None


def test_teacher_follows_along_the_cosine_ramp() -> None:
    pix = method(teacher_momentum=0.9)
    pix.total_updates, pix.updates = 100, 25
    before = copy.deepcopy(pix.teacher)
    for p in (*pix.backbone.parameters(), *pix.projector.parameters()):
        p.data += torch.randn_like(p)
    m = 1 - (1 - 0.9) * (math.cos(math.pi * 0.25) + 1) / 2
    pix.after_update()
    for name, p in pix.teacher.named_parameters():
        expected = m * before.get_parameter(name) + (1 - m) * pix.get_parameter(name).detach()
        torch.testing.assert_close(p, expected, rtol=1e-13, atol=1e-15)


def test_a_vit_is_a_host_and_a_network_without_a_map_is_not() -> None:
    vit = backbones.build(backbones.resolve("tiny_vit", 32, pool=PixContrast.pool))
    pix, given = PixContrast(vit, projector_width=8, projector_dim=4).double(), batch(b=2, size=32)
    loss = pix.loss(given)
    loss.backward()
    assert loss.isfinite() and vit.patch_embed.proj.weight.grad.abs().sum() > 0
    flat = backbones.build(backbones.resolve("mobilenetv3_small_050", 32))
    with pytest.raises(Fault, match="no feature map"):
        PixContrast(flat, projector_width=8, projector_dim=4).double().loss(given)


def test_the_picture_shows_a_place_its_partners_and_what_it_is_taken_for() -> None:
    pix, given = method().eval(), batch(b=6)
    (picture,) = pix.picture(given).values()
    assert picture.dtype == torch.uint8 and picture.shape == (3, 4 * (8 + 2), 3 * (8 + 2))


@pytest.mark.parametrize("layers", [1, 3])
def test_the_projector_has_as_many_layers_as_wanted(layers: int) -> None:
    pix = method(projector_layers=layers)
    for head in (pix.projector, pix.teacher["projector"]):
        assert [type(m).__name__ for m in head] == ["Linear", "BatchNorm1d", "ReLU"] * (layers - 1) + ["Linear"]
