"""A short training run on the built-in shapes, and what the verdict says of it: does a method collapse?"""

from functools import cache
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unlabel.data.loader import ViewLoader
from unlabel.data.shapes import Shapes
from unlabel.diagnostics import PROJECTION, Verdict, measure, verdict
from unlabel.engine.monitor import evaluating
from unlabel.evaluation.features import extract
from unlabel.evaluation.projection import projected
from unlabel.methods import Method
from unlabel.optim.plan import Plan, make_optimiser
from unlabel.views import Batch, evaluation, named

SIZE, BATCH = 16, 64
IMAGES, READ = 1_024, 200  # pictures to train on, and others to look at
READINGS = 6
COLLAPSES = ("collapsed", "dimensional-collapse")


class Small(nn.Module):
    """Three convolutions with batch norm: a few thousandths of a second for a batch."""

    num_features = 64

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean(dim=(2, 3))


def backbone(seed: int = 0) -> Small:
    """With seeded weights; what is made after it is seeded too."""
    torch.manual_seed(seed)
    return Small()


@cache
def batches(views: str) -> list[Batch]:
    """Two epochs of views of the shapes, drawn once for all runs."""
    stop = 2 * IMAGES // BATCH
    loader = ViewLoader([Shapes(IMAGES, size=SIZE)], named(views, SIZE), BATCH, seed=0, stop=stop, threads=0)
    return [loader.batch(update) for update in range(stop)]


@cache
def shown() -> Tensor:
    """Pictures that no run is trained on, as evaluation sees them."""
    source = Shapes(READ, split="test", size=SIZE)
    return extract(lambda x: x.flatten(1), source, evaluation(SIZE), threads=1).vectors.view(-1, 3, SIZE, SIZE)


def reading(method: Method) -> dict[str, float]:
    """What the live monitor would say without labels: of the representation, and of what the loss compares."""
    with evaluating(method), torch.inference_mode():
        h = method.embed(shown())
        z = projected(method.project, h, "cpu")
    found = measure(h)
    return found if z is None else found | {f"{PROJECTION}{name}": value for name, value in measure(z).items()}


def history(method: Method, *, updates: int = 120, views: str = "shapes", **plan: Any) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that training a method for so many updates leaves; the first reading is before any.

    plan: how it is optimised, where that is not AdamW at 3e-3.
    """
    method.plan = Plan(**{"optimiser": "adamw", "lr": 3e-3, "lr_per": None, "batch_size": BATCH, **plan})
    method.total_updates, method.total_epochs = updates, updates * BATCH / IMAGES
    method.prepare(IMAGES)
    (player,) = method.players()
    optimiser = make_optimiser(player.parameters, method.plan, BATCH, player.steady)
    lines: list[dict[str, Any]] = []
    moments = np.linspace(0, updates, READINGS, dtype=int)
    for batch in islice(cycle(batches(views)), updates):
        if method.updates in moments:
            lines.append({"update": method.updates, "monitor": reading(method)})
        method.set_rates([optimiser])
        loss = method.total(method.loss(batch))
        optimiser.zero_grad()
        loss.backward()
        method.before_update()
        optimiser.step()
        method.advance()
        lines.append({"update": method.updates, "loss": float(loss.detach())})
    return [*lines, {"update": method.updates, "monitor": reading(method)}]


def collapses(method: Method, **options: Any) -> Verdict:
    """The verdict on a short run, see `history`; where the method collapsed, its state is one of COLLAPSES."""
    values = method.collapse_values(BATCH)
    return verdict(history(method, **options), final=None, finished=False, collapse_values=values)
