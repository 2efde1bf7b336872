import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.methods.pixels import Mapping, batch, whole
from unlabel.losses import cosine_regression
from unlabel.methods.pixpro import PixPro
from unlabel.views import Batch, bins, same_places


def method(side: int = 4, **options) -> PixPro:
    return PixPro(Mapping(side), projector_width=8, projector_dim=4, **options).double()


def total(pix: PixPro, given: Batch) -> Tensor:
    return torch.stack(list(pix.loss(given).values())).sum()


def places(backbone: nn.Module, projector: nn.Module, v: Tensor) -> Tensor:
    found = backbone.forward_features(v).flatten(2).mT  # [B, N, D]
    return projector(found.flatten(0, 1)).view(*found.shape[:2], -1)


def test_loss_is_the_algorithm_box() -> None:
    pix, given = method(gamma=3.0, distance=0.9), batch()
    for p in pix.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    same = same_places(*(bins(record, (4, 4)) for record in given.records), distance=0.9)
    expected = 0.0
    for k in range(2):
        x = places(pix.backbone, pix.projector, given.views[k])
        z = places(pix.teacher["backbone"], pix.teacher["projector"], given.views[1 - k])
        for b in range(len(given)):
            g = pix.propagation.transform(x[b])
            weight = torch.stack([F.cosine_similarity(v[None], x[b]).clamp(min=0) ** 3 for v in x[b]])
            y = weight @ (g / g.norm(dim=1, keepdim=True))
            pairs = (same[b] if k == 0 else same[b].T).nonzero().tolist()
            cosines = [float(F.cosine_similarity(y[i], z[b, j], dim=0).detach()) for i, j in pairs]
            expected += -2 * sum(cosines) / max(len(cosines), 1) / len(given)
    assert same.any(dim=(1, 2)).sum() > 2
    assert pix.loss(given)["pixel"].item() == pytest.approx(expected, rel=1e-11)


def agreeing(pix: PixPro) -> PixPro:
    """Every place says the same, online and of the teacher."""
    for projector in (pix.projector, pix.teacher["projector"]):
        nn.init.zeros_(projector[-1].weight)
    pix.propagation.transform = nn.Identity()
    return pix


def test_perfect_agreement_is_minus_four_and_nothing_in_common_zero() -> None:
    pix, given = agreeing(method()), batch()
    given.records = [whole(), whole()]
    assert total(pix, given).item() == pytest.approx(-4, rel=1e-12)
    given.records = [whole(), whole(left=400)]
    assert total(pix, given).item() == 0


def test_an_image_that_shares_nothing_counts_as_zero() -> None:
    pix, given = agreeing(method()), batch(b=4)
    given.records = [whole(4), whole(4)]
    given.records[1]["left"][0] = 400
    assert total(pix, given).item() == pytest.approx(-4 * 3 / 4, rel=1e-12)


def test_without_propagation_and_with_one_place_it_is_byol_without_predictor() -> None:
    pix, given = method(side=1), batch()
    pix.propagation = nn.Identity()
    for p in pix.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    given.records = [whole(), whole()]
    online, teacher = (
        [projector(backbone(v)) for v in given.views]
        for backbone, projector in ((pix.backbone, pix.projector), (pix.teacher["backbone"], pix.teacher["projector"]))
    )
    byol = cosine_regression(online[0], teacher[1]) + cosine_regression(online[1], teacher[0])
    assert total(pix, given).item() == pytest.approx(byol.item() - 4, rel=1e-12)


def test_without_propagation_and_between_equal_crops_it_is_byol_of_every_place() -> None:
    pix, given = method(), batch()
    pix.propagation = nn.Identity()
    given.records = [whole(), whole()]
    x, z = (
        [places(backbone, projector, v).flatten(0, 1) for v in given.views]
        for backbone, projector in ((pix.backbone, pix.projector), (pix.teacher["backbone"], pix.teacher["projector"]))
    )
    byol = cosine_regression(x[0], z[1]) + cosine_regression(x[1], z[0])
    assert total(pix, given).item() == pytest.approx(byol.item() - 4, rel=1e-12)


