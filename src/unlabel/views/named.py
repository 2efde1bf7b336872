"""The view recipes of the papers, by name, at any size.

RRC = random resized crop (share of the area), CJ = colour jitter (brightness, contrast, saturation, hue), strong =
operations of `strong`, each taken half the time.
All normalise by ImageNet's mean and standard deviation, CUT's by 1/2, so that one evaluation view serves every
recipe of a size.

    instdisc         RRC 0.2-1, grey 0.2, CJ(.4,.4,.4,.4) always, flip; one view       Wu et al. 2018
    moco2            RRC 0.2-1, CJ(.4,.4,.4,.1) 0.8, grey 0.2, blur 0.5, flip          Chen, Fan et al. 2020
    simclr           RRC 0.08-1, flip, CJ(.8,.8,.8,.2) 0.8, grey 0.2, blur 0.5         Chen, Kornblith et al. 2020
    byol             RRC 0.08-1, flip, CJ(.4,.4,.2,.1) 0.8, grey 0.2; view 1: blur 1;
                     view 2: blur 0.1, solarise 0.2                                    Grill et al. 2020
    cifar-sym        simclr, for images of 32 px                                       da Costa et al. 2022
    cifar-weak       the same with CJ(.4,.4,.4,.1)                                     (solo-learn, JMLR 23)
    cifar-asym       byol without blur                                                 likewise
    cifar-min        RRC 0.08-1, flip, CJ(.4,.4,.4,.1) 0.8, grey 0.2                   MoCo's CIFAR demonstration
    dino             2 x RRC 0.4-1 as byol, 8 x 3/7 size RRC 0.05-0.4 with blur 0.5    Caron et al. 2021
    dino-small       2 x RRC 0.4-1 as cifar-asym, 4 x 1/2 size RRC 0.05-0.4            for small images
    multicrop        2 x RRC 0.14-1, 6 x 3/7 size RRC 0.05-0.14, colours as simclr     Caron et al. (SwAV) 2020
    multicrop-small  2 x RRC 0.3-1, 4 x 1/2 size RRC 0.05-0.3, colours as cifar-min    for small images
    clsa             2 x moco2; 3/7 size RRC 0.086-0.429 as moco2, then 5 strong       Wang and Qi 2021
    clsa-small       3 x cifar-min, the third then 5 strong                            for small images
    mae              RRC 0.2-1, flip; 75 % of the patches masked                       He et al. 2022
    rotation         up to 64 px: reflect-pad by 1/8, crop, flip; else RRC, flip       Gidaris et al. 2018
    amdim            one flip for both views; up to 40 px: reflect-pad by 1/8, crop, 0.8; else RRC 0.3-1 of ratio
                     0.7-1.4; CJ(.4,.4,.4,.2) 0.8, grey 0.25 (above 64 px 0.2)         Bachman et al. 2019
    cut              resize to 286/256 of the size, crop, flip; one view per domain    Park et al. 2020
    pirl             RRC 0.08-1, CJ(.4,.4,.4,.2), grey 0.2, flip; 9 x 2/7 size: parts of the cells of a 3 x 3 grid over
                     an RRC 0.6-1, each with colours of its own                        Misra et al. 2020
    pirl-small       the same cells, RRC 0.08-1, colours as cifar-min                  for small images
    cmc              RRC 0.08-1, flip; one view                                        Tian et al. 2020
    clip             RRC 0.9-1; one view, never mirrored                               Radford et al. 2021
    light            RRC 0.4-1, flip
    shapes           RRC 0.4-1, flip, grey 0.7, CJ(.4,.4,.4,.1) 0.8        for the built-in shapes

A name may go on with the area of its crops, and with small crops that follow two large views, as in
cifar-min@0.2-1:4x16 (`suffixes`).
"""

from collections.abc import Callable
from dataclasses import replace

from unlabel.errors import Fault, nearest
from unlabel.views.recipe import IMAGENET_MEAN, IMAGENET_STD, RandomMask, Recipe, View
from unlabel.views.suffixes import with_area, with_small_crops

_HALF = (0.5, 0.5, 0.5)


