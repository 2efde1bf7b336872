"""CLIP's loss by its algorithm box, its scale, its captions that are alike, its batch."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.methods.toy import Backbone
from unlabel.errors import Fault
from unlabel.methods import Reads
from unlabel.methods.clip import CLIP
from unlabel.nn.text import END, PAD, START
from unlabel.optim.plan import make_optimiser
from unlabel.views import Batch

NARROW = {"vocabulary": 300, "context": 8, "text_width": 16, "text_depth": 2, "text_heads": 2, "projector_dim": 5}


def method(**options) -> CLIP:
    return CLIP(Backbone(), **NARROW, **options).double()


def batch(words: list[int] | None = None, b: int = 5) -> Batch:
    """Noise with texts of one word each."""
    said = list(range(10, 10 + b)) if words is None else words
    tokens = torch.tensor([[START, word, END, PAD, PAD, PAD, PAD, PAD] for word in said])
    views = [torch.randn(len(said), 3, 8, 8, dtype=torch.float64)]
    return Batch(views, torch.arange(len(said)), [np.zeros(len(said))], tokens=tokens)


def cosines(clip: CLIP, given: Batch) -> Tensor:
    i = F.normalize(clip.projector(clip.backbone(given.views[0])), dim=1)
    t = F.normalize(clip.text(given.tokens), dim=1)
    return i @ t.T


def test_loss_is_the_algorithm_box() -> None:
    clip, given = method(), batch()
    s, diagonal = clip.log_scale.exp() * cosines(clip, given), torch.arange(5)
    expected = (F.cross_entropy(s, diagonal) + F.cross_entropy(s.T, diagonal)) / 2
    assert clip.loss(given).item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_scale_starts_at_one_over_the_temperature() -> None:
    assert method().log_scale.item() == pytest.approx(math.log(1 / 0.07)) == pytest.approx(2.6593, abs=1e-4)
    assert method(temperature=0.5).log_scale.item() == pytest.approx(math.log(2))


def test_the_loss_starts_near_log_b() -> None:
    """Cosines of random directions are small in many dimensions."""
    clip = CLIP(Backbone(), **{**NARROW, "projector_dim": 512}).double()
    assert clip.loss(batch(b=32)).item() == pytest.approx(math.log(32), rel=0.15)


@pytest.mark.parametrize(("moved", "kept"), [(7.0, math.log(100)), (-1.0, 0.0), (3.0, 3.0)])
def test_the_scale_is_held_after_each_update(moved: float, kept: float) -> None:
    clip = method()
    with torch.no_grad():
        clip.log_scale.fill_(moved)
    clip.advance()
    assert clip.log_scale.item() == pytest.approx(kept, abs=1e-15)
    assert clip.log_scale.exp() <= 100 + 1e-12 and clip.log_scale.requires_grad


def test_the_scale_learns_and_is_not_decayed() -> None:
    clip = method()
    clip.loss(batch()).backward()
    assert clip.log_scale.grad.abs() > 0
    optimiser = make_optimiser(clip.named_parameters(), CLIP.plan, 8)
    (group,) = [g for g in optimiser.param_groups if any(p is clip.log_scale for p in g["params"])]
    assert not group["decayed"] and group["weight_decay"] == 0


def test_looking_at_the_loss_moves_nothing() -> None:
    clip, given = method().eval(), batch()
    before = {name: value.clone() for name, value in clip.state_dict().items() if isinstance(value, Tensor)}
    with torch.no_grad():
        assert torch.equal(clip.loss(given), clip.loss(given))
    assert all(torch.equal(before[name], clip.state_dict()[name]) for name in before)


def test_what_is_kept_is_the_image_network_and_both_project_without_bias() -> None:
    clip = method()
    assert clip.kept is clip.backbone and isinstance(clip, Reads)
    assert clip.projector.bias is None and clip.text.projection.bias is None
    x = batch().views[0]
    assert clip.embed(x).shape == (5, 6) and clip.image_vectors(x).shape == (5, 5)


def test_the_view_is_one_and_never_mirrored() -> None:
    (view,) = method().views(224).views
    assert view.flip == 0 and view.scale == (0.9, 1.0) and view.jitter is None


def test_mistakes() -> None:
    with pytest.raises(Fault, match="`text_width` 10 must be a multiple of `text_heads` 4"):
        CLIP(Backbone(), **{**NARROW, "text_width": 10, "text_heads": 4})
    given = batch()
    given.tokens = None
    with pytest.raises(ValueError, match=r"batch\.tokens"):
        method().loss(given)
