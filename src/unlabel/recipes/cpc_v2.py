"""Starting values for CPC v2."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: 5 x 5 patches that share half, a fifth of them of one colour, AdamW."""
    return {
        "optimiser": "adamw", "lr": 1e-3, "weight_decay": 1e-4, "warmup": 0.05, "schedule": "cosine",
        "batch_size": 64, "epochs": 100, "grid": 5, "overlap": 0.5, "steps_to_ignore": 1,
        "context_width": 128, "context_blocks": 3, "patch_drop": 0.2,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: more updates of fewer images, a higher rate."""
    return {**small(), "lr": 2e-3, "warmup": 0.1, "batch_size": 32, "epochs": 2}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's grid and context, a batch that fits, AdamW."""
    return {
        "optimiser": "adamw", "lr": 4e-4, "weight_decay": 1e-4, "warmup": 0.05, "schedule": "cosine",
        "batch_size": 64, "epochs": 100,
    }  # fmt: skip
