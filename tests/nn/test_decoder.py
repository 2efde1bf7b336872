import pytest
import torch
from torch import Tensor

from unlabel.nn.decoder import MaskDecoder
from unlabel.nn.masking import ids_from_mask
from unlabel.nn.patches import sincos_table


def decoder(grid: tuple[int, int] = (3, 4), prefix: int = 1) -> MaskDecoder:
    return MaskDecoder(24, 16, depth=2, heads=2, out_dim=6, grid=grid, prefix=prefix).double().eval()


def visible(mask: Tensor, prefix: int = 1) -> tuple[Tensor, Tensor]:
    ids_keep, ids_restore = ids_from_mask(mask)
    return torch.randn(len(mask), prefix + ids_keep.shape[1], 24, dtype=torch.float64), ids_restore


def random_mask(b: int = 2, n: int = 12, masked: int = 9) -> Tensor:
    return torch.rand(b, n).argsort(dim=1) < masked


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize("grid", [(3, 4), (4, 3), (2, 6)])
def test_every_patch_gets_a_prediction(prefix: int, grid: tuple[int, int]) -> None:
    assert decoder(grid, prefix)(*visible(random_mask(), prefix)).shape == (2, 12, 6)


def test_with_all_patches_visible_it_is_a_plain_transformer() -> None:
    g = decoder()
    h, ids_restore = visible(torch.zeros(2, 12, dtype=torch.bool))
    t = g.embed(h) + sincos_table(16, (3, 4), 1).double()
    for block in g.blocks:
        t = block(t)
    torch.testing.assert_close(g(h, ids_restore), g.predict(g.norm(t))[:, 1:], rtol=1e-12, atol=1e-12)


def test_masked_patches_are_told_apart_by_their_positions_alone() -> None:
    g = decoder()
    mask = random_mask(1)
    h, ids_restore = visible(mask)
    i, j = mask[0].nonzero().flatten()[:2].tolist()
    before = g(h, ids_restore)
    assert (before[0, i] - before[0, j]).abs().max() > 1e-3
    g.positions[[1 + i, 1 + j]] = g.positions[[1 + j, 1 + i]]
    after = g(h, ids_restore)
    torch.testing.assert_close(after[0, i], before[0, j])
    torch.testing.assert_close(after[0, j], before[0, i])


def test_visible_tokens_are_put_where_they_came_from() -> None:
    """With no blocks a prediction depends on its own token only."""
    g = MaskDecoder(24, 16, depth=0, heads=2, out_dim=6, grid=(3, 4), prefix=1).double()
    mask = random_mask(1)
    h, ids_restore = visible(mask)
    h.requires_grad_()
    places = (~mask[0]).nonzero().flatten()
    for k, place in enumerate(places.tolist()):
        (gradient,) = torch.autograd.grad(g(h, ids_restore)[0, place].sum(), h)
        assert gradient[0].abs().sum(dim=-1).nonzero().flatten().tolist() == [1 + k]


def test_the_mask_token_learns_and_the_positions_do_not() -> None:
    g = decoder()
    g(*visible(random_mask())).square().sum().backward()
    assert g.mask_token.grad.abs().sum() > 0
    assert "positions" not in dict(g.named_parameters())


def test_predictions_look_at_all_visible_tokens_and_the_class_token() -> None:
    g = decoder()
    h, ids_restore = visible(random_mask())
    h.requires_grad_()
    g(h, ids_restore).square().sum().backward()
    assert (h.grad.abs().sum(dim=-1) > 0).all()
