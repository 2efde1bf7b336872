"""A method in a loop of your own: no trainer, no run folder. Whatever a method does after an update, `advance` does."""

import torch

from unlabel.data.loader import ViewLoader
from unlabel.data.shapes import Shapes
from unlabel.methods.byol import BYOL
from unlabel.nn import backbones
from unlabel.optim.plan import Plan

IMAGES, UPDATES, BATCH = 2_000, 30, 64

torch.manual_seed(0)
backbone = backbones.build(backbones.resolve("tiny_resnet", 32))
method = BYOL(backbone, projector_width=256, projector_dim=64)
method.plan = Plan(optimiser="adamw", lr=2e-3, lr_per=None)
method.begin(images=IMAGES, updates=UPDATES, batch_size=BATCH)  # schedules, memory banks
(optimiser,) = method.configure_optimizers()

for batch in ViewLoader([Shapes(IMAGES)], method.views(32), batch_size=BATCH, seed=0, stop=UPDATES):
    method.set_rates([optimiser])
    loss = method.total(method.loss(batch))
    optimiser.zero_grad()
    loss.backward()
    method.before_update()
    optimiser.step()
    method.advance()  # the teacher follows
    if method.updates % 10 == 0:
        print(method.updates, round(loss.item(), 3))
