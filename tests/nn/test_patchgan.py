import pytest
import torch
from torch import nn

from unlabel.errors import Fault
from unlabel.nn.patchgan import PatchDiscriminator


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_has_as_many_parameters_as_the_authors_network() -> None:
    with torch.device("meta"):
        assert count(PatchDiscriminator()) == 2_764_737
        assert count(PatchDiscriminator(width=32, layers=3)) == 694_241
        assert count(PatchDiscriminator(width=32, layers=2)) == 167_649


def test_256_pixels_make_30_by_30_logits() -> None:
    with torch.device("meta"):
        assert PatchDiscriminator()(torch.empty(2, 3, 256, 256)).shape == (2, 1, 30, 30)


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_knows_the_side_of_its_logits(layers: int) -> None:
    discriminator = PatchDiscriminator(width=1, layers=layers)
    least = 3 * 2**layers
    assert discriminator.logit_side(least - 1) < 1
    for size in (least, least + 1, 2 * least + 3, 64):
        assert discriminator(torch.randn(1, 3, size, size)).shape[2:] == (discriminator.logit_side(size),) * 2


def test_a_logit_sees_a_patch_of_84_pixels() -> None:
    discriminator = PatchDiscriminator(width=2)
    for name, module in discriminator.layers.named_children():
        if isinstance(module, nn.InstanceNorm2d):  # which lets every pixel see every other, a little
            discriminator.layers[int(name)] = nn.Identity()
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
    x = torch.ones(1, 3, 160, 160, requires_grad=True)
    discriminator(x)[0, 0, 9, 9].backward()
    seen = (x.grad[0].sum(dim=0) != 0).nonzero()
    assert (seen.amax(dim=0) - seen.amin(dim=0) + 1).tolist() == [84, 84]


def test_judges_each_image_by_itself() -> None:
    discriminator, x = PatchDiscriminator(width=4, layers=2), torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(discriminator(x)[:1], discriminator(x[:1]), rtol=1e-4, atol=1e-6)


def test_logits_are_not_squashed() -> None:
    discriminator, x = PatchDiscriminator(width=4, layers=2), torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        discriminator.layers[-1].bias.fill_(7.0)
    assert discriminator(x).min() > 1


def test_needs_a_layer() -> None:
    with pytest.raises(Fault, match="at least one layer"):
        PatchDiscriminator(layers=0)
