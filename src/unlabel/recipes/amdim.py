"""Starting values for AMDIM."""

from typing import Any


def small() -> dict[str, Any]:
    """32 or 64 pixels (larger images: size=64), two cores or one GPU: a narrow encoder, AdamW."""
    return {
        "optimiser": "adamw", "lr": 1e-3, "weight_decay": 1e-4, "decay_vectors": False, "betas": (0.9, 0.999),
        "warmup": 0.05, "schedule": "cosine", "batch_size": 128, "epochs": 100,
        "encoder_width": 32, "encoder_depth": 2, "embedding_dim": 256,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """32 or 64 pixels and a few minutes on two cores: smaller batches, so more updates, and a higher rate."""
    return {**small(), "lr": 2e-3, "warmup": 0.1, "batch_size": 64, "epochs": 2}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's encoder at 128 pixels, fewer epochs."""
    return {"size": 128, "warmup": 0.02, "epochs": 100}
