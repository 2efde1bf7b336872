"""Starting values for the first stage of SimCLR v2; those of the others are in `finetune` and `distil`."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: weak colour jitter, no blur, narrow projector, small batch, AdamW."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "batch_size": 256, "epochs": 100, "temperature": 0.2, "projector_width": 256, "projector_dim": 128,
    }  # fmt: skip


def shapes() -> dict[str, Any]:
    """The built-in shapes: a few minutes on two cores."""
    return {
        **small(), "views": "shapes", "backbone": "tiny_resnet",
        "lr": 1e-2, "warmup": 0.1, "batch_size": 128, "epochs": 7,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates, and a higher rate."""
    return {**small(), "lr": 5e-3, "batch_size": 128, "epochs": 2}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views and projector, a batch that fits, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "batch_size": 256, "epochs": 100, "temperature": 0.2,
    }  # fmt: skip
