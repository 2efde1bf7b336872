import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.methods import get
from unlabel.methods.mae import MAE
from unlabel.nn import backbones
from unlabel.nn.masking import ids_from_mask
from unlabel.nn.patches import normalise, patchify, sincos_table
from unlabel.nn.vit import tokens
from unlabel.views import Batch, sample_masks


def spec(**kwargs: Any) -> backbones.Spec:
    tiny = backbones.resolve("tiny_vit", 32, pool="mean")
    return replace(tiny, kwargs={**tiny.kwargs, "depth": 2, "embed_dim": 48, "num_heads": 2, **kwargs})


def mae(*, vit: dict[str, Any] | None = None, **hyper: Any) -> MAE:
    small = {"decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2}
    return MAE(backbones.build(spec(**(vit or {}))), **(small | hyper))


def batch_for(method: MAE, x: Tensor, epoch: int = 0) -> Batch:
    index = torch.arange(len(x))
    masks = sample_masks(method.views(x.shape[-1]).mask, seed=0, epoch=epoch, indices=index.numpy())
    return Batch(views=[x], index=index, records=[], masks=torch.from_numpy(masks))


def images(b: int = 4, side: tuple[int, int] = (32, 32)) -> Tensor:
    return torch.randn(b, 3, *side)


# ------------------------------------------------------------------ views and masks


def test_it_is_found_under_its_name() -> None:
    assert get("mae") is MAE


@pytest.mark.parametrize(("size", "ratio", "masked"), [(32, 0.75, 48), (32, 0.6, 38), (24, 0.5, 32), (64, 0.9, 58)])
def test_the_mask_fits_the_backbones_grid(size: int, ratio: float, masked: int) -> None:
    method = MAE(backbones.build(backbones.resolve("tiny_vit", size, pool="mean")), mask_ratio=ratio)
    recipe = method.views(size)
    assert len(recipe.views) == 1 and recipe.views[0].size == size and recipe.views[0].scale == (0.2, 1.0)
    drawn = sample_masks(recipe.mask, seed=0, epoch=0, indices=np.arange(5))
    assert drawn.shape == (5, 64) and (drawn.sum(axis=1) == masked).all()


# ------------------------------------------------------------------ what each part sees


def test_masked_pixels_are_seen_by_nobody() -> None:
    method = mae()
    mask = batch_for(method, images()).masks
    ids_keep, _ = ids_from_mask(mask)
    for what in (
        lambda x: tokens(method.backbone, x, ids_keep=ids_keep),
        lambda x: method.reconstruct(x, mask),
    ):
        gradient = patchify(pixel_gradient(what), 4)
        assert (gradient[mask] == 0).all()
        assert (gradient[~mask].abs().amax(dim=-1) > 0).all()


def pixel_gradient(function: Callable[[Tensor], Tensor]) -> Tensor:
    x = images().requires_grad_()
    out = function(x)
    (out * torch.randn_like(out)).sum().backward()
    return x.grad


def test_the_loss_is_the_formula() -> None:
    method = mae().double()
    x = images().double()
    batch = batch_for(method, x)
    prediction, total, count = method.reconstruct(x, batch.masks).detach(), 0.0, 0
    for i in range(4):
        for n in range(64):
            if batch.masks[i, n]:
                top, left = n // 8 * 4, n % 8 * 4
                pixels = x[i, :, top : top + 4, left : left + 4].permute(1, 2, 0).flatten()
                y = (pixels - pixels.mean()) / ((pixels - pixels.mean()).square().sum() / 47 + 1e-6).sqrt()
                total, count = total + float((prediction[i, n] - y).square().sum()) / 48, count + 1
    assert count == 4 * 48
    torch.testing.assert_close(method.loss(batch).detach(), torch.tensor(total / count, dtype=torch.float64))


def test_predictions_for_visible_patches_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    method = mae()
    batch = batch_for(method, images())
    loss, said = method.loss(batch), method.reconstruct(batch.views[0], batch.masks)
    nonsense = torch.where(batch.masks[..., None], said, 100.0)
    monkeypatch.setattr(method, "reconstruct", lambda x, mask: nonsense)
    assert torch.equal(method.loss(batch), loss)


@pytest.mark.parametrize(("patch", "anchor"), [(2, 11 / 12), (4, 47 / 48), (8, 191 / 192)])
def test_a_decoder_that_says_nothing_has_a_known_loss(patch: int, anchor: float) -> None:
    method = mae(vit={"patch_size": patch})
    nn.init.zeros_(method.decoder.predict.weight)
    assert method.loss(batch_for(method, images())).item() == pytest.approx(anchor, rel=1e-4)


def test_the_loss_starts_where_it_should() -> None:
    """Normalised targets (1) and a Xavier-uniform last layer on normalised tokens (about 1.5) have nothing in common."""
    method = MAE(
        backbones.build(backbones.resolve("tiny_vit", 32, pool="mean")),
        decoder_width=96, decoder_depth=1, decoder_heads=3,
    )  # fmt: skip
    expected = 47 / 48 + 2 * 96 / (96 + 48)  # + width · var(U(-a, a)), a² = 6 / (fan in + fan out)
    assert method.loss(batch_for(method, images(8))).item() == pytest.approx(expected, rel=0.15)


def test_raw_pixels_are_the_other_target() -> None:
    x = images()
    assert torch.equal(mae(norm_pixels=False).targets(x), patchify(x, 4))
    assert torch.equal(mae().targets(x), normalise(patchify(x, 4)))
    assert mae().targets(x.bfloat16()).dtype == torch.float32


def test_targets_take_no_gradient() -> None:
    method = mae()
    assert not method.targets(images()).requires_grad


@pytest.mark.parametrize(
    "vit",
    [
        {"class_token": False, "global_pool": "avg"},
        {"reg_tokens": 4},
        {"no_embed_class": True, "reg_tokens": 1},
        {"img_size": (16, 32)},
    ],
    ids=str,
)
def test_prefixes_and_shapes(vit: dict[str, Any]) -> None:
    method = mae(vit=vit)
    x = images(4, vit.get("img_size", (32, 32)))
    batch = batch_for(method, x)
    loss = method.loss(batch)
    assert 1.0 < loss.item() < 4.0
    loss.backward()
    assert all(p.grad.abs().sum() > 0 for p in method.parameters() if p.requires_grad)


def test_mixed_precision_keeps_the_loss_in_full() -> None:
    method = mae()
    batch = batch_for(method, images())
    with torch.autocast("cpu", torch.bfloat16):
        loss = method.loss(batch)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, method.loss(batch), rtol=0.02, atol=0)


