"""Starting values for InvaSpread."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: weak colour jitter, AdamW."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4,
        "decay_vectors": False, "warmup": 0.05, "schedule": "cosine", "batch_size": 128, "epochs": 100,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: a higher rate."""
    return {**small(), "lr": 5e-3, "epochs": 2}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "lr_per": 256, "weight_decay": 1e-4, "decay_vectors": False, "warmup": 0.05,
        "schedule": "cosine", "batch_size": 256, "epochs": 100,
    }  # fmt: skip
