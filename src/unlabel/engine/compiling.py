"""`torch.compile` for the networks of a method: an option, for on processors it brings a few per cent for a minute."""

import shutil
from collections.abc import Iterable

from timm.models import VisionTransformer
from torch import nn

from unlabel.errors import Fault
from unlabel.nn.generator import Generator, ResidualBlock
from unlabel.nn.lab import LabPair
from unlabel.nn.patch_grid import PatchGrid


def compile_networks(module: nn.Module, device: str, backend: str = "inductor") -> None:
    """Have every network of a method compiled when it is first called, in place; names of weights stay as they are.

    Of networks that methods call piece by piece, the blocks are compiled; they share their code. Raises Fault where the
    compiler that torch needs on processors is missing.
    """
    if device == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++", "c++", "cl")):
        raise Fault("option `compile` needs a C++ compiler on the path: install g++ or clang, or leave the option out")
    for child in module.children():
        if isinstance(child, nn.ModuleDict | nn.ModuleList | LabPair | PatchGrid):
            compile_networks(child, device, backend)
        elif isinstance(child, VisionTransformer):
            _compile(child.blocks, backend)
        elif isinstance(child, Generator):
            _compile((layer for layer in child.layers if isinstance(layer, ResidualBlock)), backend)
        else:
            _compile([child], backend)


def _compile(modules: Iterable[nn.Module], backend: str) -> None:
    for module in modules:
        if any(True for _ in module.parameters()):
            module.compile(backend=backend)
