"""Starting values for CAST."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: AdamW, 4,096 keys, a faster teacher, maps of 4 x 4 and more."""
    return {
        "backbone": "small_resnet", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4,
        "decay_vectors": False, "warmup": 0.05, "batch_size": 256, "epochs": 100, "temperature": 0.2,
        "queue_length": 4096, "projector_layers": 2, "teacher_momentum": 0.99,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: a small network and queue, more updates at a higher rate."""
    return {
        **small(), "backbone": "tiny_resnet", "lr": 5e-3, "warmup": 0.1, "batch_size": 128, "epochs": 2,
        "queue_length": 512, "teacher_momentum": 0.98,
    }  # fmt: skip


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views and attention, a batch that fits, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "lr_per": 256, "weight_decay": 1e-4, "decay_vectors": False, "warmup": 0.05,
        "batch_size": 256, "epochs": 200, "temperature": 0.2, "queue_length": 16384, "projector_layers": 2,
        "teacher_momentum": 0.99,
    }  # fmt: skip
