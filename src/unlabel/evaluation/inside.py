"""What a network does inside, on a few images, to look at: attention, where vectors come from, what places mean."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from unlabel.data.source import Source
from unlabel.errors import Fault
from unlabel.evaluation.components import principal_colours
from unlabel.evaluation.features import extract, light_views
from unlabel.nn.attention_map import last_attention, reads_class_token
from unlabel.nn.backbones import is_vit
from unlabel.nn.feature_map import places
from unlabel.nn.maps import similarity_map
from unlabel.views import View

IMAGES = 8
VIEWS = 4  # of an image, whose mean vector it is compared with


@dataclass(frozen=True)
class Inside:
    """A look inside a network, on n images of S pixels.

    paths      n names
    x          [n, C, S, S] as the network sees them
    attention  [n, heads, rows, columns] of the last block, see `last_attention`; None without
    asks       whose attention that is: "class token" or "patches"
    heat       [n, rows, columns] in [0, 1], see `similarity_map` (Grad-CAM); None without
    colours    [n, 3, rows, columns] in [0, 1], see `principal_colours`; None without
    absent     why there is no "attention", "heat" or "colours", a sentence each
    """

    paths: list[str]
    x: Tensor
    attention: Tensor | None = None
    asks: str = ""
    heat: Tensor | None = None
    colours: Tensor | None = None
    absent: dict[str, str] = field(default_factory=dict)


def look_inside(
    network: nn.Module, source: Source, view: View, *, seed: int, device: torch.device | str = "cpu"
) -> Inside | None:
    """A look at what a network does with a few images of `source`, drawn from `seed`; None where none can be read.

    network  in evaluation mode on `device`
    view     without randomness

    The image's vector is compared with the mean of the unit vectors of `VIEWS` light views of it.
    """
    index, x = some(source, view, seed)
    if not len(x):
        return None
    paths = [source.path(int(i)) for i in index]
    shown = x.to(device)
    attention = heat = colours = None
    absent: dict[str, str] = {}
    with torch.no_grad():
        attends = is_vit(network)
        try:
            attention = _finite(last_attention(network, shown), "attention", absent)
            attends = True
        except Fault:
            absent["attention"] = f"No attention maps: {type(network).__name__} does not attend from patch to patch."
        if attends:
            absent["heat"] = "No Grad-CAM: it weighs the maps of convolutions, and this network has attention instead."
        else:
            try:
                seen = light_views(network, source, view, VIEWS, indices=index, device=device)  # [n, V, D]
                key = nn.functional.normalize(seen, dim=2).mean(dim=1)
                heat = _finite(similarity_map(network, shown, key.to(device)), "heat", absent)
                absent["attention"] += " Grad-CAM is shown instead." if heat is not None else ""
            except Fault:
                absent["heat"] = f"No Grad-CAM: {type(network).__name__} does not make its vector of one set of maps."
        try:
            features = _finite(places(network, shown), "colours", absent)
            colours = None if features is None else principal_colours(features)
        except Fault:
            absent["colours"] = f"No principal components of places: {type(network).__name__} has no map of them."
    asks = "" if attention is None else "class token" if reads_class_token(network) else "patches"
    return Inside(paths, x, attention, asks, heat, colours, absent)


def some(source: Source, view: View, seed: int, count: int = IMAGES) -> tuple[np.ndarray, Tensor]:
    """Positions [n] and pixels [n, C, S, S] of the first `count` readable images, in an order drawn from `seed`."""
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(source))
    index, found = np.zeros(0, np.int64), torch.empty(0, view.channels, view.size, view.size)
    for start in range(0, len(order), count):
        seen = extract(lambda x: x.flatten(1), source, view, indices=order[start : start + count])
        index = np.concatenate([index, seen.index.numpy()])[:count]
        found = torch.cat([found, seen.vectors.reshape(-1, *found.shape[1:])])[:count]
        if len(index) == count:
            break
    return index, found


def _finite(values: Tensor, what: str, absent: dict[str, str]) -> Tensor | None:
    if torch.isfinite(values).all():
        return values.float().cpu()
    absent[what] = "Some values inside the network are not finite numbers, so there is nothing to draw of them."
    return None
