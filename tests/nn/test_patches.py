import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unlabel.nn.patches import denormalise, normalise, patchify, sincos_table, unpatchify


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4))
def test_cutting_and_putting_together_is_the_identity(p: int, rows: int, columns: int, channels: int) -> None:
    x = torch.randn(2, channels, rows * p, columns * p)
    t = patchify(x, p)
    assert t.shape == (2, rows * columns, p * p * channels)
    assert torch.equal(unpatchify(t, p, (rows, columns)), x)
    assert torch.equal(patchify(unpatchify(t, p, (rows, columns)), p), t)


def test_patch_k_covers_its_rows_and_columns() -> None:
    x = torch.randn(1, 3, 8, 12)
    t = patchify(x, 4)  # 2 x 3 patches
    for k in range(6):
        top, left = k // 3 * 4, k % 3 * 4
        block = x[0, :, top : top + 4, left : left + 4]
        assert torch.equal(t[0, k], block.permute(1, 2, 0).flatten())


def test_the_channel_is_the_fastest_index() -> None:
    x = torch.arange(3.0).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert torch.equal(patchify(x, 2)[0, 0], torch.arange(3.0).repeat(4))


def test_sides_that_the_patch_does_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="30 x 32 pixels cannot be cut"):
        patchify(torch.zeros(1, 3, 30, 32), 4)


def test_patchify_agrees_with_lightly() -> None:
    other = pytest.importorskip("lightly.models.utils")
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(patchify(x, 4), other.patchify(x, 4))


def test_normalised_patches_have_no_mean_and_unit_variance() -> None:
    t = 3 + 5 * torch.randn(4, 6, 48, dtype=torch.float64)
    y = normalise(t)
    torch.testing.assert_close(y.mean(-1), torch.zeros(4, 6, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(y.var(-1), torch.ones(4, 6, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(denormalise(y, like=t), t, rtol=1e-12, atol=1e-12)


def test_a_flat_patch_normalises_to_zeros() -> None:
    assert torch.equal(normalise(torch.full((1, 1, 12), 0.25)), torch.zeros(1, 1, 12))


def test_positions_follow_the_formula() -> None:
    dim, rows, columns, prefix = 8, 2, 3, 2
    table = sincos_table(dim, (rows, columns), prefix)
    assert table.shape == (prefix + 6, dim) and table.dtype == torch.float32
    assert torch.equal(table[:prefix], torch.zeros(prefix, dim))
    for y in range(rows):
        for x in range(columns):
            omega = [10000 ** (-k / 2) for k in range(2)]
            expected = [f(v * w) for v in (x, y) for f in (math.sin, math.cos) for w in omega]
            torch.testing.assert_close(table[prefix + y * columns + x], torch.tensor(expected))


def test_positions_differ_everywhere() -> None:
    table = sincos_table(64, (14, 14))
    assert (torch.cdist(table, table) + 10 * torch.eye(196)).min() > 0.1


def test_positions_agree_with_lightly() -> None:
    other = pytest.importorskip("lightly.models.utils")
    expected = other.get_2d_sine_cosine_positional_embedding(embed_dim=32, grid_size=7, cls_token=True)
    torch.testing.assert_close(sincos_table(32, (7, 7), 1), torch.as_tensor(expected).float(), rtol=0, atol=1e-6)


def test_a_width_that_four_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="4 divides, not 6"):
        sincos_table(6, (2, 2))
