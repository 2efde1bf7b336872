"""Starting values for MAE."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores or one GPU: a decoder of one narrow block, rate 1e-3 whatever the batch."""
    return {
        "lr": 1e-3, "lr_per": None, "warmup": 0.05, "batch_size": 128, "epochs": 200, "clip": 3.0,
        "decoder_width": 96, "decoder_depth": 1, "decoder_heads": 3,
    }  # fmt: skip


def minutes() -> dict[str, Any]:
    """At most 96 pixels and a few minutes on two cores: smaller batches, so more updates, and a higher rate."""
    return {**small(), "lr": 2e-3, "batch_size": 64, "epochs": 3}


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's masks and target, a lighter decoder, a batch that fits."""
    return {
        "lr": 1.5e-4, "batch_size": 256, "epochs": 200, "warmup": 0.05,
        "decoder_width": 256, "decoder_depth": 4, "decoder_heads": 8,
    }  # fmt: skip
