"""LARS: each weight matrix moves at a rate of its own, in proportion to its length.

You, Gitman, Ginsburg, Large Batch Training of Convolutional Networks, arXiv 1708.03888.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class LARS(Optimizer):
    """For each parameter p with gradient g, momentum μ, rate lr and trust η:

        g ← g + λ p                          λ: weight decay
        g ← g · η ‖p‖ / ‖g‖                  if both norms are above 0
        m ← μ m + g
        p ← p − lr · m

    The second line is skipped in groups with `adapt=False` (gains and biases), whose λ is 0 by custom. The
    norm of g is taken after the decay is added, as the self-supervised methods that use LARS do; the paper
    adds the norms.

    params  parameters or groups of them, each group with its own lr, weight_decay, momentum, trust, adapt
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        adapt: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust": trust,
            "adapt": adapt,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update, in a handful of fused calls for each group; nothing waits for the device."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            p = [parameter for parameter in group["params"] if parameter.grad is not None]
            if p:
                self._move(p, [parameter.grad for parameter in p], group)
        return loss

    def _move(self, p: list[Tensor], grads: list[Tensor], group: dict[str, Any]) -> None:
        g = torch._foreach_add(grads, p, alpha=group["weight_decay"])
        if group["adapt"]:
            ratios = torch._foreach_div(torch._foreach_norm(p), torch._foreach_norm(g))
            torch._foreach_mul_(ratios, group["trust"])
            # 0/0, x/0 and 0/x: no length to go by, so the gradient stays as it is
            torch._foreach_mul_(g, [torch.where(r.isfinite() & (r > 0), r, 1.0) for r in ratios])
        for parameter in p:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        m = [self.state[parameter]["momentum"] for parameter in p]
        torch._foreach_mul_(m, group["momentum"])
        torch._foreach_add_(m, g)
        torch._foreach_add_(p, m, alpha=-group["lr"])
