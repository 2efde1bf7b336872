"""unlabel: self-supervised learning for computer vision.

unlabel.pretrain("simclr", data="DIR") trains; unlabel.load("runs/simclr-DIR-1") returns the backbone.
The functions are those of `unlabel.api`; they are imported when first used, so that `import unlabel` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Result",
    "Scanned",
    "atlas",
    "bench",
    "compare",
    "distil",
    "embed",
    "evaluate",
    "export",
    "finetune",
    "load",
    "neighbors",
    "pack",
    "pretrain",
    "report",
    "retrieve",
    "saliency",
    "scan",
    "segment",
    "translate",
    "verify_pack",
    "zeroshot",
]

if TYPE_CHECKING:
    from unlabel.api import (
        Result,
        Scanned,
        atlas,
        bench,
        compare,
        distil,
        embed,
        evaluate,
        export,
        finetune,
        load,
        neighbors,
        pack,
        pretrain,
        report,
        retrieve,
        saliency,
        scan,
        segment,
        translate,
        verify_pack,
        zeroshot,
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("unlabel.api"), name)
    raise AttributeError(f"module `unlabel` has no attribute `{name}`")
