import pytest
import torch
from torch import nn

from unlabel.errors import Fault
from unlabel.nn.unpadded import SIZES, Block, LocalHead, UnpaddedEncoder


def encoder(size: int = 32, depth: int = 2) -> UnpaddedEncoder:
    """Narrow, and with residual branches that do not start at zero."""
    net = UnpaddedEncoder(size, width=4, dim=40, depth=depth).eval()
    for part in net.modules():
        if isinstance(part, Block):
            nn.init.normal_(part.conv2.weight, std=0.2)
    return net


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("depth", [1, 3])
def test_maps_have_one_five_and_seven_places(size: int, depth: int) -> None:
    net = encoder(size, depth)
    top, five, seven = net.scales(torch.randn(2, 3, size, size))
    wide = 16 if size == 32 else 32
    assert net.local_width == wide and net.num_features == 40
    assert (top.shape, five.shape, seven.shape) == ((2, 40), (2, wide, 5, 5), (2, wide, 7, 7))


def test_the_vector_is_what_the_network_says() -> None:
    net, x = encoder(), torch.randn(2, 3, 32, 32)
    assert torch.equal(net(x), net.scales(x)[0])


def test_there_is_no_zero_padding_and_one_batch_norm_behind_the_vector() -> None:
    for size in SIZES:
        for part in encoder(size).modules():
            if isinstance(part, nn.Conv2d) and part.padding != (0, 0):
                assert size == 128 and part.padding_mode == "reflect" and part.in_channels == 3
        norms = [name for name, part in encoder(size).named_modules() if isinstance(part, nn.BatchNorm2d)]
        assert len(norms) == 1 and norms[0].startswith("to_one")


@pytest.mark.parametrize(("size", "extents"), [(32, [8, 16]), (64, [16, 32])])
def test_a_local_feature_sees_a_quarter_or_a_half_of_the_image(size: int, extents: list[int]) -> None:
    net = encoder(size)
    x = torch.randn(1, 3, size, size, requires_grad=True)
    _, five, seven = net.scales(x)
    found = []
    for features in (seven, five):
        x.grad = None
        features[0, :, 2, 3].sum().backward(retain_graph=True)
        seen = x.grad[0].abs().sum(dim=0) > 0
        rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
        found.append(int(rows.max() - rows.min()) + 1)
        assert int(columns.max() - columns.min()) + 1 == found[-1]
    assert found == extents


def test_a_block_starts_as_its_shortcut() -> None:
    block, x = Block(3, 5, 4, 2), torch.randn(2, 3, 10, 10)
    y = block(x)
    assert y.shape == (2, 5, 4, 4)
    torch.testing.assert_close(y[:, :3], nn.functional.avg_pool2d(x, 4, 2))
    assert not y[:, 3:].any()
    nn.init.ones_(block.conv2.weight)
    expected = torch.relu(block.conv1(x)).sum(dim=1)
    torch.testing.assert_close(block(x)[:, 4], expected, rtol=1e-4, atol=1e-5)


def test_a_local_head_starts_near_the_identity() -> None:
    head, h = LocalHead(3, 5), torch.randn(4, 3, 5, 5)
    said = head.shortcut(h) - head.shortcut.bias[:, None, None]
    assert (said[:, :3] - h).abs().max() < 0.03 * 3 * h.abs().max() and said[:, 3:].abs().max() < 0.2
    y = head(h)
    assert y.shape == (4, 25, 5)
    torch.testing.assert_close(y, head.norm(head.shortcut(h)).flatten(2).mT, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(y.flatten(0, 1).var(dim=0, correction=0)[:3], torch.ones(3), rtol=1e-3, atol=0)


@pytest.mark.parametrize("size", [28, 48, 96, 224])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(Fault, match="32, 64 or 128 pixels"):
        UnpaddedEncoder(size)


def test_a_vector_narrower_than_the_maps_is_refused() -> None:
    with pytest.raises(Fault, match="64 channels"):
        UnpaddedEncoder(32, width=16, dim=63)
