"""Starting values for instance discrimination."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: AdamW, a softmax over the own and 4,096 drawn images."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4,
        "decay_vectors": False, "warmup": 0.05, "schedule": "cosine", "batch_size": 128, "epochs": 100,
        "objective": "softmax", "temperature": 0.1,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates, and a higher rate."""
    return {**small(), "lr": 5e-3, "batch_size": 64, "epochs": 4}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views and negatives, half its epochs."""
    return {"batch_size": 256, "epochs": 100}
