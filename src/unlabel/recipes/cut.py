"""Starting values for CUT."""

from typing import Any


def small() -> dict[str, Any]:
    """At most 96 pixels, two cores: narrow networks (1.1 M and 0.17 M parameters), one image an update."""
    return {
        "generator_width": 24, "generator_blocks": 6, "discriminator_width": 32, "discriminator_layers": 2,
        "batch_size": 1, "epochs": 20,
    }  # fmt: skip


def large() -> dict[str, Any]:
    """More than 96 pixels, one GPU: the paper's networks, half its epochs."""
    return {"batch_size": 1, "epochs": 200}
