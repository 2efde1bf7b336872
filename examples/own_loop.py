"""A method's loss in somebody else's loop: no trainer, no run folder."""

import torch

from unlabel.data.loader import ViewLoader
from unlabel.data.shapes import Shapes
from unlabel.methods.simclr import SimCLR
from unlabel.nn import backbones

backbone = backbones.build(backbones.resolve("tiny_resnet", 32))
method = SimCLR(backbone, temperature=0.2, projector_width=256)
optimiser = torch.optim.AdamW(method.parameters(), lr=2e-3)
loader = ViewLoader([Shapes(5_000)], method.views(32), batch_size=128, seed=0, stop=100)

for update, batch in enumerate(loader):
    loss = method.loss(batch)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if update % 10 == 0:
        print(update, round(loss.item(), 3))
