"""The commands of `unlabel` as Python functions with the same names and options."""

from unlabel.api.packing import pack, verify_pack
from unlabel.api.pretraining import Result, pretrain
from unlabel.api.using import embed, evaluate, export, load, neighbors, report, translate

__all__ = [
    "Result",
    "embed",
    "evaluate",
    "export",
    "load",
    "neighbors",
    "pack",
    "pretrain",
    "report",
    "translate",
    "verify_pack",
]
