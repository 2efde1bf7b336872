"""Backbones by name: timm's, fitted to the size of the images, and four small ones of our own.

A `Spec` is plain values from which the same network is always built, here or by anyone in plain timm
(`timm_snippet`). Fitting a network to images smaller than those it was designed for means:

    ViT       a patch that keeps at least 8 patches a side (4 px at 32 px), and a position table to match
    ResNet    up to 64 px: the 7x7 stride-2 convolution becomes 3x3, the max-pool goes (as in SimCLR,
              arXiv 2002.05709, appendix B.9); stride 1 up to 40 px, stride 2 above
    other CNN the same idea: the layers that first shrink the image, to 1/4 of its side, keep it as it is, above
              40 px halve it; convolutions lose their stride, pooling goes, stems of patches become 3x3 convolutions
"""

import inspect
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeGuard

import timm
import torch
from timm.layers import Attention, BlurPool2d
from timm.models import ResNet, VisionTransformer, VisionTransformerDistilled
from torch import Tensor, nn

from unlabel.errors import Fault, nearest
from unlabel.nn import lab
from unlabel.nn.patch_grid import PatchGrid, layer_norms

Stem = Literal["timm", "small", "small/2"]
Pool = Literal["default", "mean"]

OWN = {
    "tiny_resnet": "ResNet of basic blocks [1, 1, 1, 1], widths 16 to 128 (0.3 M); for two cores",
    "small_resnet": "resnet18 at half width, 32 to 256 (2.8 M)",
    "tiny_vit": "ViT of width 192 and depth 4, 8 x 8 patches (1.8 M at 32 px); for two cores",
    "small_vit": "ViT of width 192 and depth 12, 8 x 8 patches (5.4 M at 32 px)",
}
"""Our own names -> what they are."""

SMALL = 64
"""Up to this side, in pixels, networks for 224 px get a stem for small images."""

_TINY = 40  # up to this side a small stem does not shrink the image at all

# What the networks of a timm module must be told about the size. Others that are tied to one size take `img_size`.
_TOLD: dict[str, tuple[str, ...]] = {
    "vision_transformer": ("img_size", "patch_size", "dynamic_img_size"),
    "deit": ("img_size", "patch_size", "dynamic_img_size"),
    "eva": ("img_size", "patch_size", "dynamic_img_size"),
    "vision_transformer_hybrid": ("img_size", "dynamic_img_size"),
    **{
        module: ("img_size", "patch_size")
        for module in ("beit", "cait", "convit", "tnt", "vision_transformer_relpos", "deepseek_vit", "qwen3_vit")
    },
    **{
        module: ("img_size", "patch_stem", "window_size")
        for module in ("swin_transformer", "swin_transformer_v2", "swin_transformer_v2_cr")
    },
    "convmixer": (),
    "crossvit": (),
    "hieradet_sam2": (),
}
# Vision transformers of these modules can be told to average their normalised patch tokens.
_AVERAGING = ("vision_transformer", "deit", "vision_transformer_hybrid", "vision_transformer_relpos")
_AVERAGE = {"global_pool": "avg", "fc_norm": False}
# What timm is ever told. It takes more, such as a file to load, and a run folder may be anybody's.
_ARGUMENTS = {
    "num_classes", "in_chans", "img_size", "dynamic_img_size", "patch_size", "window_size", "output_stride",
    "layers", "channels", "depth", "global_pool", "fc_norm",
}  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """What a backbone is built from; plain values.

    name    as asked for
    timm    the name in timm
    kwargs  of `timm.create_model(timm, **kwargs)`
    stem    "timm": as it is; "small" (does not shrink the image) or "small/2" (halves it): changed after building
    size    side of the images, in pixels
    lab     two such networks instead of one, for the lightness and for the colours of RGB images: `unlabel.nn.lab`
    grid    patches a side through which images are seen, each patch by itself (`PatchGrid`); 0: they are seen whole
    overlap of neighbouring patches, as a share of their side
    """

    name: str
    timm: str
    kwargs: dict[str, Any]
    stem: Stem
    size: int
    lab: bool = False
    grid: int = 0
    overlap: float = 0.0

    @classmethod
    def stored(cls, values: Mapping[str, Any]) -> "Spec":
        """The one that a file describes; Fault for what `resolve` never makes, as an altered file may say."""
        spec = cls(**values)
        ours = isinstance(spec.timm, str) and timm.is_model(spec.timm) and isinstance(spec.kwargs, dict)
        if not ours or not spec.kwargs.keys() <= _ARGUMENTS:
            raise Fault(
                f"no backbone is built as timm's `{spec.timm}` with {spec.kwargs}: the file that says so was altered "
                "or damaged; restore it, or train again"
            )
        return spec

    @property
    def title(self) -> str:
        """What to call the network in a table: its name, and what was made of it."""
        pair = f"two {self.name} for lightness and colour" if self.lab else self.name
        return f"{pair} on {self.grid} x {self.grid} patches" if self.grid else pair

    @property
    def channels(self) -> int:
        """C, how many channels images have."""
        return int(self.kwargs.get("in_chans", 3))


