"""Starting values for SwAV."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: two whole and four half-size crops, 512 prototypes, narrow heads."""
    return {
        "views": "multicrop-small", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4,
        "decay_vectors": False, "warmup": 0.05, "batch_size": 256, "epochs": 100,
        "projector_width": 512, "projector_dim": 128, "prototypes": 512,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: no small crops, a higher rate, prototypes that rest briefly."""
    return {
        **small(), "views": "cifar-min", "lr": 5e-3, "warmup": 0.1, "batch_size": 128, "epochs": 2,
        "freeze_prototypes": 0.1,
    }  # fmt: skip


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's crops, prototypes and queue for small batches, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "weight_decay": 1e-4, "decay_vectors": False, "warmup": 0.05, "final_lr": 0.0,
        "batch_size": 256, "epochs": 100, "queue_length": 3840,
    }  # fmt: skip
