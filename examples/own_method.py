"""Write your own method: two verbs, `views` and `loss`. As a file in src/unlabel/methods/ every command finds it."""

import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.methods import Method
from unlabel.optim.plan import Plan
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


def main() -> None:
    """Train it with Lightning, on views behind torch's DataLoader."""
    import pytorch_lightning as pl
    from torch.utils.data import DataLoader

    from unlabel.data import Views
    from unlabel.data.shapes import Shapes
    from unlabel.nn import backbones

    method = Agreement(backbones.build(backbones.resolve("tiny_resnet", 32)))
    views = Views([Shapes(1_000)], method.views(32), seed=0)
    loader = DataLoader(views, 64, shuffle=True, drop_last=True, collate_fn=Views.collate)
    pl.Trainer(max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False).fit(method, loader)
    print({name: round(float(term), 3) for name, term in method.terms.items()})


if __name__ == "__main__":
    main()
