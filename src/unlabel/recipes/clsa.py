"""Starting values for CLSA."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: a strong view of full size, 4,096 keys, momentum 0.99, AdamW."""
    return {
        "views": "clsa-small", "optimiser": "adamw", "lr": 2e-3, "lr_per": None, "weight_decay": 1e-4, "warmup": 0.05,
        "decay_vectors": False, "batch_size": 256, "epochs": 100, "projector_width": 256,
        "queue_length": 4096, "teacher_momentum": 0.99, "bn_splits": 8,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: more updates; queue and teacher as MoCo's for minutes."""
    return {
        **small(), "lr": 5e-3, "warmup": 0.1, "batch_size": 128, "epochs": 2, "temperature": 0.2,
        "queue_length": 512, "teacher_momentum": 0.98, "bn_splits": 1,
    }  # fmt: skip


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's views, a queue that suits fewer images, AdamW."""
    return {
        "optimiser": "adamw", "lr": 5e-4, "weight_decay": 1e-4, "warmup": 0.05,
        "decay_vectors": False, "batch_size": 256, "epochs": 100, "queue_length": 16384, "teacher_momentum": 0.99,
    }  # fmt: skip
