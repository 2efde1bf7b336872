"""Starting values for DINO."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: two global and four half-size crops, 1,024 prototypes."""
    return {
        "views": "dino-small", "optimiser": "adamw", "lr": 1e-3, "lr_per": None, "warmup": 0.1,
        "weight_decay": 0.04, "weight_decay_end": 0.1, "batch_size": 128, "epochs": 100,
        "prototypes": 1024, "head_width": 512, "bottleneck": 128, "teacher_momentum": 0.99,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: no small crops, a fast teacher, batch norm in the head."""
    return {
        **small(), "views": "cifar-asym", "lr": 2e-3, "epochs": 2, "teacher_momentum": 0.97, "freeze_last_layer": 0.1,
        "head_norm": True,
    }  # fmt: skip


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's crops, 4,096 prototypes, a batch that fits."""
    return {"batch_size": 128, "epochs": 100, "prototypes": 4096, "teacher_momentum": 0.996}