def resolve(name: str, size: int, *, pool: Pool = "default", channels: int = 3) -> Spec:
    """The spec of the backbone called `name` (ours or timm's) for images of `size` pixels. Builds nothing.

    pool  how a ViT makes its one vector: "default" is timm's way, the class token for nearly all;
          "mean" is the mean of the normalised patch tokens. Convolutional networks pool by the mean anyway.

    Faults: an unknown name (with the nearest known one); a size that cannot be cut into patches.
    """
    spec = _fitted(name, size, pool)
    return spec if channels == 3 else replace(spec, kwargs={**spec.kwargs, "in_chans": channels})


def _fitted(name: str, size: int, pool: Pool) -> Spec:
    own: dict[str, Any]
    match name:
        case "tiny_resnet":
            own = {"layers": [1, 1, 1, 1], "channels": [16, 32, 64, 128]}
            stem: Stem = "small" if size <= 24 else "small/2" if size < SMALL else "timm"
            return Spec(name, "resnet18", {"num_classes": 0, **own}, stem, size)
        case "small_resnet":
            own = {"channels": [32, 64, 128, 256]}
            return Spec(name, "resnet18", {"num_classes": 0, **own}, _small_stem(size), size)
        case "tiny_vit" | "small_vit":
            own = {"img_size": size, "patch_size": _patch(name, size, size / 8), "dynamic_img_size": True}
            own |= {"depth": 4 if name == "tiny_vit" else 12}
            own |= _AVERAGE if pool == "mean" else {}
            return Spec(name, "vit_tiny_patch16_224", {"num_classes": 0, **own}, "timm", size)
    if not timm.is_model(name):
        raise Fault(f"unknown backbone `{name}`{nearest(name, [*OWN, *timm.list_models()])}")
    module = timm.model_entrypoint(name).__module__.rpartition(".")[2]
    cfg = timm.get_pretrained_cfg(name)
    tied = cfg is not None and cfg.fixed_input_size
    told = _TOLD.get(module, ("img_size",) if tied else ())
    kwargs = {"num_classes": 0, **_told(name, size, told)}
    if pool == "mean" and module in _AVERAGING:
        kwargs |= _AVERAGE
    return Spec(name, name, kwargs, "timm" if tied or module in _TOLD else _small_stem(size), size)


def build(spec: Spec) -> nn.Module:
    """The network, freshly initialised from torch's global generator: images [B, C, S, S] -> features [B, D].

    `num_features` is D. Fault where the network cannot run at this size, or makes no vector of an image.
    """
    try:
        model = timm.create_model(spec.timm, pretrained=False, **spec.kwargs)
    except Exception as problem:  # timm refuses in many ways; the sentence says which network and size
        raise _refusal(spec, spec.size, problem) from problem
    for edit in _edits(model, spec):
        edit.apply(model)
    if spec.grid:
        model = PatchGrid(model, spec.grid, spec.overlap)
    generator = torch.Generator().manual_seed(0)  # the global one is the caller's
    x = torch.randn(2, spec.channels, spec.size, spec.size, generator=generator)
    try:
        features = _look(model, x)
    except Exception as problem:
        raise _refusal(spec, spec.size, problem) from problem
    if not isinstance(features, Tensor) or features.ndim != 2:
        raise Fault(f"backbone `{spec.name}` makes no vector of an image: choose another, such as resnet18")
    # In timm it is the width before a last layer that some networks have (MobileNetV3: 576 of 1024).
    model.num_features = features.shape[1]  # type: ignore[assignment]
    return lab.LabPair(model) if spec.lab else model


