"""CAST: the algorithm box, the two ways of the attention's gradient, and what moves when."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.data.loader import ViewLoader
from unlabel.data.shapes import Shapes
from unlabel.errors import Fault
from unlabel.losses import attention_loss, queue_info_nce
from unlabel.methods.cast import CAST
from unlabel.nn import backbones
from unlabel.nn.maps import normalised
from unlabel.views import Batch


class Backbone(nn.Module):
    """Two convolutions without batch norm: the least that makes maps."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Tanh(), nn.Conv2d(4, 6, 2), nn.Softplus())

    def forward_features(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def forward_head(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def method(**options) -> CAST:
    options = {"queue_length": 11, "projector_dim": 4, "projector_layers": 2, "temperature": 0.3} | options
    cast = CAST(Backbone(), **options).double()
    for p in cast.teacher.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return cast


def batch(b: int = 5) -> Batch:
    views = [torch.randn(b, 3, 10, 10, dtype=torch.float64) for _ in range(2)]
    saliency = [(torch.rand(b, 10, 10) > 0.6).double() for _ in range(2)]
    return Batch(views=views, index=torch.arange(b), records=[np.zeros(b)] * 2, saliency=saliency)


def boxed(cast: CAST, given: Batch, *, constant_alpha: bool = False) -> tuple[Tensor, Tensor]:
    """Contrast and attention by the algorithm box, with alpha written out: y is a function of the mean of A."""
    (x_q, x_k), (m_q, m_k) = given.views, given.saliency
    maps = cast.backbone.layers(x_q)
    pooled = maps.mean(dim=(2, 3))
    k, k_m = (F.normalize(cast.teacher(x), dim=1).detach() for x in (x_k, x_k * m_k[:, None]))

    def score(h: Tensor) -> Tensor:
        return (F.normalize(cast.projector(h), dim=1) * k_m).sum(dim=1) / cast.temperature

    slope = torch.func.vmap(torch.func.grad(lambda h, key: (
        F.normalize(cast.projector(h[None]), dim=1)[0] @ key / cast.temperature)))(pooled, k_m)  # fmt: skip
    alpha = slope / (maps.shape[2] * maps.shape[3])  # the mean over places of dy / dA
    alpha = alpha.detach() if constant_alpha else alpha
    heat = F.relu((alpha[:, :, None, None] * maps).sum(dim=1))
    contrast = queue_info_nce(cast.projector(pooled), k, cast.queue.rows, temperature=cast.temperature)
    target = F.adaptive_avg_pool2d(m_q[:, None], heat.shape[1:])[:, 0]
    return contrast, attention_loss(normalised(heat), target)


def gradients(loss: Tensor, cast: CAST) -> list[Tensor]:
    wanted = [*cast.backbone.parameters(), *cast.projector.parameters()]
    return list(torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True))


def test_loss_is_the_algorithm_box() -> None:
    cast, given = method(), batch()
    contrast, attention = boxed(cast, given)
    found = cast.loss(given)
    assert found["contrast"].item() == pytest.approx(contrast.item() / 4, rel=1e-10)
    assert found["attention"].item() == pytest.approx(3 * attention.item() / 4, rel=1e-10)
    assert 0 < attention.item() < 1


def test_the_attention_teaches_through_the_maps_and_through_their_weights() -> None:
    """With create_graph the whole derivative; without it that of constant weights."""
    cast, given = method(attention_weight=3.0), batch()
    whole = gradients(cast.loss(given)["attention"], cast)
    expected = gradients(0.75 * boxed(cast, given)[1], cast)
    for ours, theirs in zip(whole, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)
    cast.second_order = False
    first = gradients(cast.loss(given)["attention"], cast)
    constant = gradients(0.75 * boxed(cast, given, constant_alpha=True)[1], cast)
    for ours, theirs in zip(first, constant, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)
    backbone = len(list(cast.backbone.parameters()))
    assert max(float((a - b).abs().max()) for a, b in zip(whole[:backbone], first[:backbone], strict=True)) > 1e-4
    assert all(g.abs().max() > 0 for g in first[:backbone])  # the way through the maps is left
    assert all(g.abs().max() == 0 for g in first[backbone:])  # the projector is in the weights alone
    assert any(g.abs().max() > 0 for g in whole[backbone:])


def test_the_gradient_is_that_of_finite_differences() -> None:
    cast, given = method(), batch(3)
    weight = cast.backbone.layers[0].weight
    (slope,) = torch.autograd.grad(sum(cast.loss(given).values()), weight)
    direction, step = torch.randn_like(weight), 1e-6
    values = []
    for sign in (1, -1):
        weight.data += sign * step * direction
        values.append(sum(cast.loss(given).values()).item())
        weight.data -= sign * step * direction
    assert float((slope * direction).sum()) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


def test_without_attention_it_is_momentum_contrast() -> None:
    cast, given = method(attention_weight=0.0), batch()
    q = F.normalize(cast.projector(cast.backbone(given.views[0])), dim=1)
    k = F.normalize(cast.teacher(given.views[1]), dim=1)
    logits = torch.cat([(q * k).sum(dim=1, keepdim=True), q @ cast.queue.rows.T], dim=1) / 0.3
    expected = F.cross_entropy(logits, torch.zeros(5, dtype=torch.int64))
    found = cast.loss(given)
    assert found["attention"].item() == 0
    assert found["contrast"].item() == pytest.approx(expected.item(), rel=1e-8)
    for ours, theirs in zip(gradients(sum(found.values()), cast), gradients(expected, cast), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10)


def test_one_cosine_for_the_batch_is_another_loss() -> None:
    cast, given = method(), batch()
    each = cast.loss(given)["attention"]
    cast.together = True
    assert abs(cast.loss(given)["attention"].item() - each.item()) > 1e-6


def test_without_the_relu_maps_are_stretched_as_they_are() -> None:
    cast, given = method(rectified=False), batch()
    _, heat = cast._attention(given, second_order=False)
    assert heat.min() == 0 and (heat.amax(dim=(1, 2)) == 1).all()


def test_looking_at_the_loss_changes_nothing() -> None:
    cast, given = method(), batch()
    first = sum(cast.loss(given).values())
    assert sum(cast.loss(given).values()).item() == first.item()
    cast.queue.noted.clear()
    with torch.no_grad():
        quiet = sum(cast.loss(given).values())
    assert quiet.item() == pytest.approx(first.item(), rel=1e-12) and not quiet.requires_grad
    cast.eval().loss(given)
    assert not cast.queue.noted and cast.queue.filled == 0


def test_keys_go_into_the_queue_and_the_teacher_follows_after_the_update() -> None:
    cast, given = method(teacher_momentum=0.9), batch()
    k = F.normalize(cast.teacher(given.views[1]), dim=1)
    before, rows = copy.deepcopy(cast.teacher), cast.queue.rows.clone()
    cast.loss(given)
    assert torch.equal(cast.queue.rows, rows)
    cast.advance()
    torch.testing.assert_close(cast.queue.rows[:5], k)
    assert torch.equal(cast.queue.rows[5:], rows[5:]) and cast.queue.filled == 5
    student = nn.Sequential(cast.backbone, cast.projector)
    for name, p in cast.teacher.named_parameters():
        expected = 0.9 * before.get_parameter(name) + 0.1 * student.get_parameter(name)
        torch.testing.assert_close(p, expected, rtol=1e-12, atol=1e-14)


def test_only_the_student_learns() -> None:
    cast = method()
    sum(cast.loss(batch()).values()).backward()
    assert all(p.grad is None for p in cast.teacher.parameters())
    assert all(p.grad is not None for p in (*cast.backbone.parameters(), *cast.projector.parameters()))


def test_an_object_that_fills_no_crop_is_no_trouble() -> None:
    cast, given = method(), batch()
    given.saliency = [torch.zeros_like(m) for m in given.saliency]
    loss = cast.loss(given)
    sum(loss.values()).backward()
    assert loss["attention"].item() == pytest.approx(0.75)
    assert all(p.grad.isfinite().all() for p in cast.backbone.parameters())


def test_views_show_the_object_and_bring_its_map() -> None:
    recipe = method(cover=0.4).views(64)
    assert recipe.salient and len(recipe.views) == 2
    for view in recipe.views:
        assert view.crop == "salient" and view.crop_cover == 0.4 and view.scale == (0.2, 1.0)
        assert view.jitter == (0.4,) * 4 and view.jitter_p == 0.5 and view.grey == 0.2 and view.blur == 0


def test_a_transformer_has_no_maps() -> None:
    vit = backbones.build(backbones.resolve("tiny_vit", 32))
    with pytest.raises(Fault, match="choose a network of convolutions"):
        CAST(vit, queue_length=8)


def test_a_batch_without_masks_is_refused() -> None:
    given = batch()
    given.saliency = None
    with pytest.raises(ValueError, match=r"batch\.saliency"):
        method().loss(given)


def test_the_picture_shows_queries_objects_and_attention() -> None:
    cast = CAST(backbones.build(backbones.resolve("tiny_resnet", 32)), queue_length=8).eval()
    given = ViewLoader([Shapes(20)], cast.views(32), 10, seed=0, stop=1, threads=0).batch(0)
    with torch.inference_mode():
        drawn = cast.picture(given)["attention"]
    assert drawn.dtype == torch.uint8 and drawn.shape == (3, 3 * 34 + 2, 8 * 34 + 2)
    objects = drawn[0, 36:68].float()
    assert objects.max() == 255 and objects.min() == 0
