"""What prototypes stand for: the images that are most likely theirs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

MOST, IMAGES = 12, 8
_ROWS = 256  # representations that are assigned at once: of many prototypes a row is long


@dataclass(frozen=True)
class Prototype:
    """One of them: its number, the share of images it is the likeliest one of, the images most likely its own
    (rows, likeliest first) and how likely."""

    number: int
    share: float
    rows: list[int]
    likely: list[float]


@dataclass(frozen=True)
class Prototypes:
    """How many prototypes there are, how many are the likeliest one of an image at least, how many images were asked
    about, and those that most images have, the most used first."""

    count: int
    used: int
    images: int
    most: list[Prototype]


def most_used(
    assigned: Callable[[Tensor], Tensor],
    h: Tensor,
    *,
    device: torch.device | str = "cpu",
    most: int = MOST,
    images: int = IMAGES,
) -> Prototypes | None:
    """Prototypes of representations h [n, D].

    assigned  representations [B, D] on `device` -> how likely each prototype is [B, K]

    None without representations, or where a probability is not a finite number.
    """
    if not len(h):
        return None
    parts = h.split(_ROWS)
    with torch.inference_mode():
        counts = torch.zeros(assigned(h[:1].to(device)).shape[1], dtype=torch.int64)
        for part in parts:
            p = assigned(part.to(device)).float().cpu()
            if not torch.isfinite(p).all():
                return None
            counts += p.argmax(dim=1).bincount(minlength=len(counts))
        order = counts.argsort(descending=True, stable=True)[:most]
        chosen = order[counts[order] > 0]
        likely = torch.cat([assigned(part.to(device)).float().cpu()[:, chosen] for part in parts])  # [n, chosen]
    nearest = likely.argsort(dim=0, descending=True, stable=True)[:images]
    return Prototypes(
        count=len(counts),
        used=int((counts > 0).sum()),
        images=len(h),
        most=[
            Prototype(int(k), int(counts[k]) / len(h), nearest[:, i].tolist(), likely[nearest[:, i], i].tolist())
            for i, k in enumerate(chosen)
        ],
    )
