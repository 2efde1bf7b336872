"""What may follow the name of a view recipe: the area of its crops after `@`, small crops beside them after `:`.

    NAME@0.2-1            crops of 20 to 100 % of the image's area
    NAME:6                six small crops
    NAME:6x16             six of 16 x 16 pixels
    NAME:6x16@0.05-0.14   six of 16 x 16 pixels, each of 5 to 14 % of the image's area
    NAME:2x24+4x16        two of 24 x 24 pixels, then four of 16 x 16
    NAME:0                none
    NAME@0.2-1:6          both

What is not said is as in the recipe, or, where that has no small crops: half the side, 5 to 30 % of the area, and the
colours of the two large views in turn. What follows `:` leaves large views as they are, what follows `@` small ones.

Multi-crop: Caron et al., SwAV, arXiv 2006.09882, section 3.2.
"""

import re
from dataclasses import replace

from unlabel.errors import Fault
from unlabel.views.recipe import LARGE, Recipe, View

AREA = (0.05, 0.3)
"""Share of the area where neither the words nor the recipe say one."""

_AREA = r"(?P<low>0?\.\d+)-(?P<high>0?\.\d+|1(\.0*)?)"
_GROUP = re.compile(rf"(?P<count>\d{{1,2}})(x(?P<side>\d{{1,4}}))?(@{_AREA})?")


def with_area(recipe: Recipe, words: str, name: str) -> Recipe:
    """The recipe whose crops of the full size show the share of the image's area that `words` say, as `0.2-1`.

    name  of the recipe, for sentences. Faults: words that mean nothing, recipes without such crops
    """
    found = re.fullmatch(_AREA, words)
    if found is None:
        raise Fault(f"`{words}` in views `{name}@{words}` is no share of the area: write it as in `{name}@0.2-1`")
    side = max(view.size for view in recipe.views)

    def led(view: View) -> bool:
        return view.crop == "random_resized" and view.size == side

    if not any(map(led, recipe.views)):
        raise Fault(f"views `{name}` are no crops of random size: leave out `@{words}`")
    scale = _scale(found)
    return replace(recipe, views=tuple(replace(view, scale=scale) if led(view) else view for view in recipe.views))


def with_small_crops(recipe: Recipe, words: str, name: str) -> Recipe:
    """The large views of a recipe, one for both where it has one, then the small crops that `words` ask for.

    name  of the recipe, for sentences. Faults: words that mean nothing, crops larger than the large views, recipes
          with a mask or of two domains
    """
    if recipe.mask is not None or recipe.sources > 1:
        raise Fault(f"views `{name}` take no small crops: leave out `:{words}`")
    large = recipe.views[:LARGE] if len(recipe.views) > 1 else recipe.views * LARGE
    models = recipe.views[LARGE : LARGE + 1] or tuple(_smaller(view) for view in large)
    small: list[View] = []
    for group in words.split("+"):
        found = _GROUP.fullmatch(group)
        if found is None:
            raise Fault(
                f"`{group}` in views `{name}:{words}` is no group of small crops: write their number, side and share "
                f"of the area as in `{name}:6`, `{name}:6x16`, `{name}:6x16@0.05-0.14` or `{name}:2x24+4x16`"
            )
        side = int(found["side"]) if found["side"] else models[0].size
        if side > large[0].size:
            raise Fault(f"views `{name}:{words}` ask for small crops of {side} px beside views of {large[0].size} px")
        scale = _scale(found) if found["low"] else models[0].scale
        count = int(found["count"])
        small += [replace(models[k % len(models)], size=side, scale=scale) for k in range(count)]
    return Recipe(views=large + tuple(small))


def _scale(found: re.Match[str]) -> tuple[float, float]:
    return float(found["low"]), float(found["high"])


def _smaller(view: View) -> View:
    """A small crop with the colours of a large view."""
    return replace(view, crop="random_resized", size=max(2, view.size // 2), scale=AREA)
