import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.toy import Backbone
from unlabel.errors import Fault
from unlabel.methods.cpc_v2 import CPCv2
from unlabel.views import Batch

GRID = 4
SMALL = {"grid": GRID, "overlap": 0.5, "steps_to_ignore": 1, "target_dim": 5, "context_width": 8, "context_blocks": 2}


def method(**options) -> CPCv2:
    return CPCv2(Backbone(), **SMALL | options).double()


def batch(b: int = 3) -> Batch:
    """One view of noise, 20 px: 4 x 4 patches of 8 px."""
    return Batch(views=[torch.randn(b, 3, 20, 20, dtype=torch.float64)], index=torch.arange(b), records=[])


def vectors(cpc: CPCv2, b: int = 3) -> Tensor:
    return cpc.backbone.see(cpc.backbone.cut(batch(b).views[0]))


@pytest.mark.parametrize("directions", [1, 4])
def test_contrast_is_the_pseudo_code(directions: int) -> None:
    cpc = method(directions=directions)
    z = vectors(cpc)
    expected = []
    for turn in range(directions):
        latents = torch.rot90(z, turn, dims=(1, 2))
        targets = cpc.target(latents).flatten(0, 2)
        context = cpc.context(latents)
        for i in (1, 2):  # offset i predicts i + 1 rows ahead
            p = 0.1 * cpc.predictors[i - 1](context)[:, : GRID - i - 1]
            n = 3 * (GRID - i - 1) * GRID
            image, position = torch.arange(n) // ((GRID - i - 1) * GRID), torch.arange(n) % ((GRID - i - 1) * GRID)
            labels = image * GRID * GRID + (i + 1) * GRID + position
            expected.append(F.cross_entropy(p.flatten(0, 2) @ targets.T, labels))
    assert cpc.contrast(z).item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-12)


def test_with_four_directions_a_turned_grid_has_the_same_loss() -> None:
    cpc = method()
    z = vectors(cpc)
    for turn in (1, 2, 3):
        turned = torch.rot90(z, turn, dims=(1, 2))
        assert cpc.contrast(turned).item() == pytest.approx(cpc.contrast(z).item(), rel=1e-12)
    one = method(directions=1)
    assert one.contrast(torch.rot90(z, 1, dims=(1, 2))).item() != pytest.approx(one.contrast(z).item(), rel=1e-6)


def test_equal_vectors_cost_log_of_their_number() -> None:
    cpc = method()
    z = torch.ones(3, GRID, GRID, 6, dtype=torch.float64)
    assert cpc.contrast(z).item() == pytest.approx(math.log(3 * GRID * GRID), rel=1e-12)


@pytest.mark.parametrize("turn", range(4))
def test_context_is_causal_in_each_direction(turn: int) -> None:
    cpc = method()
    z = torch.randn(1, GRID, GRID, 6, dtype=torch.float64, requires_grad=True)
    cpc.context(torch.rot90(z, turn, dims=(1, 2)))[:, 1].sum().backward()
    reached = torch.rot90(z.grad.abs().sum(dim=-1), turn, dims=(1, 2))[0].sum(dim=1)
    assert (reached[:2] > 0).all() and (reached[2:] == 0).all()


def test_patches_are_augmented_one_by_one_in_training_only() -> None:
    cpc, given = method(patch_drop=0.7, patch_flip=0.5), batch()
    cpc.eval()
    assert torch.equal(cpc.loss(given), cpc.loss(given))
    clean = cpc.contrast(cpc.backbone.see(cpc.backbone.cut(given.views[0])))
    assert cpc.loss(given).item() == pytest.approx(clean.item(), rel=1e-12)
    cpc.train()
    torch.manual_seed(1)
    first = cpc.loss(given)
    torch.manual_seed(1)
    assert torch.equal(cpc.loss(given), first) and first.item() != pytest.approx(clean.item(), rel=1e-6)


def test_defaults_are_the_papers() -> None:
    cpc = CPCv2(Backbone())
    assert cpc.backbone.layout(260) == (80, 36) and list(cpc.offsets) == [3, 4, 5]
    assert (cpc.directions, cpc.prediction_scale, cpc.target.out_features) == (4, 0.1, 64)
    assert cpc.target.bias is None and len(cpc.context.blocks) == 5
    (view,) = cpc.views(260).views
    assert view.load_size == 300 and view.jitter_p == 0.8 and view.grey == 0.25


def test_offsets_that_do_not_fit_the_grid_are_a_fault() -> None:
    for options in ({"steps": 4}, {"steps_to_ignore": 3}):
        with pytest.raises(Fault, match="steps_to_ignore < steps < grid must hold"):
            method(**options)
