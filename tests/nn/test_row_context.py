import pytest
import torch

from unlabel.nn.row_context import RowContext


def context(blocks: int = 3) -> RowContext:
    return RowContext(6, width=8, blocks=blocks).double()


def test_shape_and_layers() -> None:
    network = context()
    assert network(torch.randn(2, 5, 4, 6, dtype=torch.float64)).shape == (2, 5, 4, 6)
    kernels = [layer.kernel_size for layer in network.blocks[0] if isinstance(layer, torch.nn.Conv2d)]
    assert kernels == [(1, 1), (1, 3), (2, 1), (1, 1)]
    assert len(RowContext(6).blocks) == 5 and RowContext(6).blocks[0][0].out_channels == 256


@pytest.mark.parametrize("row", range(5))
def test_no_row_sees_below_itself(row: int) -> None:
    network, z = context(), torch.randn(1, 5, 4, 6, dtype=torch.float64)
    changed = z.clone()
    changed[:, row] += torch.randn(4, 6, dtype=torch.float64)
    before, after = network(z), network(changed)
    assert torch.equal(after[:, :row], before[:, :row])
    assert (after[:, row:] != before[:, row:]).any()


def test_rows_above_and_columns_to_both_sides_are_seen() -> None:
    network, z = context(), torch.randn(1, 5, 4, 6, dtype=torch.float64, requires_grad=True)
    network(z)[0, 3, 1].sum().backward()
    seen = z.grad[0].abs().sum(dim=-1) > 0
    assert seen[3].all() and seen[1, 0] and seen[1, 2]
    assert not seen[4].any()


def test_the_first_row_is_a_row_by_itself() -> None:
    """The padding on top is of zeros: nothing but row 0 reaches the first context."""
    network, z = context(), torch.randn(1, 5, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(network(z)[:, :1], network(z[:, :1]), rtol=1e-12, atol=1e-14)
