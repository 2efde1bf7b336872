import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unlabel.engine.options import chosen_views
from unlabel.errors import Fault
from unlabel.losses import local_nce
from unlabel.methods.amdim import AMDIM
from unlabel.nn.unpadded import Block, LocalHead
from unlabel.views import RECORD, Batch, sample_all


def method(**options) -> AMDIM:
    """Narrow, with residual branches that do not start at zero."""
    amdim = AMDIM(size=32, **{"encoder_width": 4, "encoder_depth": 1, "embedding_dim": 16} | options).double()
    for part in amdim.modules():
        if isinstance(part, Block | LocalHead):
            nn.init.normal_(part.conv2.weight, std=0.2)
    return amdim


def batch(b: int = 4) -> Batch:
    views = [torch.randn(b, 3, 32, 32, dtype=torch.float64) for _ in range(2)]
    records = [np.zeros(b, RECORD) for _ in range(2)]
    for record in records:
        record["seed"] = np.random.default_rng(len(views)).integers(0, 2**63, b, dtype=np.uint64)
    records[1]["seed"] += np.uint64(7)
    return Batch(views=views, index=torch.arange(b), records=records)


def total(amdim: AMDIM, given: Batch) -> Tensor:
    return torch.stack(list(amdim.loss(given).values())).sum()


def slow(source: Tensor, target: Tensor, c: float) -> tuple[float, float]:
    """One search [B, d] -> [B, L, d] in Python numbers: its loss and the mean squared score."""
    b, places, d = target.shape
    s = [[[float(source[i] @ target[j, k]) / math.sqrt(d) for k in range(places)] for j in range(b)] for i in range(b)]
    losses = []
    for i in range(b):
        r = [[c * math.tanh(x / c) for x in row] for row in s[i]]
        others = sum(math.exp(x) for j in range(b) if j != i for x in r[j])
        losses += [-x + math.log(math.exp(x) + others) for x in r[i]]
    squares = [x * x for rows in s for row in rows for x in row]
    return sum(losses) / len(losses), sum(squares) / len(squares)


def test_the_terms_are_the_papers() -> None:
    amdim, given = method(score_clip=3.0, score_penalty=0.1), batch()
    found = []
    for x, record in zip(given.views, given.records, strict=True):
        r1, h5, h7 = amdim.encoder.scales(x)
        r5, r7 = amdim.heads["five"](h5).detach(), amdim.heads["seven"](h7).detach()
        u5 = torch.stack([r5[i, int(record["seed"][i]) % 25] for i in range(4)])
        found.append((r1.detach(), u5, r5, r7))
    expected, squares = {"one_to_five": 0.0, "one_to_seven": 0.0, "five_to_five": 0.0}, 0.0
    for (r1, u5, _, _), (_, _, r5, r7) in (found, found[::-1]):
        for term, source, target in (("one_to_five", r1, r5), ("one_to_seven", r1, r7), ("five_to_five", u5, r5)):
            nce, square = slow(source, target, 3.0)
            expected[term] += nce / 2
            squares += square / 2
    terms = amdim.loss(given)
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(
        expected | {"penalty": 0.1 * squares}, rel=1e-10
    )


def test_features_of_zero_cost_what_guessing_costs() -> None:
    amdim, given = method(), batch()
    for norm in (amdim.encoder.to_one[-1], *(head.norm for head in amdim.heads.values())):
        nn.init.zeros_(norm.weight)
    terms = amdim.loss(given)
    assert terms["one_to_five"].item() == pytest.approx(math.log(1 + 3 * 25), rel=1e-12)
    assert terms["one_to_five"].item() == pytest.approx(4.330733, abs=5e-7)
    assert terms["five_to_five"].item() == pytest.approx(math.log(1 + 3 * 25), rel=1e-12)
    assert terms["one_to_seven"].item() == pytest.approx(math.log(1 + 3 * 49), rel=1e-12)
    assert terms["penalty"].item() == 0


def test_views_may_be_swapped() -> None:
    amdim, given = method(), batch()
    swapped = Batch(views=given.views[::-1], index=given.index, records=given.records[::-1])
    assert total(amdim, given).item() == pytest.approx(total(amdim, swapped).item(), rel=1e-12)


def test_the_loss_of_a_batch_is_always_the_same() -> None:
    amdim, given = method(), batch()
    first = total(amdim, given)
    torch.manual_seed(9)
    assert torch.equal(total(amdim, given), first)


def test_the_place_of_the_local_source_differs_between_images_and_reaches_all() -> None:
    amdim = method().eval()
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64).expand(100, -1, -1, -1)
    record = np.zeros(100, RECORD)
    record["seed"] = np.arange(100) * 7919
    _, u5, r5, _ = amdim._scales(x, record)
    rows = {int((r5[i] - u5[i]).abs().sum(dim=1).argmin()) for i in range(100)}
    assert rows == set(range(25))


def test_targets_of_all_ranks_are_searched_and_sources_are_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As rank 1 of two, whose images are the last two of four."""
    import unlabel.methods.amdim as module

    amdim, given = method().eval(), batch()
    whole = [amdim._scales(x, record) for x, record in zip(given.views, given.records, strict=True)]
    gathered = iter([whole[1][2], whole[1][3], whole[0][2], whole[0][3]])
    monkeypatch.setattr(module, "world", lambda: 2)
    monkeypatch.setattr(module, "mine", lambda rows: rows[2:])
    monkeypatch.setattr(module, "gather", lambda rows: next(gathered))
    found = amdim.loss(given.rows(slice(2, 4)))
    own = torch.tensor([2, 3])
    for term, source, target in (("one_to_five", 0, 2), ("one_to_seven", 0, 3), ("five_to_five", 1, 2)):
        both = [local_nce(whole[k][source][2:], whole[1 - k][target], own)[0] for k in (0, 1)]
        assert found[term].item() == pytest.approx(sum(both).item() / 2, rel=1e-12)


def test_the_kept_network_makes_the_vector_that_looks_for_its_image() -> None:
    amdim, x = method().eval(), batch().views[0]
    assert amdim.kept is amdim.encoder and amdim.embed(x).shape == (4, 16)
    assert torch.equal(amdim.embed(x), amdim._scales(x, np.zeros(4, RECORD))[0])


def test_both_views_are_flipped_alike() -> None:
    for size in (32, 64):
        records, _ = sample_all(
            method().views(size), seed=0, epoch=0, indices=[np.arange(64)], sizes=[np.full((64, 2), 80)]
        )
        assert (records[0]["flip"] == records[1]["flip"]).all() and 0 < records[0]["flip"].sum() < 64
        assert (records[0]["top"] != records[1]["top"]).any()
    recipe = chosen_views("amdim", 32, AMDIM)
    assert recipe == method().views(32)


def test_the_papers_networks() -> None:
    amdim = AMDIM(size=64)
    assert amdim.encoder.local_width == 1024 and amdim.encoder.num_features == 1024
    assert amdim.heads["seven"].conv1.weight.shape == (1024, 1024, 1, 1)
    assert AMDIM(size=32).encoder.local_width == 512


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Fault, match="32, 64 or 128"):
        AMDIM(size=96)
