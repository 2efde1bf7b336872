"""Starting values for distillation."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: large crops, AdamW."""
    return {
        "views": "light", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "batch_size": 128, "epochs": 50,
    }  # fmt: skip


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "batch_size": 256, "epochs": 100,
    }  # fmt: skip
