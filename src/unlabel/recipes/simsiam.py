"""Starting values for SimSiam."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: a narrow projector of two layers, as the paper on CIFAR-10; AdamW."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4,
        "decay_vectors": False, "warmup": 0.05, "batch_size": 256, "epochs": 100,
        "projector_width": 512, "projector_dim": 512, "projector_layers": 2, "predictor_width": 128,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates."""
    return {**small(), "batch_size": 128, "epochs": 2}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views, heads and optimiser, a batch that fits."""
    return {"batch_size": 256, "epochs": 100}
