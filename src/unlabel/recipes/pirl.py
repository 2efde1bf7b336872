"""Starting values for PIRL."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: AdamW, a softmax over 4,096 drawn images; pieces cost half of a view."""
    return {
        "views": "pirl-small", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "final_lr": 0.0, "batch_size": 128, "epochs": 100,
        "objective": "softmax", "negatives": 4096, "temperature": 0.1,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates, and a higher rate."""
    return {**small(), "lr": 5e-3, "batch_size": 64, "epochs": 3}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views, fewer negatives, a batch that fits."""
    return {"negatives": 16384, "batch_size": 128, "epochs": 100}