def named(name: str, size: int) -> Recipe:
    """The recipe `name` for views of `size` pixels, with the area and the small crops that its name may go on with.

    An unknown name raises `Fault` with the nearest known one.
    """
    name, chosen, crops = name.partition(":")
    name, led, area = name.partition("@")
    if name not in _RECIPES:
        hint = nearest(name, NAMES) or f"; known are {', '.join(NAMES)}"
        raise Fault(f"there is no view recipe `{name}`{hint}")
    recipe = _RECIPES[name](size)
    if led:
        recipe = with_area(recipe, area, name)
    return with_small_crops(recipe, crops, name) if chosen else recipe


def evaluation(
    size: int,
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> View:
    """What evaluation sees: the largest central square, resized; nothing is random.

    Cropping before resizing gives the pixels of "resize the shorter side, then crop" except where the filter would
    look past the square, and costs no more for an image of 1 x 60,000 pixels than for any other.
    """
    return View(size=size, crop="centre", flip=0.0, mean=mean, std=std)


def _instdisc(size: int) -> Recipe:
    order = ("crop", "grey", "jitter", "flip")
    return Recipe(views=(View(size=size, scale=(0.2, 1.0), grey=0.2, jitter=(0.4,) * 4, jitter_p=1.0, order=order),))


def _moco2(size: int) -> Recipe:
    order = ("crop", "jitter", "grey", "blur", "flip")
    return _twice(View(size=size, scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2, blur=0.5, order=order))


def _simclr(size: int) -> Recipe:
    return _twice(View(size=size, jitter=(0.8, 0.8, 0.8, 0.2), grey=0.2, blur=0.5, interpolation="bicubic"))


def _byol(size: int) -> Recipe:
    return Recipe(views=_asymmetric(size, (0.08, 1.0), blurs=(1.0, 0.1)))


def _cifar_weak(size: int) -> Recipe:
    return _twice(View(size=size, jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2, blur=0.5, interpolation="bicubic"))


def _cifar_asym(size: int) -> Recipe:
    return Recipe(views=_asymmetric(size, (0.08, 1.0), blurs=(0.0, 0.0)))


def _cifar_min(size: int) -> Recipe:
    return _twice(View(size=size, jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2))


def _dino(size: int) -> Recipe:
    globals_ = _asymmetric(size, (0.4, 1.0), blurs=(1.0, 0.1))
    local = replace(globals_[0], size=_local(size), scale=(0.05, 0.4), blur=0.5)
    return Recipe(views=globals_ + (local,) * 8)


def _dino_small(size: int) -> Recipe:
    globals_ = _asymmetric(size, (0.4, 1.0), blurs=(0.0, 0.0))
    return Recipe(views=globals_ + (replace(globals_[0], size=size // 2, scale=(0.05, 0.4)),) * 4)


def _multicrop(size: int) -> Recipe:
    whole = View(size=size, scale=(0.14, 1.0), jitter=(0.8, 0.8, 0.8, 0.2), grey=0.2, blur=0.5)
    return Recipe(views=(whole,) * 2 + (replace(whole, size=_local(size), scale=(0.05, 0.14)),) * 6)


def _multicrop_small(size: int) -> Recipe:
    whole = View(size=size, scale=(0.3, 1.0), jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2)
    return Recipe(views=(whole,) * 2 + (replace(whole, size=size // 2, scale=(0.05, 0.3)),) * 4)


def _clsa(size: int) -> Recipe:
    key, weak = _moco2(size).views
    return Recipe(views=(key, weak, replace(weak, size=_local(size), scale=(0.086, 0.429), strong=5)))


def _clsa_small(size: int) -> Recipe:
    key, weak = _cifar_min(size).views
    return Recipe(views=(key, weak, replace(weak, strong=5)))


def _mae(size: int) -> Recipe:
    # 16 px patches from 128 px on, and never a coarser grid than 8 x 8: 4 px patches at 32 px.
    cells = max(8, size // 16)
    mask = RandomMask(ratio=0.75, grid=(cells, cells))
    return Recipe(views=(View(size=size, scale=(0.2, 1.0), interpolation="bicubic"),), mask=mask)


def _rotation(size: int) -> Recipe:
    # Reflected borders: black ones would tell which way an image was turned.
    return Recipe(views=(View(size=size, crop="pad", pad=size // 8) if size <= 64 else View(size=size),))


def _cut(size: int) -> Recipe:
    x = View(size=size, crop="load", load_size=round(size * 286 / 256), interpolation="bicubic", mean=_HALF, std=_HALF)
    return Recipe(views=(x, replace(x, source=1)))


def _pirl(size: int) -> Recipe:
    order = ("crop", "jitter", "grey", "flip")
    return _with_cells(View(size=size, jitter=(0.4, 0.4, 0.4, 0.2), jitter_p=1.0, grey=0.2, order=order))


def _pirl_small(size: int) -> Recipe:
    return _with_cells(View(size=size, jitter=(0.4, 0.4, 0.4, 0.1), grey=0.2))


def _with_cells(whole: View) -> Recipe:
    """A view, and the nine cells of a jigsaw: 64 of 85 pixels a side at 224, sides in whole multiples of 8."""
    side = max(8, 8 * round(whole.size * 64 / 224 / 8))
    cells = (replace(whole, size=side, crop="cell", cell=k, scale=(0.6, 1.0)) for k in range(9))
    return Recipe(views=(whole, *cells))


def _cmc(size: int) -> Recipe:
    return Recipe(views=(View(size=size),))


def _amdim(size: int) -> Recipe:
    view = View(size=size, jitter=(0.4, 0.4, 0.4, 0.2), grey=0.25 if size <= 64 else 0.2, interpolation="bicubic")
    if size <= 40:
        view = replace(view, crop="pad", pad=size // 8, pad_p=0.8)
    else:
        view = replace(view, scale=(0.3, 1.0), ratio=(0.7, 1.4))
    return Recipe(views=(view, replace(view, flip_of=0)))


def _clip(size: int) -> Recipe:
    return Recipe(views=(View(size=size, scale=(0.9, 1.0), flip=0.0, interpolation="bicubic"),))


def _light(size: int) -> Recipe:
    return _twice(View(size=size, scale=(0.4, 1.0)))


def _shapes(size: int) -> Recipe:
    # Grey before the jitter: a change of hue or saturation moves luma too, and the colours would show in grey copies.
    order = ("crop", "flip", "grey", "jitter")
    return _twice(View(size=size, scale=(0.4, 1.0), jitter=(0.4, 0.4, 0.4, 0.1), grey=0.7, order=order))


def _twice(view: View) -> Recipe:
    return Recipe(views=(view, view))


def _asymmetric(size: int, scale: tuple[float, float], *, blurs: tuple[float, float]) -> tuple[View, View]:
    """BYOL's pair: weaker colours, each view with its own share of blur, solarisation in the second."""
    first = View(size=size, scale=scale, jitter=(0.4, 0.4, 0.2, 0.1), grey=0.2, blur=blurs[0], interpolation="bicubic")
    return first, replace(first, blur=blurs[1], solarise=0.2)


def _local(size: int) -> int:
    """The side of small crops: 96 for 224, in whole multiples of 8 so that patches still fit."""
    return max(8, 8 * round(size * 96 / 224 / 8))


_RECIPES: dict[str, Callable[[int], Recipe]] = {
    "instdisc": _instdisc,
    "moco2": _moco2,
    "simclr": _simclr,
    "byol": _byol,
    "cifar-sym": _simclr,
    "cifar-weak": _cifar_weak,
    "cifar-asym": _cifar_asym,
    "cifar-min": _cifar_min,
    "dino": _dino,
    "dino-small": _dino_small,
    "multicrop": _multicrop,
    "multicrop-small": _multicrop_small,
    "clsa": _clsa,
    "clsa-small": _clsa_small,
    "mae": _mae,
    "rotation": _rotation,
    "cut": _cut,
    "pirl": _pirl,
    "pirl-small": _pirl_small,
    "cmc": _cmc,
    "amdim": _amdim,
    "clip": _clip,
    "light": _light,
    "shapes": _shapes,
}

NAMES = tuple(_RECIPES)
