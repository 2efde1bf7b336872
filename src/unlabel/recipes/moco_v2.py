"""Starting values for MoCo v2."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: the authors' CIFAR numbers (4,096 keys, momentum 0.99), with AdamW."""
    return {
        "views": "cifar-min", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "decay_vectors": False, "batch_size": 256, "epochs": 100, "temperature": 0.1, "projector_width": 256,
        "queue_length": 4096, "teacher_momentum": 0.99, "bn_splits": 8,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: more updates; queue and teacher as MoCo's for minutes."""
    return {
        **small(), "lr": 5e-3, "warmup": 0.1, "batch_size": 128, "epochs": 2, "temperature": 0.2,
        "queue_length": 512, "teacher_momentum": 0.98, "bn_splits": 1,
    }  # fmt: skip


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views and temperature, a queue that suits fewer images, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "weight_decay": 1e-4, "warmup": 0.05,
        "decay_vectors": False, "batch_size": 256, "epochs": 100, "queue_length": 16384, "teacher_momentum": 0.99,
    }  # fmt: skip
