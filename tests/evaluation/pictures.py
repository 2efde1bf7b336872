"""A small collection whose facts are known: a bright bar at an angle, on one of three sides, of one of C colours."""

import numpy as np
import torch
from torch import Tensor

from unlabel.data.source import Source, digest


class Bars(Source):
    """n pictures [3, 16, 16]; class = colour. Positions in `broken` cannot be read."""

    def __init__(self, n: int, *, classes: int = 3, seed: int = 0, labelled: bool = True, broken: tuple[int, ...] = ()):
        draw = np.random.default_rng(seed)
        labels = np.arange(n) % classes
        factors = {
            "colour": labels.copy(),
            "brightness": draw.uniform(0.3, 1.0, n),
            "angle": draw.uniform(0, 2 * np.pi, n),
            "noise": draw.normal(size=n),  # leaves no trace in the picture
        }
        known = labels.astype(np.int64) if labelled else np.full(n, -1, dtype=np.int64)
        names = [f"colour {c}" for c in range(classes)] if labelled else None
        super().__init__("bars", known, names, factors if labelled else None)
        self.facts, self.broken, self.read = factors, broken, 0

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, i: int) -> Tensor:
        if i in self.broken:
            raise self.refuse(i, "no such picture")
        self.read += 1
        colour, brightness, angle = (self.facts[name][i] for name in ("colour", "brightness", "angle"))
        side = torch.linspace(-1, 1, 16)
        across = side[None, :] * np.cos(angle) + side[:, None] * np.sin(angle)
        bar = torch.exp(-8 * (across - 0.4) ** 2) * brightness
        tint = torch.tensor([np.cos(2.1 * colour), np.sin(2.1 * colour), 0.3]).float() * 0.4 + 0.5
        return (255 * bar[None] * tint[:, None, None]).clamp(0, 255).to(torch.uint8)

    def path(self, i: int) -> str:
        return f"bar {i}"

    def fingerprint(self) -> str:
        return digest(["bars", str(len(self))])
