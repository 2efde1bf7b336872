"""Starting values for fine-tuning with few labels."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: large crops, AdamW, small batches since few images have labels."""
    return {
        "views": "light", "optimiser": "adamw", "lr": 1e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.1,
        "batch_size": 64, "epochs": 60,
    }  # fmt: skip


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views, AdamW."""
    return {
        "optimiser": "adamw", "lr": 3e-4, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.1,
        "batch_size": 128, "epochs": 60,
    }  # fmt: skip
