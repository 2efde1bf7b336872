import math

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from unlabel.errors import Fault
from unlabel.methods import cut as module
from unlabel.methods.cut import CUT
from unlabel.views import Batch

SIZE = 24


def method(**options: float | bool) -> CUT:
    torch.manual_seed(0)
    narrow = {"generator_width": 4, "generator_blocks": 5, "discriminator_width": 4, "discriminator_layers": 2}
    return CUT(size=SIZE, **{**narrow, "patches": 16, **options})


def batch(b: int = 2, size: int = SIZE, seed: int = 1) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    views = [torch.rand(b, 3, size, size, generator=draw) * 2 - 1 for _ in range(2)]
    return Batch(views, torch.arange(b), [np.empty(b)] * 2)


def in_double(cut: CUT, images: Batch) -> tuple[CUT, Batch]:
    return cut.double(), Batch([view.double() for view in images.views], images.index, images.records)


def gradients(cut: CUT) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in cut.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def slow_nce(cut: CUT, before: Tensor, after: Tensor) -> Tensor:
    """The sum over taps, images and places, written out; draws places as `CUT` does: one permutation a tap."""
    keys, queries = cut.generator.encode(before), cut.generator.encode(after)
    places = [torch.randperm(k.shape[2] * k.shape[3])[: cut.patches] for k in keys]
    total = torch.zeros((), dtype=before.dtype)
    for head, k, q, s in zip(cut.heads.heads, keys, queries, places, strict=True):
        for b in range(len(before)):
            z, w = (head(f[b].reshape(f.shape[1], -1).T[s]) for f in (k, q))
            z, w = (v / (v.norm(dim=1, keepdim=True) + 1e-7) for v in (z, w))
            total = total + F.cross_entropy(w @ z.T / cut.temperature, torch.arange(len(s))) / len(before)
    return total / len(keys)


