import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.nn.generator import LEAST, TAPS, BlurDown, BlurUp, Generator, PatchHeads


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small() -> Generator:
    return Generator(width=4, blocks=5)


def images(*shape: int) -> Tensor:
    return torch.rand(*shape) * 2 - 1


def test_has_as_many_parameters_as_the_authors_networks() -> None:
    with torch.device("meta"):
        generator = Generator()
        assert count(generator) == 11_378_179
        assert count(PatchHeads(generator.widths)) == 560_384
        assert count(Generator(width=24, blocks=6)) == 1_107_459


def test_the_taps_have_the_papers_shapes() -> None:
    with torch.device("meta"):
        features = Generator().encode(torch.empty(2, 3, 256, 256))
    assert [tuple(f.shape[1:]) for f in features] == [
        (3, 262, 262),
        (128, 256, 256),
        (256, 128, 128),
        (256, 64, 64),
        (256, 64, 64),
    ]


def test_the_taps_are_layers_of_the_network() -> None:
    generator, x = small(), images(1, 3, 16, 20)
    expected, y = [], x
    for number, layer in enumerate(generator.layers):
        y = layer(y)
        if number in TAPS:
            expected.append(y.clone())
    out, features = generator.trace(x)
    torch.testing.assert_close(generator(x), y, rtol=0, atol=0)
    torch.testing.assert_close(out, y, rtol=0, atol=0)
    for found in (features, generator.encode(x)):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)  # nothing overwrote them in place
    assert generator.widths == tuple(f.shape[1] for f in features)
    assert torch.equal(features[0], F.pad(x, (3, 3, 3, 3), mode="reflect"))


@pytest.mark.parametrize("sides", [(16, 16), (20, 44), (LEAST, 12)])
def test_translates_any_sides_that_are_multiples_of_four(sides: tuple[int, int]) -> None:
    out = small()(images(2, 3, *sides))
    assert out.shape == (2, 3, *sides) and out.abs().max() <= 1


@pytest.mark.parametrize("sides", [(LEAST, LEAST - 4), (LEAST - 4, 64)])
def test_smaller_sides_have_no_border_to_reflect(sides: tuple[int, int]) -> None:
    with pytest.raises(RuntimeError, match="Padding size"):
        small()(images(1, 3, *sides))


@pytest.mark.parametrize("sides", [(18, 16), (16, 21)])
def test_refuses_other_sides(sides: tuple[int, int]) -> None:
    with pytest.raises(Fault, match="multiples of 4"):
        small()(images(1, 3, *sides))


def test_needs_the_blocks_that_are_tapped() -> None:
    with pytest.raises(Fault, match="at least 5 residual blocks, not 4"):
        Generator(width=4, blocks=4)


def test_an_image_does_not_see_its_batch_and_training_changes_no_buffer() -> None:
    generator, x = small(), images(3, 3, 16, 16)
    torch.testing.assert_close(generator(x)[:1], generator(x[:1]), rtol=1e-4, atol=1e-6)
    assert torch.equal(generator(x), generator.eval()(x))
    assert set(generator.state_dict()) == {name for name, _ in generator.named_parameters()}


def test_starts_small() -> None:
    weight = Generator(width=16, blocks=5).layers[8].weight  # [64, 32, 3, 3]
    expected = 0.02 * math.sqrt(2 / (9 * 32 + 9 * 64))
    assert weight.std().item() == pytest.approx(expected, rel=0.03)
    assert all(p.abs().sum() == 0 for n, p in Generator(width=4, blocks=5).named_parameters() if n.endswith("bias"))


@pytest.mark.parametrize("sides", [(8, 8), (9, 12), (31, 31)])
def test_blur_down_is_a_binomial_filter_at_every_second_pixel(sides: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *sides)
    out = BlurDown()(x)
    assert out.shape[2:] == tuple(math.ceil(side / 2) for side in sides)
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    weights = (0.25, 0.5, 0.25)
    for row, column in ((0, 0), (1, 2), (out.shape[2] - 1, out.shape[3] - 1)):
        window = padded[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        expected = sum(weights[i] * weights[j] * window[:, :, i, j] for i in range(3) for j in range(3))
        torch.testing.assert_close(out[:, :, row, column], expected)


def test_blur_up_is_a_transposed_convolution_with_1331() -> None:
    x = torch.randn(2, 3, 5, 6)
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    kernel = torch.outer(line, line).expand(3, 1, 4, 4)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    full = F.conv_transpose2d(padded, kernel, stride=2, groups=3)  # [2, 3, 16, 18]
    torch.testing.assert_close(BlurUp()(x), full[:, :, 3:-3, 3:-3])


def test_heads_give_unit_vectors_of_the_chosen_places() -> None:
    heads = PatchHeads((3, 5), dim=8)
    features = [torch.randn(2, 3, 4, 6), torch.randn(2, 5, 2, 2)]
    positions = [torch.tensor([0, 23, 7]), torch.tensor([3])]
    vectors = heads(features, positions)
    assert [tuple(v.shape) for v in vectors] == [(2, 3, 8), (2, 1, 8)]
    v = heads.heads[0](features[0][1, :, 1, 1])  # place 7 of 6 columns is row 1, column 1
    torch.testing.assert_close(vectors[0][1, 2], v / (v.norm() + 1e-7))
    for v in vectors:
        torch.testing.assert_close(v.norm(dim=2), torch.ones(v.shape[:2]), rtol=0, atol=1e-2)


def test_heads_measure_length_in_single_precision() -> None:
    heads = PatchHeads((3,), dim=8).bfloat16()
    (v,) = heads([torch.randn(1, 3, 4, 4).bfloat16()], [torch.arange(16)])
    assert v.dtype == torch.float32
