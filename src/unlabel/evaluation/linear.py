"""The linear probe: how much a linear classifier reads from frozen features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

L2 = (1.0, 1e-1, 1e-2, 1e-3)
_FEW = 50  # training images below which none can be spared to choose a penalty


@dataclass(frozen=True)
class LinearScore:
    """top1, top5: accuracy in per cent (top5 is None below six classes); l2: the penalty that was chosen."""

    top1: float
    top5: float | None
    l2: float


@dataclass(frozen=True)
class LinearProbe:
    """A fitted linear classifier: how features are standardised, weight [C, D], bias [C], the penalty chosen."""

    scale: "Scale"
    weight: Tensor
    bias: Tensor
    l2: float

    def __call__(self, x: Float[Tensor, "m d"]) -> Float[Tensor, "m c"]:
        """Features [m, D] -> logits [m, C]."""
        return torch.addmm(self.bias, self.scale(x), self.weight.T)

    def score(self, test: Float[Tensor, "m d"], labels: Int[Tensor, "m"]) -> LinearScore:
        """How often it is right on images that it was not fitted on."""
        logits = self(test)
        return LinearScore(top(logits, labels, 1), top(logits, labels, 5) if len(self.bias) >= 6 else None, self.l2)


def linear_probe(
    train: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"],
    test: Float[Tensor, "m d"],
    test_labels: Int[Tensor, "m"],
    *,
    l2: float | Sequence[float] = L2,
    seed: int = 0,
) -> LinearScore:
    """Multinomial logistic regression on standardised features; see `fit_logistic` for the objective.

    train        [n, D] frozen features; their mean and standard deviation standardise both sides
    labels       [n] int64 in [0, C)
    test         [m, D]
    test_labels  [m] int64; a class that `labels` lacks counts as an error
    l2           penalties to choose from, strongest first, or a single one. The choice is made on a tenth of `train`
                 by accuracy, the stronger winning ties; then all of `train` is used. With fewer than 50 rows nothing
                 can be spared and the middle one is taken.
    seed         of the shuffle that picks the tenth

    The same numbers every time on one machine: no minibatches, and the first fit starts from zero. Raises ValueError
    where there is one class only, or nothing to test.
    Chen, Kornblith, Norouzi and Hinton, SimCLR, arXiv 2002.05709, appendix B.8 (L-BFGS, penalty by validation).
    """
    if not len(test):
        raise ValueError("a linear probe needs an image to test")
    return fit_probe(train, labels, l2=l2, seed=seed).score(test, test_labels)


def fit_probe(
    train: Float[Tensor, "n d"], labels: Int[Tensor, "n"], *, l2: float | Sequence[float] = L2, seed: int = 0
) -> LinearProbe:
    """The classifier of `linear_probe`, to be asked about several collections; arguments and errors as there."""
    classes = int(labels.max()) + 1 if len(labels) else 0
    if classes < 2:
        raise ValueError(f"a linear probe needs two classes, not {classes}")
    x, scale = standardise(train)
    penalties = (float(l2),) if isinstance(l2, int | float) else tuple(l2)
    chosen, start = penalties[len(penalties) // 2], None
    if len(penalties) > 1 and len(train) >= _FEW:
        chosen, start = _choose(x, labels, classes, penalties, seed)
    weight, bias = fit_logistic(x, labels, classes, chosen, start=start)
    return LinearProbe(scale, weight, bias, chosen)


def fit_logistic(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, "n"],
    classes: int,
    l2: float,
    *,
    start: tuple[Tensor, Tensor] | None = None,
    steps: int = 200,
) -> tuple[Float[Tensor, "c d"], Float[Tensor, "c"]]:
    """Minimise  mean_i CE( W x_i + b, y_i ) + l2/2 |W|²  over W [C, D] and b [C] by L-BFGS.

    The bias is not penalised; scikit-learn's C is 1 / (l2 n). `start` is where to begin (zero by default), `steps` the
    most iterations. Returns (W, b) in the precision of x.
    """
    if start is None:
        start = x.new_zeros(classes, x.shape[1]), x.new_zeros(classes)
    weight, bias = (part.clone() for part in start)
    labels = labels.to(x.device)
    fine = x.dtype == torch.float64
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=steps,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-9 if fine else 1e-5,
        tolerance_change=1e-14 if fine else 1e-9,
    )

    @torch.no_grad()
    def objective() -> Tensor:
        log_p = torch.addmm(bias, x, weight.T).log_softmax(dim=1)  # [n, C]
        loss = F.nll_loss(log_p, labels) + l2 / 2 * weight.square().sum()
        # The gradient by hand, (p - y) / n at the logits: half the time of autograd, and no graph in memory.
        wrong = log_p.exp_()
        wrong[torch.arange(len(x), device=x.device), labels] -= 1
        wrong /= len(x)
        weight.grad = torch.addmm(weight, wrong.T, x, beta=l2)
        bias.grad = wrong.sum(dim=0)
        return loss

    optimiser.step(objective)
    return weight, bias


class Scale:
    """Takes features to mean 0 and standard deviation 1; a feature that never varies becomes 0."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean = mean
        self.factor = torch.where(std > 1e-6 * std.max(), 1 / std.clamp(min=torch.finfo(std.dtype).tiny), 0.0)

    def __call__(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """x [n, D] with the statistics this was made from."""
        return (x.to(self.mean.device) - self.mean).mul_(self.factor)


def standardise(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Scale]:
    """The features standardised, and the map that does the same to others."""
    scale = Scale(x.mean(dim=0), x.std(dim=0, correction=0))
    return scale(x), scale


def _choose(
    x: Tensor, labels: Tensor, classes: int, penalties: Sequence[float], seed: int
) -> tuple[float, tuple[Tensor, Tensor]]:
    """The penalty that classifies a tenth of the images best when fitted on the others, and that fit."""
    order = torch.from_numpy(np.random.Generator(np.random.Philox(seed)).permutation(len(x))).to(x.device)
    held_out, rest = order[: len(x) // 10], order[len(x) // 10 :]
    labels = labels.to(x.device)
    held_x, held_labels, rest_x, rest_labels = x[held_out], labels[held_out], x[rest], labels[rest]
    best, fits, start = {}, {}, None
    for l2 in sorted(penalties, reverse=True):
        # From the last one it is a short way, and choosing needs less precision than the answer.
        start = fit_logistic(rest_x, rest_labels, classes, l2, start=start, steps=50)
        fits[l2] = start
        best[l2] = top(torch.addmm(start[1], held_x, start[0].T), held_labels, 1)
    chosen = max(best, key=lambda l2: (best[l2], l2))
    return chosen, fits[chosen]


def top(logits: Float[Tensor, "m c"], labels: Int[Tensor, "m"], k: int) -> float:
    """How often the right class is among the k largest logits, in per cent."""
    hit = (logits.topk(k, dim=1).indices == labels.to(logits.device)[:, None]).any(dim=1)
    return 100 * float(hit.double().mean())
