"""The backbone for use without unlabel. Whatever is written is read back, and its features are compared."""

import importlib.util
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from unlabel.engine.folder import RunFolder, write_atomically
from unlabel.engine.keep import backbone_facts, load_backbone, spec_of
from unlabel.engine.places import check_file, check_folder
from unlabel.errors import Fault, writing
from unlabel.nn import backbones

TOLERANCE = 1e-5
FORMATS = ("timm", "torchvision", "onnx")


def write_export(folder: RunFolder, to: str, out: Path) -> Path:
    """Write the run's backbone to `out` (a folder; for onnx a file) and check what was written.

    Fault: `out` cannot be written, the other library has no such network, a package is missing, or features differ by
    more than 1e-5.
    """
    facts = backbone_facts(folder)
    if "timm" not in facts and to != "onnx":
        raise Fault(f"{to} does not have {facts['name']}: export to onnx instead")
    if to == "onnx":
        out = out if out.suffix == ".onnx" else out / "backbone.onnx"
        check_file(out)
    else:
        check_folder(out)
    backbone = load_backbone(folder.path)
    torch.manual_seed(0)
    images = torch.randn(4, len(facts["mean"]), facts["size"], facts["size"])
    with torch.inference_mode():
        expected = backbone(images)
    write: dict[str, Callable[[nn.Module, dict[str, Any], Path], Path]] = {
        "timm": _timm, "torchvision": _torchvision, "onnx": _onnx,
    }  # fmt: skip
    read: dict[str, Callable[[Path, Tensor], Tensor]] = {
        "timm": _run_snippet, "torchvision": _run_snippet, "onnx": _run_onnx,
    }  # fmt: skip
    with writing(out):
        written = write[to](backbone, facts, out)
    difference = float((read[to](written, images) - expected).abs().max())
    if difference > TOLERANCE * max(1.0, float(expected.abs().max())):
        raise Fault(f"{written} gives features that differ by {difference:.1e} from the backbone's: do not use it")
    return written


def _write_folder(out: Path, tensors: dict[str, Tensor], facts: dict[str, Any], code: str) -> Path:
    """Weights, facts, and the lines of Python that build the network around them."""
    weights = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomically(out / "model.safetensors", save_tensors(weights))
    told = ("timm", "kwargs", "stem", "size", "grid", "overlap", "mean", "std", "method")
    kept = {key: facts[key] for key in told if key in facts}
    write_atomically(out / "config.json", (json.dumps(kept, indent=1) + "\n").encode())
    write_atomically(out / "load.py", code.encode())
    return out


def _loading(build: str) -> str:
    """The source of load.py around the lines that make `model`."""
    return (
        '"""Builds the backbone with its weights as `model`: images [B, C, S, S] -> features [B, D]."""\n\n'
        "from pathlib import Path\n\nfrom safetensors.torch import load_file\n"
        f"{build.rstrip()}\n"
        'model.load_state_dict(load_file(Path(__file__).parent / "model.safetensors"))\nmodel.eval()\n'
    )


def _run_snippet(written: Path, images: Tensor) -> Tensor:
    """Features by the exported files alone: run their load.py, as a user without unlabel would."""
    # Not imported: that would run bytecode that somebody has left beside it instead.
    model = runpy.run_path(str(written / "load.py"))["model"]
    with torch.inference_mode():
        return model(images)


# ---------------------------------------------------------------------------------------------- timm


def _timm(backbone: nn.Module, facts: dict[str, Any], out: Path) -> Path:
    # Made anew: the lines that backbone.json holds may be anybody's, and these are run.
    return _write_folder(out, backbone.state_dict(), facts, _loading(backbones.timm_snippet(spec_of(facts))))


# ---------------------------------------------------------------------------------------- torchvision


def _torchvision(backbone: nn.Module, facts: dict[str, Any], out: Path) -> Path:
    """ResNets and class-token ViTs have the same architecture there; weights are renamed, not changed."""
    kind = type(backbone).__name__
    if kind == "ResNet":
        tensors, build = backbone.state_dict(), _resnet_lines(backbone, facts)
    elif kind == "VisionTransformer":
        tensors, build = _vit_names(backbone), _vit_lines(backbone, facts)
    else:
        raise Fault(f"torchvision has no {facts['timm']} as it is built here: export to timm or onnx instead")
    return _write_folder(out, tensors, facts, _loading(build))


