"""Starting values for DirectCLR."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: weak colour jitter, 64 channels of 128 to 512, AdamW."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "final_lr": 0.0, "batch_size": 256, "epochs": 100, "temperature": 0.2, "dimensions": 64,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates, and a higher rate."""
    return {**small(), "lr": 5e-3, "batch_size": 128, "epochs": 2}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views, 128 channels, a batch that fits, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "lr_per": 256, "weight_decay": 1e-4, "warmup": 0.05, "batch_size": 256,
        "epochs": 100, "dimensions": 128,
    }  # fmt: skip