def test_the_terms_are_the_papers() -> None:
    cut, images = in_double(method(lambda_nce=3.0), batch())
    x, y = images.views
    torch.manual_seed(2)
    terms = cut.loss(images)
    torch.manual_seed(2)
    nce_x, nce_y = slow_nce(cut, x, cut.generator(x)), slow_nce(cut, y, cut.generator(y))
    fake, real = cut.discriminator(cut.generator(x)), cut.discriminator(y)
    expected = {
        "discriminator": 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean(),
        "gan": ((fake - 1) ** 2).mean(),
        "nce": 1.5 * nce_x,
        "identity": 1.5 * nce_y,
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_without_the_identity_only_x_is_translated_and_its_term_is_whole() -> None:
    cut, images = in_double(method(lambda_nce=10.0, identity=False), batch())
    torch.manual_seed(2)
    terms = cut.loss(images)
    torch.manual_seed(2)
    assert terms.keys() == {"discriminator", "gan", "nce"}
    x = images.views[0]
    torch.testing.assert_close(terms["nce"], 10 * slow_nce(cut, x, cut.generator(x)), rtol=1e-9, atol=1e-12)


def test_each_player_learns_from_its_own_terms() -> None:
    cut = method()
    own = {p.name: {name for name, _ in p.parameters} for p in cut.players()}
    assert list(own) == ["discriminator", "generator"]
    assert own["discriminator"] | own["generator"] == {name for name, _ in cut.named_parameters()}
    assert not own["discriminator"] & own["generator"]
    for term, player in (("discriminator", "discriminator"), ("gan", "generator"), ("nce", "generator")):
        cut.zero_grad()
        cut.loss(batch())[term].backward()
        assert gradients(cut).keys() <= own[player] and gradients(cut)
    assert any(name.startswith("heads.") for name in gradients(cut))
    assert all(p.requires_grad for p in cut.parameters())


def test_the_generator_learns_nothing_through_the_keys() -> None:
    """With outputs cut off from G, only the second reading of G_enc is left; its gradient is that of q alone."""
    cut, images = in_double(method(), batch(1))
    x = images.views[0]
    keys = [k.requires_grad_() for k in cut.generator.encode(x)]
    for k in keys:
        k.retain_grad()
    queries = [k.detach().clone().requires_grad_() for k in keys]
    cut._nce([0.5 * q + 0.1 for q in queries], keys).backward()
    assert all(k.grad is None for k in keys)
    assert all(q.grad is not None and q.grad.abs().sum() > 0 for q in queries)


def test_recognises_its_own_patches_and_not_shuffled_ones() -> None:
    cut = method(patches=256)
    (x, _) = batch(1, size=64).views
    keys = cut.generator.encode(x)
    cut.heads.apply(lambda layer: nn.init.xavier_normal_(layer.weight) if isinstance(layer, nn.Linear) else None)
    shuffled = [k.flatten(2)[:, :, torch.randperm(k[0, 0].numel())].view_as(k) for k in keys]
    assert cut._nce(keys, keys) < math.log(256) - 0.5
    assert cut._nce(shuffled, keys) > math.log(256)


def test_the_batch_is_the_mean_of_its_images() -> None:
    """Nothing crosses from one image to another, so that data-parallel ranks need to share the draw only."""
    cut, images = in_double(method(), batch(2))
    found = []
    for part in (images, images.rows(slice(0, 1)), images.rows(slice(1, 2))):
        cut.zero_grad()
        torch.manual_seed(3)
        terms = cut.loss(part)
        sum(terms.values()).backward()
        found.append((terms, gradients(cut)))
    whole, *parts = found
    for name, value in whole[0].items():
        torch.testing.assert_close(value, (parts[0][0][name] + parts[1][0][name]) / 2, rtol=1e-9, atol=1e-12)
    for name, value in whole[1].items():
        zero = torch.zeros_like(value)
        mean = sum(part[1].get(name, zero) for part in parts) / 2
        torch.testing.assert_close(value, mean, rtol=1e-7, atol=1e-12, msg=name)


def test_all_ranks_look_at_the_places_of_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = method(patches=16)
    features = cut.generator.encode(batch().views[0])
    of_rank_0 = torch.cat([torch.arange(min(16, f[0, 0].numel())) for f in features])
    monkeypatch.setattr(module, "gather", lambda mine: torch.cat((of_rank_0[None], mine)))
    assert [places.tolist() for places in cut._places(features)] == [list(range(16))] * 5


def test_places_are_distinct_and_as_many_as_there_are() -> None:
    cut = method(patches=256)
    for feature, places in zip(f := cut.generator.encode(batch().views[0]), cut._places(f), strict=True):
        there = feature.shape[2] * feature.shape[3]
        assert len(places) == min(256, there) == len(places.unique())
        assert places.min() >= 0 and places.max() < there


class Pointwise(nn.Module):
    """Stands for a generator that commutes with mirroring: it looks at one pixel at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 4, 1)

    def encode(self, x: Tensor) -> list[Tensor]:
        return [x, self.mix(x)]

    def trace(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return x.roll(1, dims=1), self.encode(x)


def test_mirroring_changes_nothing_for_a_generator_that_commutes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, images = method(flip_equivariance=True, identity=False), batch()
    cut.generator = Pointwise()
    cut.heads = module.PatchHeads((3, 4))
    values, seen = [], []
    for toss in (0.9, 0.1):
        monkeypatch.setattr(module, "gather", lambda x, toss=toss: x if x.ndim == 2 else torch.tensor([toss]))
        outputs, keys, flipped = cut._translate(images)
        torch.manual_seed(4)
        values.append(cut._generator_terms(outputs, keys, flipped, images)["nce"])
        seen.append(outputs)
        assert flipped == (toss < 0.5)
    assert values[0] > 0.1
    torch.testing.assert_close(values[0], values[1])
    assert torch.equal(seen[0], seen[1].flip(3))  # the discriminator sees the mirrored translation


def test_mirroring_happens_half_of_the_time_and_only_if_asked() -> None:
    tossing, images = method(flip_equivariance=True), batch(1)
    flips = [tossing._translate(images)[2] for _ in range(20)]
    assert 4 <= sum(flips) <= 16
    assert not any(method()._translate(images)[2] for _ in range(5))
    while not (found := tossing._translate(images))[2]:
        pass
    both = torch.cat(images.views)
    torch.testing.assert_close(found[0], tossing.generator(both.flip(3)))
    torch.testing.assert_close(found[1], tossing.generator.encode(both))  # keys of the images as they are


def test_one_update_moves_the_discriminator_first_and_leaves_it_alone_after() -> None:
    cut, images = method(), batch(1)
    moves = []

    def descend(player: str, loss: Tensor) -> None:
        cut.zero_grad()
        loss.backward()
        moves.append((player, loss.item(), gradients(cut), cut.discriminator.layers[0].weight.requires_grad))
        if player == "discriminator":
            with torch.no_grad():
                cut.discriminator.layers[-1].bias.fill_(0.25)

    cut.descend = descend
    returned = cut.training_step(images, 0)
    (first, loss_d, grad_d, free), (second, loss_g, grad_g, still_free) = moves
    assert (first, second) == ("discriminator", "generator") and free and not still_free
    assert all(name.startswith("discriminator.") for name in grad_d)
    assert not any(name.startswith("discriminator.") for name in grad_g)
    assert all(p.requires_grad for p in cut.parameters())
    fake = cut.discriminator(cut.generator(images.views[0]))
    torch.testing.assert_close(cut.terms["gan"], (fake - 1).square().mean())  # the discriminator that has moved
    assert cut.terms["discriminator"].item() == pytest.approx(loss_d)
    assert sum(float(cut.terms[name]) for name in ("gan", "nce", "identity")) == pytest.approx(loss_g, rel=1e-5)
    assert returned.item() == pytest.approx(loss_g) and not returned.requires_grad
    assert cut.updates == 1


def test_both_players_move_in_lightning_with_the_papers_adam() -> None:
    cut = method()
    cut.total_updates = 4
    before = {name: p.detach().clone() for name, p in cut.named_parameters()}
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(cut, DataLoader([batch(1, seed=seed) for seed in range(4)], batch_size=None))
    assert cut.updates == 4
    assert all(not torch.equal(p, before[name]) for name, p in cut.named_parameters() if p.ndim > 1)
    for optimiser in trainer.optimizers:
        assert isinstance(optimiser, torch.optim.Adam)
        assert all(group["betas"] == (0.5, 0.999) for group in optimiser.param_groups)


def test_the_rate_is_constant_then_falls_to_zero() -> None:
    rates = [CUT.plan.rate(progress, 1) for progress in (0.0, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([2e-4, 2e-4, 1e-4, 0.0])


def test_views_show_one_image_of_each_domain_between_minus_one_and_one() -> None:
    x, y = method().views(64).views
    assert (x.source, y.source) == (0, 1)
    for view in (x, y):
        assert (view.size, view.crop, view.load_size, view.flip) == (64, "load", 72, 0.5)
        assert view.mean == view.std == (0.5, 0.5, 0.5)


def test_translates_whole_images_without_gradient() -> None:
    x = torch.rand(2, 3, 40, 52) * 2 - 1
    cut = method()
    out = cut.translate(x)
    assert out.shape == x.shape and out.abs().max() <= 1 and not out.requires_grad
    assert torch.equal(out, cut.kept(x))
    assert cut.embed(x).shape == (2, 16)
    torch.testing.assert_close(cut.embed(x), cut.generator.encode(x)[-1].mean(dim=(2, 3)))


def test_the_picture_shows_inputs_beside_outputs() -> None:
    cut, images = method(), batch(6)
    (picture,) = cut.picture(images).values()
    assert picture.dtype == torch.uint8 and picture.shape == (3, 4 * SIZE, 4 * SIZE)
    x = images.views[0][1]
    expected = ((x + 1) * 127.5).round().to(torch.uint8)
    assert torch.equal(picture[:, SIZE : 2 * SIZE, :SIZE], expected)
    y_out = ((cut.translate(images.views[1][:1]) + 1) * 127.5).round().to(torch.uint8)[0]
    assert (picture[:, :SIZE, 3 * SIZE :].int() - y_out.int()).abs().max() <= 1  # batches round differently


@pytest.mark.parametrize(
    ("size", "layers", "sentence"),
    [(30, 2, "multiple of 4"), (20, 3, "at least 24 pixels"), (8, 2, "at least 12 pixels")],
)
def test_sizes_that_do_not_fit_are_refused(size: int, layers: int, sentence: str) -> None:
    with pytest.raises(Fault, match=sentence):
        CUT(size=size, generator_width=2, generator_blocks=5, discriminator_width=2, discriminator_layers=layers)
