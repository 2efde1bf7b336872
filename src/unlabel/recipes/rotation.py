"""Starting values for image rotation."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: AdamW; each image costs four passes."""
    return {
        "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05, "nesterov": False,
        "batch_size": 128, "epochs": 100,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates, and a higher rate."""
    return {**small(), "lr": 5e-3, "batch_size": 32, "epochs": 2}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: as the paper, with the rate scaled to a batch of 128 images."""
    return {"epochs": 100}
