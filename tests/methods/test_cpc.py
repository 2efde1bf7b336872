import math

import pytest
import torch
import torch.nn.functional as F

from tests.methods.toy import Backbone
from unlabel.errors import Fault
from unlabel.methods.cpc import CPC
from unlabel.nn.patch_grid import PatchGrid
from unlabel.views import Batch

GRID = 4


def method(**options) -> CPC:
    return CPC(Backbone(), **{"grid": GRID, "steps": 3, "context_width": 8, "context_blocks": 2} | options).double()


def batch(b: int = 3) -> Batch:
    """One view of noise, 20 px: 4 x 4 patches of 8 px."""
    return Batch(views=[torch.randn(b, 3, 20, 20, dtype=torch.float64)], index=torch.arange(b), records=[])


def test_loss_is_the_algorithm_box() -> None:
    cpc, given = method(), batch()
    x = given.views[0]
    z = torch.stack([
        torch.stack([cpc.backbone.network(x[:, :, 4 * i : 4 * i + 8, 4 * j : 4 * j + 8]) for j in range(GRID)], dim=1)
        for i in range(GRID)
    ], dim=1)  # fmt: skip
    c = cpc.context(z)
    everything = z.flatten(0, 2)
    expected = []
    for k, w in ((2, cpc.predictors[0].weight), (3, cpc.predictors[1].weight)):
        losses = []
        for b in range(3):
            for i in range(GRID - k):
                for j in range(GRID):
                    logits = everything @ (w @ c[b, i, j])  # z' W_k c
                    right = (b * GRID + i + k) * GRID + j
                    losses.append(F.cross_entropy(logits[None], torch.tensor([right])))
        assert len(losses) == 3 * (GRID - k) * GRID  # H - k rows an image
        expected.append(torch.stack(losses).mean())
    assert cpc.loss(given).item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-12)


def test_equal_patches_cost_log_of_their_number() -> None:
    cpc, given = method(), batch()
    flat = Batch(views=[torch.ones_like(given.views[0])], index=given.index, records=[])
    assert cpc.loss(flat).item() == pytest.approx(math.log(3 * GRID * GRID), rel=1e-12)


def test_order_of_images_does_not_matter() -> None:
    cpc, given = method(), batch()
    turned = Batch(views=[given.views[0].flip(0)], index=given.index, records=[])
    assert cpc.loss(given).item() == pytest.approx(cpc.loss(turned).item(), rel=1e-12)


def test_there_is_a_matrix_for_each_offset_that_is_predicted_and_no_other() -> None:
    cpc = method(skip=0, steps=2)
    assert list(cpc.offsets) == [1, 2] and len(cpc.predictors) == 2
    z = cpc.backbone.see(cpc.backbone.cut(batch().views[0]))
    c = cpc.context(z)
    from unlabel.losses import grid_nce

    grid_nce(cpc.predictors[0](c[:, :-1]), z).mean().backward()
    assert cpc.predictors[0].weight.grad.abs().max() > 0
    assert cpc.predictors[1].weight.grad is None


def test_a_patch_reaches_no_context_above_it() -> None:
    cpc = method()
    x = batch(1).views[0].requires_grad_()
    c = cpc.context(cpc.backbone.see(cpc.backbone.cut(x)))
    c[0, 1].sum().backward()
    assert x.grad[..., :12, :].abs().max() > 0  # rows 0 and 1 of patches reach down to pixel 12
    assert x.grad[..., 12:, :].abs().max() == 0


def test_what_is_kept_looks_at_ordinary_images() -> None:
    cpc = method().eval()
    x = batch().views[0]
    assert isinstance(cpc.kept, PatchGrid)
    z = cpc.backbone.see(cpc.backbone.cut(x))
    torch.testing.assert_close(cpc.embed(x), z.mean(dim=(1, 2)))
    assert cpc.embed(x).shape == (3, 6)


def test_defaults_are_the_papers() -> None:
    cpc = CPC(Backbone())
    assert cpc.backbone.layout(256) == (64, 32) and list(cpc.offsets) == [2, 3, 4, 5]
    (view,) = cpc.views(256).views
    assert view.crop == "load" and view.load_size == 300


@pytest.mark.parametrize(("overlap", "first"), [(0.0, 1), (0.5, 2), (0.6, 3), (0.75, 4), (0.9, 10)])
def test_rows_that_share_pixels_are_not_predicted_by_default(overlap: float, first: int) -> None:
    cpc = CPC(Backbone(), grid=16, overlap=overlap, steps=12)
    assert cpc.offsets[0] == first
    patch, stride = cpc.backbone.layout(1600)
    assert first * stride >= patch > (first - 1) * stride


def test_offsets_that_do_not_fit_the_grid_are_a_fault() -> None:
    for options in ({"steps": 4}, {"skip": 3}, {"skip": 4, "steps": 3}):
        with pytest.raises(Fault, match="skip < steps < grid must hold"):
            method(**options)


def test_images_too_small_for_the_grid_are_a_fault() -> None:
    with pytest.raises(Fault, match="lower `grid` or raise `size`"):
        CPC(Backbone(), grid=9).views(16)
