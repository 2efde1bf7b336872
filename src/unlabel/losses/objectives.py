"""The objectives of two views by name: any of them trains a learner of two views, such as SimCLR."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from torch import Tensor

from unlabel.losses.hypersphere import align_uniform
from unlabel.losses.info_nce import nt_xent
from unlabel.losses.pairs import drlim, mined_triplets, n_pair
from unlabel.losses.two_views import (
    dcl,
    dclw,
    debiased,
    flat_nce,
    hard_contrastive,
    hard_negatives,
    simple_contrastive,
)

Objective = Literal[
    "nt_xent", "dcl", "dclw", "flat_nce", "debiased", "hard_negatives", "hard", "simple", "align_uniform", "drlim",
    "triplet", "n_pair",
]  # fmt: skip

OBJECTIVES: dict[str, Callable[..., Tensor]] = {
    "nt_xent": nt_xent,
    "dcl": dcl,
    "dclw": dclw,
    "flat_nce": flat_nce,
    "debiased": debiased,
    "hard_negatives": hard_negatives,
    "hard": hard_contrastive,
    "simple": simple_contrastive,
    "align_uniform": align_uniform,
    "drlim": drlim,
    "triplet": mined_triplets,
    "n_pair": n_pair,
}
"""Name -> embeddings of two views [B, d], [B, d] -> the mean loss, with the objective's own parameters as keywords.

With the keyword `small`, the embeddings [B, d] of a small crop of each image, it is the loss of the small crops: they
are compared with the two views, and nothing is compared with them (multi-crop, arXiv 2006.09882).
"""


def objective(name: Objective, *, temperature: float | None = None, **own: Any) -> partial[Tensor]:
    """The objective called `name`, as a function of embeddings alone: two views', and perhaps `small` crops'.

    temperature  for those that have one; None: the objective's own default
    own          its other parameters; None leaves one at the objective's default

    Raises ValueError for a parameter that this objective does not have, that another one puts out of use, or that is
    no share.
    """
    function = OBJECTIVES[name]
    takes = inspect.signature(function).parameters
    chosen = _given(own | {"temperature": temperature})
    for key in chosen:
        if key not in takes:
            others = [other for other, loss in OBJECTIVES.items() if key in inspect.signature(loss).parameters]
            raise ValueError(f"`{key}` belongs to the objective {' or '.join(others)}, not to {name}: leave it out")
    if chosen.get("soft_margin") and "margin" in chosen:
        raise ValueError("`soft_margin` stands in for the margin: leave out `margin`")
    if name in ("hard", "simple") and not 0 < chosen.get("alpha", 1) <= 1:
        raise ValueError(f"`alpha` is the share of the negatives that {name} keeps, in (0, 1], not {chosen['alpha']}")
    if "temperature" in takes:
        chosen.setdefault("temperature", takes["temperature"].default)
    return partial(function, **chosen)


def collapse_values(name: Objective, images: int, /, **own: Any) -> dict[str, float]:
    """What the objective called `name` is where embeddings of all images are (nearly) equal: {what is the case: value}.

    images  B > 1, of all ranks
    own     its other parameters, as in `objective`

    Each value stands where its objective is defined, and none depends on the temperature.
    """
    defaults = {key: parameter.default for key, parameter in inspect.signature(OBJECTIVES[name]).parameters.items()}
    given = defaults | _given(own)
    negatives = 2 * images - 2
    if name == "n_pair":  # whose penalty of norms is 0 for one embedding only
        return {"all embeddings are 0": math.log(images)}
    if name in ("dcl", "dclw"):
        value = math.log(negatives)
    elif name == "hard":
        return _of_the_hardest(lambda count: math.log(1 + count), negatives, given["alpha"])
    elif name == "simple" and given["weight"] is not None:
        return _of_the_hardest(lambda count: given["weight"] * count - 1, negatives, given["alpha"])
    elif name in ("simple", "align_uniform"):
        value = 0.0
    elif name == "drlim":
        value = given["margin"] ** 2 / 4
    elif name == "triplet":
        value = math.log(2) if given["soft_margin"] else given["margin"]
    else:
        value = math.log(1 + negatives)
    return {"all embeddings are equal": value}


def _of_the_hardest(value: Callable[[int], float], negatives: int, alpha: float) -> dict[str, float]:
    """The value for the share that is kept, and for all negatives: those as near as the last one kept are kept too."""
    some = {} if alpha == 1 else {"all embeddings are nearly equal": value(math.ceil(alpha * negatives))}
    return {**some, "all embeddings are equal": value(negatives)}


def _given(own: dict[str, Any]) -> dict[str, Any]:
    """The parameters that are not left at their defaults."""
    return {key: value for key, value in own.items() if value is not None}