def denser(spec: Spec, model: nn.Module, stride: int) -> Spec:
    """The spec whose last feature map has a place every `stride` pixels, 8 or 16, if its `model` is a ResNet.

    Its last stages widen their convolutions instead of taking steps, which changes no weight. Other networks, and those
    that are as dense already, stay as they are.
    """
    if not isinstance(model, ResNet):
        return spec
    stem = {"timm": 4, "small/2": 2, "small": 1}[spec.stem]  # timm counts it as 4
    wanted = stride * 4 // stem
    return spec if wanted >= 32 else replace(spec, kwargs={**spec.kwargs, "output_stride": wanted})


def check_side(model: nn.Module, spec: Spec, side: int) -> None:
    """Fault where the network built from `spec` cannot take images of another side, such as small crops."""
    try:
        _look(model, torch.zeros(1, spec.channels, side, side))
    except Exception as problem:
        raise _refusal(spec, side, problem) from problem


def is_vit(backbone: nn.Module) -> TypeGuard[VisionTransformer]:
    """Whether it is a plain vision transformer, one that `unlabel.nn.vit.tokens` can host."""
    return isinstance(backbone, VisionTransformer) and not isinstance(backbone, VisionTransformerDistilled)


def timm_snippet(spec: Spec, weights: str | None = None) -> str:
    """Python source that builds the same network, as `model`, without this library.

    weights  a safetensors file that the source shall load; None leaves the weights random
    """
    with torch.random.fork_rng(devices=[]):
        edits = _edits(timm.create_model(spec.timm, pretrained=False, **spec.kwargs), spec)
    arguments = "".join(f", {name}={value!r}" for name, value in spec.kwargs.items())
    grid = spec.grid > 0
    lines = ["import timm"]
    lines += ["import torch"] if edits else []
    lines += ["from timm.layers import BatchNormAct2d", "from torch import Tensor, nn"] if grid else []
    lines += ["from safetensors.torch import load_file"] if weights else []
    lines += ["\n\n" + inspect.getsource(part).rstrip() for part in (layer_norms, PatchGrid)] if grid else []
    lines += ["", f"model = timm.create_model({spec.timm!r}, pretrained=False{arguments})"]
    lines += [edit.source() for edit in edits]
    lines += [inspect.getsource(lab), "model = LabPair(model)"] if spec.lab else []
    lines += [f"model = PatchGrid(model, grid={spec.grid!r}, overlap={spec.overlap!r})"] if grid else []
    lines += [f"model.load_state_dict(load_file({weights!r}))"] if weights else []
    return "\n".join([*lines, "model.eval()", ""])


# -------------------------------------------------------------------------------------- sizes


def _small_stem(size: int) -> Stem:
    return "small" if size <= _TINY else "small/2" if size <= SMALL else "timm"


