"""Write your own method: two verbs, `views` and `loss`. As a file in src/unlabel/methods/ every command finds it."""

import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.data.loader import ViewLoader
from unlabel.data.shapes import Shapes
from unlabel.methods import Method
from unlabel.nn import backbones
from unlabel.optim.plan import Plan, make_optimiser
from unlabel.views import Batch, Recipe, named


class Agreement(Method):
    """Two views agree in direction; a variance term keeps them from all agreeing."""

    plan = Plan(optimiser="adamw", lr=1e-3, lr_per=None)

    def __init__(self, backbone: nn.Module, *, spread: float = 1.0) -> None:
        super().__init__()
        self.backbone, self.spread = backbone, spread

    def views(self, size: int) -> Recipe:
        return named("cifar-min", size)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        z1, z2 = (self.backbone(view) for view in batch.views)  # [B, D] each
        return {"agree": F.mse_loss(z1, z2), "spread": self.spread * F.relu(1 - z1.std(0)).mean()}


method = Agreement(backbones.build(backbones.resolve("tiny_resnet", 32)))
(player,) = method.players()
optimiser = make_optimiser(player.parameters, method.plan, batch_size=64)
for batch in ViewLoader([Shapes(1_000)], method.views(32), batch_size=64, seed=0, stop=20):
    loss = method.total(method.loss(batch))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
print({name: round(float(term), 3) for name, term in method.terms.items()})
