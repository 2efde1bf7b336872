"""Starting values for MoCo v3."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: narrow heads, AdamW, a teacher that starts at momentum 0.99."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4,
        "decay_vectors": False, "warmup": 0.05, "batch_size": 256, "epochs": 100, "projector_width": 512,
        "projector_dim": 128,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: more updates, a higher rate, a teacher that follows faster."""
    return {**small(), "lr": 5e-3, "warmup": 0.1, "batch_size": 128, "epochs": 2, "teacher_momentum": 0.97}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views and heads, a batch that fits."""
    return {
        "lr": 5e-4, "lr_per": None, "batch_size": 256, "epochs": 100, "warmup": 0.1, "projector_width": 2048,
    }  # fmt: skip