def _told(name: str, size: int, told: tuple[str, ...]) -> dict[str, Any]:
    """The values of what a network must be told."""
    kwargs: dict[str, Any] = {}
    for what in told:
        match what:
            case "img_size":
                kwargs["img_size"] = size
            case "dynamic_img_size":
                kwargs["dynamic_img_size"] = True
            case "patch_size":
                native = re.search(r"patch(\d+)", name)
                kwargs["patch_size"] = _patch(name, size, min(float(native[1]) if native else 16.0, size / 8))
            case "patch_stem" if size <= SMALL:
                kwargs["patch_size"] = max(1, size // 16)
            case "window_size" if size <= SMALL:
                kwargs["window_size"] = 4
    return kwargs


def _patch(name: str, size: int, wanted: float) -> int:
    """The divisor of `size`, at least 2, that is nearest to `wanted` by ratio."""
    fits = [p for p in range(2, size + 1) if size % p == 0 and wanted / 2 < p < wanted * 2]
    if not fits:
        raise Fault(f"`{name}` cannot cut {size} px images into equal patches: choose a size that 8 divides")
    return min(fits, key=lambda p: abs(math.log(p / wanted)))


def _refusal(spec: Spec, side: int, problem: Exception) -> Fault:
    said = " ".join(str(problem).split())[:120]
    return Fault(
        f"backbone `{spec.name}` cannot work on {side} px images ({said or type(problem).__name__}): "
        "choose another size or backbone"
    )


def _look(model: nn.Module, x: Tensor) -> Any:
    """One forward pass that changes nothing."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return model(x)
    finally:
        model.train(training)


# -------------------------------------------------------------------------------------- stems


@dataclass(frozen=True)
class _Edit:
    """One change to the layer called `name`, made here (`apply`) or shown to others (`source`)."""

    name: str
    become: Literal["conv3x3", "identity", "stride"]
    stride: int = 1
    width: tuple[int, int] = (0, 0)  # channels in and out
    bias: bool = False

    def apply(self, model: nn.Module) -> None:
        """Make the change."""
        match self.become:
            case "conv3x3":
                conv = nn.Conv2d(*self.width, 3, self.stride, padding=1, bias=self.bias)
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")  # as timm's ResNet
                model.set_submodule(self.name, conv)
            case "identity":
                model.set_submodule(self.name, nn.Identity())
            case "stride":
                model.get_submodule(self.name).stride = (self.stride, self.stride)  # type: ignore[assignment]

    def source(self) -> str:
        """The change as a line of Python."""
        match self.become:
            case "conv3x3":
                sizes = f"{self.width[0]}, {self.width[1]}, 3, stride={self.stride}"
                conv = f"torch.nn.Conv2d({sizes}, padding=1, bias={self.bias})"
                return f"model.set_submodule({self.name!r}, {conv})"
            case "identity":
                return f"model.set_submodule({self.name!r}, torch.nn.Identity())"
            case "stride":
                return f"model.get_submodule({self.name!r}).stride = ({self.stride}, {self.stride})"


def _edits(model: nn.Module, spec: Spec) -> list[_Edit]:
    """The changes that make the stem small."""
    if spec.stem == "timm":
        return []
    left = 2 if spec.stem == "small/2" else 1
    if isinstance(model, ResNet) and isinstance(model.conv1, nn.Conv2d):
        return [_conv3x3("conv1", model.conv1, left), _Edit("maxpool", "identity")]
    removed = 4 // left
    edits = []
    for name, shrunk in _shrinking(model, spec.size, spec.channels).items():
        layer = model.get_submodule(name)
        if shrunk >= removed:
            continue
        before = _stride(layer)
        stride = max(1, before // (removed // shrunk))
        if not isinstance(layer, nn.Conv2d):
            edits += [_Edit(name, "identity")] if stride == 1 else []
        elif layer.kernel_size[0] > before or layer.kernel_size[0] == 1:
            edits.append(_Edit(name, "stride", stride))
        elif before <= 4 and layer.groups == 1:  # patches side by side: without a stride they would not fit
            edits.append(_conv3x3(name, layer, stride))
    return edits


def _conv3x3(name: str, old: nn.Conv2d, stride: int) -> _Edit:
    return _Edit(name, "conv3x3", stride, (old.in_channels, old.out_channels), old.bias is not None)


def _shrinking(model: nn.Module, size: int, channels: int) -> dict[str, int]:
    """Layers with a stride -> by how much (1, 2, 4, ...) their input is smaller than the image.

    Branches side by side (a residual and its shortcut) see the same size, and so are always changed together.
    """
    seen: dict[str, int] = {}

    def note(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen[name] = 2 ** round(math.log2(size / inputs[0].shape[-1]))

        return hook

    handles = [
        layer.register_forward_pre_hook(note(name))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d | BlurPool2d) and _stride(layer) > 1
    ]
    # A network too deep for the size may fail late, when its first layers have been seen; `build` judges the result.
    with suppress(Exception):
        _look(model, torch.zeros(1, channels, size, size))
    for handle in handles:
        handle.remove()
    return seen


def _stride(layer: Any) -> int:
    return layer.stride if isinstance(layer.stride, int) else layer.stride[0]


def attention_shape(spec: Spec) -> tuple[int, int, int] | None:
    """(width, heads, tokens) of a plain vision transformer's attention; None for other networks. Builds nothing."""
    with torch.device("meta"):
        model = timm.create_model(spec.timm, pretrained=False, **spec.kwargs)
    first = next((part for part in model.modules() if isinstance(part, Attention)), None)
    if not is_vit(model) or first is None:
        return None
    return model.embed_dim, first.num_heads, model.num_prefix_tokens + int(model.patch_embed.num_patches)
