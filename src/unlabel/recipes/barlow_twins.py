"""Starting values for Barlow Twins."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: a projector of 1,024 dimensions, AdamW with one rate for all."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "lr_vectors": 1.0,
        "weight_decay": 1e-4, "warmup": 0.05, "final_lr": 0.0, "batch_size": 256, "epochs": 100,
        "projector_width": 1024, "projector_dim": 1024, "projector_layers": 2,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates, and half the dimensions."""
    return {**small(), "lr": 5e-3, "batch_size": 128, "epochs": 2, "projector_width": 512, "projector_dim": 512}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views, 2,048 dimensions, a batch that fits, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "lr_vectors": 1.0, "weight_decay": 1e-4, "warmup": 0.05, "batch_size": 256,
        "epochs": 100, "projector_width": 2048, "projector_dim": 2048,
    }  # fmt: skip
