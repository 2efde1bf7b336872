"""Starting values for SimCLR. Their temperature is NT-Xent's: other objectives keep their own."""

from typing import Any


def small(objective: str = "nt_xent") -> dict[str, Any]:
    """Images of at most 96 pixels on two cores or one GPU: weak colour jitter without blur, small batch, AdamW."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "batch_size": 256, "epochs": 100, **_temperature(objective), "projector_width": 256, "projector_dim": 128,
    }  # fmt: skip


def shapes(objective: str = "nt_xent") -> dict[str, Any]:
    """The built-in shapes: two to three minutes on two cores; kNN 90 to 98 % (random weights 22 %, raw pixels 37 %)."""
    return {
        **small(objective), "views": "shapes", "backbone": "tiny_resnet",
        "lr": 1e-2, "warmup": 0.1, "batch_size": 128, "epochs": 7,
    }  # fmt: skip


def minutes(objective: str = "nt_xent") -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates, and a higher rate."""
    return {**small(objective), "lr": 5e-3, "batch_size": 128, "epochs": 2}


def cifar10_fast(objective: str = "nt_xent") -> dict[str, Any]:
    """CIFAR-10 in 1 to 40 minutes on two cores (`--budget`): larger crops, a sharper temperature, a high rate."""
    return {
        **minutes(objective), "backbone": "tiny_resnet", "views": "cifar-min@0.2-1", "lr": 2e-2, "epochs": 10,
        **_temperature(objective, 0.1),
    }  # fmt: skip


def large(objective: str = "nt_xent") -> dict[str, Any]:
    """Photographs at more than 96 pixels on one GPU: the paper's views, a batch that fits, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "weight_decay": 1e-4, "warmup": 0.05, "batch_size": 256, "epochs": 100,
        **_temperature(objective), "projector_width": 1024,
    }  # fmt: skip


def _temperature(objective: str, value: float = 0.2) -> dict[str, Any]:
    return {"temperature": value} if objective == "nt_xent" else {}
