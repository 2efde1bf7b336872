"""Corruptions that move pixels: frosted glass, a zooming camera, an elastic sheet. See `corruptions`."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.fft import dctn, idctn
from scipy.ndimage import affine_transform, map_coordinates
from torch import Tensor

from unlabel.evaluation.filters import Draws, gaussian_blur, zoomed
from unlabel.views.shuffling import shuffle


def glass_blur(x: Tensor, setting: tuple[float, float, float], draws: Draws) -> Tensor:
    """Blurred; then each pixel, from the last to the first, takes the place of a near one; blurred again."""
    sigma, reach, times = setting[0], int(setting[1]), int(setting[2])
    x = gaussian_blur(x, sigma)
    height, width = x.shape[2:]
    moved = []
    for picture, draw in zip(x, draws, strict=True):
        where = np.arange(height * width).reshape(height, width)
        for _ in range(times):
            by = np.floor(2 * reach * draw.random((height, width, 2), np.float32)).astype(np.int64) - reach
            shuffle(where, by, reach)
        moved.append(picture.flatten(1)[:, torch.from_numpy(where.reshape(-1))].view_as(picture))
    return gaussian_blur(torch.stack(moved), sigma) if moved else x


def zoom_blur(x: Tensor, setting: tuple[float, float], draws: Draws) -> Tensor:
    """The mean of the picture and its enlargements; draws nothing."""
    factors = np.arange(1, *setting).tolist()
    return sum((zoomed(x, factor) for factor in factors), x) / (len(factors) + 1)


def elastic(x: Tensor, setting: tuple[float, float, float], draws: Draws) -> Tensor:
    """A random affine map, then every pixel from a place nearby, places being moved smoothly."""
    side = min(x.shape[2:])
    far, smooth, affine = (part * side for part in setting)
    warped = [_elastic(picture.numpy(), far, smooth, affine, draw) for picture, draw in zip(x, draws, strict=True)]
    return torch.from_numpy(np.stack(warped)) if warped else x


def _elastic(x: np.ndarray, far: float, smooth: float, affine: float, draw: np.random.Generator) -> np.ndarray:
    height, width = x.shape[1:]
    matrix, offset = _affine(height, width, affine * draw.uniform(-1, 1, (3, 2)))
    moves = [draw.uniform(-1, 1, (height, width)) for _ in range(2)]
    place = [
        at + far * smoothed(move, smooth)
        for at, move in zip(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), moves, strict=True)
    ]
    flat = [affine_transform(plane, matrix, offset, order=1, mode="mirror") for plane in x]
    return np.stack([map_coordinates(plane, place, order=1, mode="reflect") for plane in flat])


def _affine(height: int, width: int, moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset that say, for a place of the new picture, where it was: three corners are moved by `moves`."""
    middle, half = np.array([height // 2, width // 2], float), min(height, width) // 3
    corners = middle + half * np.array([[1, 1], [-1, 1], [-1, -1]])
    new = np.concatenate((corners + moves, np.ones((3, 1))), axis=1)
    solved = np.linalg.solve(new, corners)  # [3, 2]
    return solved[:2].T, solved[2]


def smoothed(field: Float[np.ndarray, "h w"], sigma: float) -> Float[np.ndarray, "h w"]:
    """A Gaussian of three standard deviations, the field mirrored at its edges as often as that takes.

    On such a field a symmetric kernel w multiplies the cosine transform, at frequency k of n by sum_j w_j cos(pi k j /
    n): the same numbers as by summing, in a time that does not grow with sigma.
    """
    reach = int(3 * sigma + 0.5)
    if reach == 0:
        return field
    at = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * (at / sigma) ** 2)
    weight /= weight.sum()
    down, across = (np.cos(np.pi * np.outer(np.arange(n), at) / n) @ weight for n in field.shape)
    return idctn(dctn(field) * down[:, None] * across)