def _resnet_lines(backbone: Any, facts: dict[str, Any]) -> str:
    block = type(backbone.layer1[0]).__name__
    layers = [len(getattr(backbone, f"layer{i}")) for i in range(1, 5)]
    width = backbone.layer1[0].conv1.weight.shape[0]
    standard = all(getattr(backbone, f"layer{i}")[0].conv1.weight.shape[0] == 64 * 2 ** (i - 1) for i in range(1, 5))
    plain = isinstance(backbone.conv1, nn.Conv2d) and block in ("BasicBlock", "Bottleneck")
    if not (standard and plain):
        raise Fault(
            f"torchvision has no ResNet of first width {width} ({facts['name']}): export to timm or onnx instead"
        )
    lines = [
        "from torch import nn",
        f"from torchvision.models.resnet import ResNet, {block}",
        "",
        f"model = ResNet({block}, {layers})",
        "model.fc = nn.Identity()",
    ]
    conv = backbone.conv1
    shape = f"{conv.in_channels}, {conv.out_channels}, {conv.kernel_size}, {conv.stride}, {conv.padding}"
    lines.append(f"model.conv1 = nn.Conv2d({shape}, bias=False)")
    if isinstance(backbone.maxpool, nn.Identity):
        lines.append("model.maxpool = nn.Identity()")
    return "\n".join(lines) + "\n"


def _vit_lines(backbone: Any, facts: dict[str, Any]) -> str:
    if spec_of(facts).channels != 3:
        raise Fault(f"torchvision's ViT looks at RGB images, not at {spec_of(facts).channels} channels: export to timm")
    if backbone.global_pool != "token":
        raise Fault(
            "torchvision's ViT takes its class token, and this run averages patch tokens: export to timm or onnx"
        )
    patch = backbone.patch_embed.patch_size[0]
    block = backbone.blocks[0]
    width, hidden = block.mlp.fc1.weight.shape[1], block.mlp.fc1.weight.shape[0]
    return (
        "from functools import partial\n\nfrom torch import nn\n"
        "from torchvision.models.vision_transformer import VisionTransformer\n\n"
        f"model = VisionTransformer({facts['size']}, {patch}, {len(backbone.blocks)}, {block.attn.num_heads}, "
        f"{width}, {hidden}, "
        f"norm_layer=partial(nn.LayerNorm, eps={block.norm1.eps}))\nmodel.heads = nn.Identity()\n"
    )


def _vit_names(backbone: Any) -> dict[str, Tensor]:
    """timm's names for the parts of a ViT -> torchvision's."""
    outside = {
        "cls_token": "class_token", "pos_embed": "encoder.pos_embedding",
        "patch_embed.proj": "conv_proj", "norm": "encoder.ln",
    }  # fmt: skip
    inside = {
        "norm1": "ln_1", "norm2": "ln_2", "attn.qkv.": "self_attention.in_proj_",
        "attn.proj": "self_attention.out_proj", "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.3",
    }  # fmt: skip
    renamed = {}
    for name, tensor in backbone.state_dict().items():
        if name.startswith("blocks."):
            _, number, rest = name.split(".", 2)
            old = next((part for part in inside if rest.startswith(part)), None)
            if old is None:
                raise Fault(f"torchvision's ViT has no part like {name}: export to timm or onnx instead")
            renamed[f"encoder.layers.encoder_layer_{number}.{rest.replace(old, inside[old], 1)}"] = tensor
        else:
            old = next((part for part in outside if name.startswith(part)), None)
            if old is None:
                raise Fault(f"torchvision's ViT has no part like {name}: export to timm or onnx instead")
            renamed[name.replace(old, outside[old], 1)] = tensor
    return renamed


# ----------------------------------------------------------------------------------------------- onnx


def _onnx(backbone: nn.Module, facts: dict[str, Any], out: Path) -> Path:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise Fault(f"export to onnx needs the package {package}: pip install 'unlabel[onnx]'")
    out.parent.mkdir(parents=True, exist_ok=True)
    example = torch.randn(2, len(facts["mean"]), facts["size"], facts["size"])
    torch.onnx.export(
        backbone, (example,), str(out), input_names=["images"], output_names=["features"],
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    return out


def _run_onnx(written: Path, images: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    (features,) = session.run(None, {"images": images.numpy()})
    return torch.from_numpy(features)