def test_views_may_be_swapped() -> None:
    pix, given = method(instance_weight=1.0), batch()
    swapped = Batch(views=given.views[::-1], index=given.index, records=given.records[::-1])
    assert total(pix, given).item() == pytest.approx(total(pix, swapped).item(), rel=1e-12)


def test_the_instance_branch_is_byol_on_the_mean_of_the_map() -> None:
    pix, given = method(instance_weight=0.5), batch()
    for p in pix.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    q = [pix.instance_predictor(pix.instance_projector(pix.backbone(v))) for v in given.views]
    r = [pix.teacher["instance_projector"](pix.teacher["backbone"](v)) for v in given.views]
    cosines = F.cosine_similarity(q[0], r[1]).mean() + F.cosine_similarity(q[1], r[0]).mean()
    assert pix.loss(given)["instance"].item() == pytest.approx(-2 * 0.5 * cosines.item(), rel=1e-11)


def test_only_the_online_network_learns() -> None:
    for weight in (0.0, 1.0):
        pix = method(instance_weight=weight)
        total(pix, batch()).backward()
        assert all(p.grad is None for p in pix.teacher.parameters())
        learning = {name.split(".")[0] for name, p in pix.named_parameters() if p.grad is not None}
        parts = {"backbone", "projector", "propagation"}
        assert learning == (parts | {"instance_projector", "instance_predictor"} if weight else parts)
        assert pix.kept is pix.backbone


def test_there_is_no_instance_branch_unless_it_is_asked_for() -> None:
    assert set(method().loss(batch())) == {"pixel"}
    assert {name.split(".")[0] for name in method().state_dict()} >= {"backbone", "projector", "propagation", "teacher"}
    assert not any("instance" in name for name in method().state_dict())


def test_networks_have_the_papers_layers() -> None:
    pix = PixPro(Mapping(), instance_weight=1.0)
    for head, inputs in ((pix.projector, 6), (pix.instance_projector, 6), (pix.instance_predictor, 256)):
        assert [type(part).__name__ for part in head] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
        assert head[0].weight.shape == (4096, inputs) and head[-1].weight.shape == (256, 4096)
    assert pix.propagation.gamma == 2 and pix.propagation.transform[0].weight.shape == (256, 256)


def test_teacher_follows_along_the_cosine_ramp() -> None:
    pix = method(teacher_momentum=0.9, instance_weight=1.0)
    pix.total_updates, pix.updates = 100, 25
    before = copy.deepcopy(pix.teacher)
    for p in (*pix.backbone.parameters(), *pix.projector.parameters(), *pix.instance_projector.parameters()):
        p.data += torch.randn_like(p)
    m = 1 - (1 - 0.9) * (math.cos(math.pi * 0.25) + 1) / 2
    pix.after_update()
    for name, p in pix.teacher.named_parameters():
        expected = m * before.get_parameter(name) + (1 - m) * pix.get_parameter(name).detach()
        torch.testing.assert_close(p, expected, rtol=1e-13, atol=1e-15)
    pix.updates = 100  # at the end the teacher rests
    resting = copy.deepcopy(pix.teacher)
    pix.after_update()
    assert all(torch.equal(a, b) for a, b in zip(pix.teacher.parameters(), resting.parameters(), strict=True))


def test_the_picture_shows_a_place_its_partners_and_what_it_takes_over() -> None:
    pix, given = method().eval(), batch(b=6)
    (picture,) = pix.picture(given).values()
    assert picture.dtype == torch.uint8 and picture.shape == (3, 4 * (8 + 2), 3 * (8 + 2))


@pytest.mark.parametrize("layers", [1, 3])
def test_both_projectors_have_as_many_layers_as_wanted(layers: int) -> None:
    pix = method(projector_layers=layers, instance_weight=1.0)
    for head in (pix.projector, pix.instance_projector, pix.teacher["projector"], pix.teacher["instance_projector"]):
        assert [type(m).__name__ for m in head] == ["Linear", "BatchNorm1d", "ReLU"] * (layers - 1) + ["Linear"]
    assert len(pix.instance_predictor) == 4
