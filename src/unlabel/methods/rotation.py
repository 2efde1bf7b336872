"""Unsupervised Representation Learning by Predicting Image Rotations (RotNet).

Gidaris, Singh, Komodakis. ICLR 2018, arXiv 1803.07728.

A network that can say how far a picture was turned must know what is up.

Predecessors
    Context Prediction and Jigsaw Puzzle cut images up, and the cuts betray the answer unless much is done against it:
    gaps, jitter, colours left out. Here the image stays whole, and turns by quarters leave no trace in the pixels. On
    PASCAL VOC 2007 an AlexNet detects objects with 54.4 mAP, 2.4 below one that was pre-trained with labels.

Algorithm
    R_y(x)   = x turned counter-clockwise by y * 90 degrees, y in {0, 1, 2, 3}     # flips and transposes only
    L        = -1/(4B) sum_i sum_y log softmax(g(f(R_y x_i)))_y                    (eq. 2)

Flow
    image ─ view ─┬─   0° ─┐
                  ├─  90° ─┤
                  ├─ 180° ─┼─ f ─ g ─ which turn? ─ cross-entropy
                  └─ 270° ─┘

Symbols
    f    backbone     the network that is kept
    g    classifier   one linear layer, thrown away
    R_y  turns        [B, 3, S, S] -> [4B, 3, S, S], all four in one batch

Departures
    The classifier sits on the pooled features of any backbone instead of the paper's Network-in-Network.
"""

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.methods.base import Method
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, named

TURNS = 4


def turns(x: Tensor) -> Tensor:
    """All four rotations of square images, exact to the bit.

    x [B, C, S, S] -> [4B, C, S, S], ordered image by image: rows 4i .. 4i+3 are image i turned by 0, 90, 180
    and 270 degrees. Augmentation comes before: a flip after a turn would make 90 and 270 degrees the same.
    """
    return torch.stack([torch.rot90(x, y, dims=(2, 3)) for y in range(TURNS)], dim=1).flatten(0, 1)


@final
class Rotation(Method):
    """RotNet: which of four rotations was applied?"""

    title = "Image Rotation (RotNet)"
    family = "pretext"
    paper = "1803.07728"
    year = 2018
    view_range = (1, 1)
    plan = Plan(optimiser="sgd", lr=0.1, lr_per=128, weight_decay=5e-4, nesterov=True, batch_size=128, epochs=200)

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.num_features, TURNS)  # type: ignore[arg-type]

    def views(self, size: int) -> Recipe:
        """One lightly augmented view; the four turns are made of it in `loss`."""
        return named("rotation", size)

    def logits(self, x: Tensor) -> Tensor:
        """[B, 3, S, S] -> [4B, 4]: for each turn of each image, how likely each turn is."""
        return self.classifier(self.backbone(turns(x)))

    def loss(self, batch: Batch) -> Tensor:
        """Cross-entropy over the four turns of every image; log 4 for a network that sees no up."""
        (x,) = batch.views
        y = torch.arange(TURNS, device=x.device).repeat(len(x))  # [4B]
        return F.cross_entropy(self.logits(x), y)

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log 4, where nothing is known of up and down."""
        return {"every turn is as likely as any other": math.log(TURNS)}