# ------------------------------------------------------------------ the start, and what is kept


def test_positions_are_fixed() -> None:
    method = mae()
    table = sincos_table(48, (8, 8), prefix=1)
    assert torch.equal(method.backbone.pos_embed[0], table)
    trained = {name for player in method.players() for name, _ in player.parameters}
    assert "backbone.pos_embed" not in trained and "backbone.cls_token" in trained
    method.plan = replace(method.plan, lr=1.0)
    (optimiser,) = method.configure_optimizers()
    method.loss(batch_for(method, images())).backward()
    optimiser.step()
    assert torch.equal(method.backbone.pos_embed[0], table)
    assert torch.equal(method.decoder.positions, sincos_table(32, (8, 8), prefix=1))


def test_layers_start_as_in_the_paper() -> None:
    method = mae(vit={"reg_tokens": 2})
    weights = {name: (m.weight, m.bias) for name, m in method.named_modules() if isinstance(m, nn.Linear)}
    patches = method.backbone.patch_embed.proj
    weights["patches"] = (patches.weight.flatten(1), patches.bias)
    assert len(weights) == 3 * 4 + 3
    for name, (weight, bias) in weights.items():
        bound = math.sqrt(6 / sum(weight.shape))
        assert 0.97 * bound < weight.abs().max() <= bound, name
        assert float(weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.1), name
        assert bias.abs().max() == 0, name
    for token in (method.backbone.cls_token, method.backbone.reg_token, method.decoder.mask_token):
        assert 0.01 < token.detach().std() < 0.03


def test_evaluation_sees_the_mean_of_the_patch_tokens_of_the_whole_picture() -> None:
    method = mae().eval()
    x = images()
    torch.testing.assert_close(method.embed(x), tokens(method.backbone, x)[:, 1:].mean(dim=1))


