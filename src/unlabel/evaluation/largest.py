"""The few largest of many values: exact, and at the speed of reading them once."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_RUN = 64  # values whose maximum is taken first


def largest(values: Float[Tensor, "b n"], k: int) -> tuple[Float[Tensor, "b k"], Int[Tensor, "b k"]]:
    """The k largest of each row and their positions, largest first; `values.topk(k)` up to the order of equal ones.

    A run of 64 neighbours that holds one of the k largest has one of the k largest maxima: the maxima of all runs, one
    vectorised pass, say in which k runs to look.
    """
    n = values.shape[1]
    whole = n // _RUN * _RUN
    if k * _RUN * 4 > whole:  # most runs would be looked at anyway
        return values.topk(k, dim=1)
    runs = values[:, :whole].unflatten(1, (-1, _RUN))
    chosen = runs.amax(dim=2).topk(k, dim=1).indices  # [b, k]
    inside = runs.gather(1, chosen[:, :, None].expand(-1, -1, _RUN)).flatten(1)  # [b, 64 k]
    found, place = torch.cat([inside, values[:, whole:]], dim=1).topk(k, dim=1)
    run = chosen.gather(1, (place // _RUN).clamp(max=k - 1))
    behind = place - k * _RUN  # among what is left over behind the last whole run
    return found, torch.where(behind < 0, run * _RUN + place % _RUN, whole + behind)
