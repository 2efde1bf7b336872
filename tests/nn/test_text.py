"""The text transformer looks back only, and is read where the text ends."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from unlabel.nn.text import END, PAD, START, Block, TextTransformer, quick_gelu

TEXT = [START, 7, 9, 8, END, PAD, PAD, PAD]


def tower(depth: int = 2) -> TextTransformer:
    return TextTransformer(vocabulary=20, context=10, width=16, depth=depth, heads=4, outputs=6).double().eval()


def vector(network: TextTransformer, ids: list[int]) -> Tensor:
    with torch.no_grad():
        return network(torch.tensor([ids]))[0]


def test_one_vector_for_each_text_whatever_stands_beside_it() -> None:
    network = tower()
    other = [START, 3, END, *[PAD] * 5]
    together = network(torch.tensor([TEXT, other]))
    assert together.shape == (2, 6)
    torch.testing.assert_close(together[0], vector(network, TEXT), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("behind", [[5, 6, 4], [END, END, END], [START, 3, END], []])
def test_what_stands_behind_the_end_changes_nothing(behind: list[int]) -> None:
    network = tower()
    torch.testing.assert_close(vector(network, TEXT[:5] + behind), vector(network, TEXT), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_what_stands_before_the_end_changes_it(position: int) -> None:
    network = tower()
    changed = [*TEXT]
    changed[position] = 5
    assert (vector(network, changed) - vector(network, TEXT)).abs().max() > 1e-6


def test_the_order_of_words_counts() -> None:
    network = tower()
    swapped = [START, 9, 7, 8, END, PAD, PAD, PAD]
    assert (vector(network, swapped) - vector(network, TEXT)).abs().max() > 1e-6


def test_no_position_sees_a_later_one() -> None:
    network = tower()
    embedded: list[Tensor] = []
    network.tokens.register_forward_hook(lambda module, inputs, output: embedded.append(output) or output)
    states = network.states(torch.tensor([TEXT]))
    for i in range(len(TEXT)):
        (gradient,) = torch.autograd.grad(states[0, i].sum(), embedded[0], retain_graph=True)
        moved = gradient[0].abs().sum(dim=1)
        assert (moved[i + 1 :] == 0).all() and (moved[: i + 1] > 0).all()


def test_a_block_is_attention_written_out() -> None:
    block, x = Block(8, 2, 0.3).double(), torch.randn(3, 5, 8, dtype=torch.float64)
    q, k, v = block.qkv(block.norm1(x)).split(8, dim=2)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        s = q[..., part] @ k[..., part].transpose(1, 2) / 2  # root of 4
        s = s.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), -torch.inf)
        heads.append(s.softmax(dim=2) @ v[..., part])
    y = x + block.out(torch.cat(heads, dim=2))
    expected = y + block.narrow(quick_gelu(block.wide(block.norm2(y))))
    torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-12)


def test_quick_gelu_is_nearly_gelu() -> None:
    x = torch.linspace(-4, 4, 81, dtype=torch.float64)
    assert torch.equal(quick_gelu(x), x * torch.sigmoid(1.702 * x))
    assert (quick_gelu(x) - F.gelu(x)).abs().max() < 0.021


def test_the_start_is_the_authors() -> None:
    network = TextTransformer(vocabulary=4000, context=300, width=64, depth=4, heads=4, outputs=500)
    block = network.blocks[0]
    for weight, std in (
        (network.tokens.weight, 0.02),
        (network.positions, 0.01),
        (network.projection.weight, 64**-0.5),
        (block.qkv.weight, 64**-0.5),
        (block.out.weight, 64**-0.5 * 8**-0.5),
        (block.wide.weight, 128**-0.5),
        (block.narrow.weight, 64**-0.5 * 8**-0.5),
    ):
        assert weight.std().item() == pytest.approx(std, rel=0.05) and abs(weight.mean().item()) < 0.1 * std
    assert network.projection.bias is None