def test_the_kept_weights_load_into_plain_timm() -> None:
    method = mae().eval()
    plain = timm.create_model(spec().timm, **spec().kwargs).eval()
    plain.load_state_dict(method.kept.state_dict())
    x = images()
    torch.testing.assert_close(plain(x), method.embed(x))


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize("name", ["tiny_resnet", "vit_tiny_r_s16_p8_224", "deit_tiny_distilled_patch16_224"])
def test_a_backbone_whose_patches_cannot_be_hidden_is_a_fault(name: str) -> None:
    with pytest.raises(Fault, match=r"must be a plain ViT, not .*: choose tiny_vit"):
        MAE(backbones.build(backbones.resolve(name, 32)))


def test_a_backbone_without_positions_is_a_fault() -> None:
    with pytest.raises(Fault, match="must be a plain ViT"):
        mae(vit={"pos_embed": "none"})


@pytest.mark.parametrize("wrong", [{"decoder_width": 30}, {"decoder_heads": 3}])
def test_a_decoder_that_does_not_add_up_is_a_fault(wrong: dict[str, int]) -> None:
    with pytest.raises(Fault, match=r"`decoder_width` .* must be a multiple of 4 and of `decoder_heads`"):
        mae(**wrong)


def test_a_batch_without_masks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs batch"):
        mae().loss(Batch(views=[images()], index=torch.arange(4), records=[]))


# ------------------------------------------------------------------ pictures


@pytest.mark.parametrize("norm_pixels", [True, False])
def test_the_picture_shows_what_was_hidden_and_what_was_painted(norm_pixels: bool) -> None:
    method = mae(norm_pixels=norm_pixels)
    batch = batch_for(method, images(11) / 3)
    (picture,) = method.picture(batch).values()
    assert picture.dtype == torch.uint8 and picture.shape == (3, 3 * 34 + 2, 8 * 34 + 2)
    tiles = picture[:, 2:, 2:].unfold(1, 32, 34).unfold(2, 32, 34)  # [3, rows, columns, 32, 32]
    assert tiles.shape[1:3] == (3, 8)
    hidden = batch.masks[0].view(8, 8).repeat_interleave(4, 0).repeat_interleave(4, 1)
    seen, painted, original = tiles[:, :, 0].unbind(1)
    view = method.views(32).views[0]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (view.mean, view.std))
    exact = ((batch.views[0][0] * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)
    assert torch.equal(original, exact)
    assert torch.equal(seen[:, ~hidden], original[:, ~hidden]) and (seen[:, hidden] == 128).all()
    assert torch.equal(painted[:, ~hidden], original[:, ~hidden])
    assert (painted[:, hidden] != original[:, hidden]).float().mean() > 0.5


def test_a_perfect_decoder_paints_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    method = mae()
    batch = batch_for(method, images(2))
    monkeypatch.setattr(method, "reconstruct", lambda x, mask: method.targets(x))
    rows = method.picture(batch)["reconstructions"][:, 2:].unfold(1, 32, 34)
    assert (rows[:, 1].int() - rows[:, 2].int()).abs().max() <= 1


# ------------------------------------------------------------------ learning


def descend(method: MAE, batches: Callable[[int], Batch], updates: int) -> list[float]:
    method.plan = replace(method.plan, lr=3e-3, lr_per=None)
    (optimiser,) = method.configure_optimizers()
    losses = []
    for update in range(updates):
        loss = method.loss(batches(update))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_four_pictures_can_be_learned_by_heart() -> None:
    method = mae(vit={"depth": 1}, decoder_width=64)
    x = nn.functional.interpolate(torch.randn(4, 3, 8, 8), size=32, mode="bicubic")
    batch = batch_for(method, x)
    losses = descend(method, lambda _: batch, 200)
    assert losses[-1] < 0.25


def test_real_pictures_are_predicted_better_than_by_their_means(shared_data: Callable[[str], Path]) -> None:
    """A decoder that says nothing is at 47/48 = 0.979."""
    files = sorted(shared_data("cifar10").glob("train/*/*"))[::50][:640]
    x = torch.stack([torch.from_numpy(np.array(Image.open(file).convert("RGB"))) for file in files])
    x = x.permute(0, 3, 1, 2).float() / 255
    x = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)
    method = mae(vit={"depth": 1, "embed_dim": 64}, decoder_width=48)
    losses = descend(method, lambda u: batch_for(method, x[torch.randint(len(x), (64,))], epoch=u), 80)
    assert sum(losses[-20:]) / 20 < 0.88
