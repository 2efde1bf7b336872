from functools import partial

import numpy as np
import torch

from tests.evaluation.pictures import Bars
from unlabel.evaluation.controls import pixels, random_weights, settle
from unlabel.evaluation.features import extract
from unlabel.nn.backbones import build, resolve
from unlabel.views import evaluation

VIEW = evaluation(16)


def test_random_weights_are_fixed_by_the_seed_and_draw_from_nobody():
    make = partial(build, resolve("tiny_resnet", 16))
    before = torch.get_rng_state()
    one, same, other = random_weights(make, 0), random_weights(make, 0), random_weights(make, 1)
    assert torch.equal(before, torch.get_rng_state()) and not one.training
    weights = [next(iter(net.parameters())) for net in (one, same, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_settling_moves_statistics_and_nothing_else():
    net = random_weights(partial(build, resolve("tiny_resnet", 16)))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    momenta = [m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    settle(net, Bars(40), VIEW, indices=np.arange(40))
    changed = {
        name.rpartition(".")[2] for name, value in net.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed <= {"running_mean", "running_var", "num_batches_tracked"} and "running_mean" in changed
    assert not any(part.training for part in net.modules())
    assert [m.momentum for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)] == momenta


def test_settled_statistics_are_those_of_the_images():
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Flatten())
    source = Bars(40)
    settle(net, source, VIEW, indices=np.arange(40))
    images = extract(lambda x: x.flatten(1), source, VIEW).vectors.view(40, 3, 16, 16)
    torch.testing.assert_close(net[0].running_mean, images.mean((0, 2, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(net[0].running_var, images.var((0, 2, 3)), atol=1e-4, rtol=1e-4)


def test_a_lone_image_or_a_network_without_norms_is_no_trouble():
    settle(random_weights(partial(build, resolve("tiny_resnet", 16))), Bars(1), VIEW, indices=np.arange(1))
    settle(torch.nn.Flatten(), Bars(4), VIEW, indices=np.arange(4))


def test_pixels():
    x = torch.randn(2, 3, 16, 16)
    flat = pixels(x)
    assert flat.shape == (2, 768)
    torch.testing.assert_close(flat, x.flatten(1) - x.mean((1, 2, 3))[:, None])
    torch.testing.assert_close(pixels(x + 3), flat, atol=1e-5, rtol=0)  # brightness is gone
    large = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(pixels(large), pixels(large.view(2, 3, 32, 2, 32, 2).mean((3, 5))), atol=1e-5, rtol=0)
    assert pixels(torch.randn(1, 3, 50, 50)).shape == (1, 3072)
