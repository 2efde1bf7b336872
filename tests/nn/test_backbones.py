import ast
import inspect
import json
import socket
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.nn import backbones
from unlabel.nn.backbones import OWN, Spec, build, denser, is_vit, resolve, timm_snippet


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a backbone must never be downloaded")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def images(size: int, b: int = 2) -> Tensor:
    return torch.randn(b, 3, size, size)


def millions(model: nn.Module) -> float:
    return sum(p.numel() for p in model.parameters()) / 1e6


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(("wrong", "meant"), [("tiny_resnt", "tiny_resnet"), ("resnet-18", "resnet18")])
def test_an_unknown_name_is_a_fault_with_the_nearest_one(wrong: str, meant: str) -> None:
    with pytest.raises(Fault, match=f"unknown backbone `{wrong}`; did you mean `{meant}`"):
        resolve(wrong, 32)


def test_resolving_builds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", None)
    for name in (*OWN, "resnet50", "vit_base_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto"):
        assert resolve(name, 32, pool="mean").name == name


@pytest.mark.parametrize("name", [*OWN, "resnet18", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_spec_survives_json(name: str) -> None:
    spec = resolve(name, 48, pool="mean")
    assert Spec(**json.loads(json.dumps(asdict(spec)))) == spec


@pytest.mark.parametrize(
    ("name", "expected", "width"),
    [
        ("tiny_resnet", 0.3169, 128),
        ("small_resnet", 2.8073, 256),
        ("tiny_vit", 1.8019, 192),
        ("small_vit", 5.3610, 192),
    ],
)
def test_our_own_are_as_small_as_they_say(name: str, expected: float, width: int) -> None:
    model = build(resolve(name, 32))
    assert millions(model) == pytest.approx(expected, abs=5e-4)
    assert model(images(32)).shape == (2, width) and model.num_features == width


# ------------------------------------------------------------------ building


def test_the_global_generator_makes_the_weights_and_nothing_else_uses_it() -> None:
    spec = resolve("tiny_vit", 32)
    torch.manual_seed(3)
    ours, after = build(spec), torch.get_rng_state()
    torch.manual_seed(3)
    plain = timm.create_model(spec.timm, **spec.kwargs)
    assert torch.equal(torch.get_rng_state(), after)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))


def test_looking_at_the_size_leaves_no_trace() -> None:
    model = build(resolve("tiny_resnet", 32))
    assert model.training and model.bn1.num_batches_tracked == 0 and model.bn1.running_mean.abs().sum() == 0
    assert not any(layer._forward_pre_hooks for layer in build(resolve("mobilenetv3_small_050", 32)).modules())


def test_a_new_first_layer_is_initialised_as_timm_does_it() -> None:
    weight = build(resolve("resnet18", 32)).conv1.weight
    assert float(weight.detach().std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)  # Kaiming, fan out


def test_num_features_is_the_width_of_what_comes_out() -> None:
    model = build(resolve("mobilenetv3_small_050", 32))
    assert model(images(32)).shape == (2, model.num_features)


def test_a_network_that_cannot_run_at_the_size_is_a_fault() -> None:
    with pytest.raises(Fault, match="`efficientformer_l1` cannot work on 32 px images"):
        build(resolve("efficientformer_l1", 32))


def test_arguments_that_timm_refuses_are_a_fault() -> None:
    with pytest.raises(Fault, match="`resnet18` cannot work on 32 px images"):
        build(Spec("resnet18", "resnet18", {"no_such_argument": 1}, "timm", 32))


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("resnet18", {"checkpoint_path": "weights.pth"}),
        ("resnet18", {"in_chans=print('run'), num_classes": None}),  # timm would pass over it, and Python run it
        ("hf-hub:somebody/resnet18", {"num_classes": 0}),
        ("local-dir:resnet18", {"num_classes": 0}),
    ],
)
def test_a_stored_spec_loads_no_file_and_holds_no_code(name: str, kwargs: dict[str, object]) -> None:
    with pytest.raises(Fault, match="altered or damaged; restore it"):
        Spec.stored({"name": "resnet18", "timm": name, "kwargs": kwargs, "stem": "timm", "size": 32})


def test_a_network_without_a_vector_is_a_fault() -> None:
    with pytest.raises(Fault, match="makes no vector of an image"):
        build(Spec("resnet18", "resnet18", {"num_classes": 0, "global_pool": ""}, "timm", 32))


@pytest.mark.parametrize("name", ["tiny_resnet", "small_resnet", "resnet18", "resnet50"])
@pytest.mark.parametrize("size", [32, 96])
def test_residual_branches_of_resnets_begin_at_zero(name: str, size: int) -> None:
    """The gain of the last batch norm of each, as BYOL, SimSiam and Barlow Twins have it; all other gains are one."""
    model = build(resolve(name, size))
    blocks = [block for stage in (model.layer1, model.layer2, model.layer3, model.layer4) for block in stage]
    last = [block.bn3 if name == "resnet50" else block.bn2 for block in blocks]
    assert all(norm.weight.eq(0).all() for norm in last)
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d) and part not in last]
    assert len(norms) > len(last) and all(norm.weight.eq(1).all() for norm in norms)


# ------------------------------------------------------------------ stems


def shrinks(model: nn.Module, size: int) -> int:
    with torch.no_grad():
        return size // model.eval().forward_features(images(size, 1)).shape[-1]


@pytest.mark.parametrize(
    ("name", "size", "kernel", "stride", "pooled", "total"),
    [
        ("tiny_resnet", 16, 3, 1, False, 8),
        ("tiny_resnet", 24, 3, 1, False, 8),
        ("tiny_resnet", 32, 3, 2, False, 16),
        ("tiny_resnet", 48, 3, 2, False, 16),
        ("tiny_resnet", 64, 7, 2, True, 32),
        ("resnet18", 32, 3, 1, False, 8),
        ("resnet18", 64, 3, 2, False, 16),
        ("resnet18", 96, 7, 2, True, 32),
    ],
)
def test_resnet_stems(name: str, size: int, kernel: int, stride: int, pooled: bool, total: int) -> None:
    model = build(resolve(name, size))
    assert model.conv1.kernel_size == (kernel, kernel) and model.conv1.stride == (stride, stride)
    assert isinstance(model.maxpool, nn.MaxPool2d) == pooled
    assert shrinks(model, size) == total


@pytest.mark.parametrize(
    "name",
    [
        "resnet14t",
        "regnety_002",
        "repvgg_a0",
        "mobilenetv3_small_050",
        "test_efficientnet",
        "test_byobnet",
        "test_nfnet",
    ],
)
def test_other_networks_shrink_small_images_less(name: str) -> None:
    assert shrinks(build(resolve(name, 32)), 32) == 8
    assert shrinks(build(resolve(name, 64)), 64) == 16
    assert shrinks(build(resolve(name, 96)), 96) == 32


# ------------------------------------------------------------------ vision transformers


@pytest.mark.parametrize(
    ("name", "size", "patch"),
    [
        ("tiny_vit", 16, 2), ("tiny_vit", 24, 3), ("tiny_vit", 28, 4), ("tiny_vit", 32, 4), ("tiny_vit", 64, 8),
        ("small_vit", 96, 12), ("tiny_vit", 224, 28),
        ("vit_tiny_patch16_224", 32, 4), ("vit_tiny_patch16_224", 64, 8), ("vit_tiny_patch16_224", 96, 12),
        ("vit_tiny_patch16_224", 128, 16), ("vit_tiny_patch16_224", 224, 16), ("vit_base_patch32_224", 32, 4),
        ("vit_small_patch14_dinov2", 224, 14), ("vit_small_patch8_224", 224, 8), ("vit_small_patch16_224", 250, 25),
    ],
)  # fmt: skip
def test_patches_keep_about_eight_a_side(name: str, size: int, patch: int) -> None:
    assert resolve(name, size).kwargs["patch_size"] == patch


@settings(deadline=None)
@given(st.integers(16, 512))
def test_patches_fill_the_image_or_it_is_a_fault(size: int) -> None:
    try:
        patch = resolve("tiny_vit", size).kwargs["patch_size"]
    except Fault:
        assert size % 8  # whatever 8 divides has an answer
    else:
        assert size % patch == 0 and 4 < size / patch < 16 and patch >= 2


def test_an_image_that_cannot_be_cut_is_a_fault() -> None:
    with pytest.raises(Fault, match="`tiny_vit` cannot cut 37 px images into equal patches"):
        resolve("tiny_vit", 37)


@pytest.mark.parametrize("name", ["tiny_vit", "vit_tiny_patch16_224", "deit3_small_patch16_224"])
def test_pooling(name: str) -> None:
    x = images(32)
    model = build(resolve(name, 32)).eval()
    torch.testing.assert_close(model(x), model.forward_features(x)[:, 0])
    model = build(resolve(name, 32, pool="mean")).eval()
    torch.testing.assert_close(model(x), model.forward_features(x)[:, 1:].mean(dim=1))
    assert model(x).std() > 0.1 and isinstance(model.norm, nn.LayerNorm)  # normed tokens, not normed means


def test_a_vision_transformer_takes_smaller_images_too() -> None:
    assert build(resolve("tiny_vit", 32))(images(16)).shape == (2, 192)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("tiny_vit", True),
        ("deit_tiny_patch16_224", True),
        ("deit_tiny_distilled_patch16_224", False),
        ("eva02_tiny_patch14_224", False),
        ("tiny_resnet", False),
    ],
)
def test_which_are_plain_vision_transformers(name: str, plain: bool) -> None:
    assert is_vit(build(resolve(name, 32))) == plain


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "test_vit_relpos", "xcit_nano_12_p8_224"])
def test_transformers_tied_to_one_size(name: str) -> None:
    assert build(resolve(name, 32))(images(32)).ndim == 2


# ------------------------------------------------------------------ plain timm


@pytest.mark.parametrize(
    ("name", "size", "pool"),
    [
        ("tiny_resnet", 32, "default"),
        ("tiny_resnet", 64, "default"),
        ("small_resnet", 32, "default"),
        ("resnet18", 32, "default"),
        ("resnet18", 64, "default"),
        ("resnet50", 224, "default"),
        ("tiny_vit", 32, "default"),
        ("tiny_vit", 32, "mean"),
        ("vit_tiny_patch16_224", 32, "default"),
        ("vit_tiny_patch16_224", 224, "mean"),
        ("convnext_atto", 32, "default"),
        ("efficientnet_b0", 32, "default"),
        ("mobilenetv3_small_100", 32, "default"),
        ("regnety_002", 32, "default"),
    ],
)
def test_the_snippet_builds_the_same_network_without_us(
    name: str, size: int, pool: backbones.Pool, tmp_path: Path
) -> None:
    spec = resolve(name, size, pool=pool)
    model = build(spec)
    with torch.no_grad():  # weights that no constructor would give by chance
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    save_file(model.state_dict(), weights := str(tmp_path / "backbone.safetensors"))
    before = torch.get_rng_state()
    source = timm_snippet(spec, weights)
    assert torch.equal(torch.get_rng_state(), before)
    assert imported(source) <= {"timm", "torch", "safetensors"}
    names: dict[str, nn.Module] = {}
    exec(source, names)
    x = images(size)
    with torch.no_grad():
        torch.testing.assert_close(names["model"](x), model.eval()(x), rtol=1e-5, atol=1e-5)


def test_the_snippet_of_two_networks_builds_both_without_us(tmp_path: Path) -> None:
    spec = replace(resolve("tiny_resnet", 32), lab=True)
    model = build(spec)
    save_file(model.state_dict(), weights := str(tmp_path / "backbone.safetensors"))
    source = timm_snippet(spec, weights)
    assert imported(source) <= {"timm", "torch", "safetensors", "copy"}
    names: dict[str, nn.Module] = {}
    exec(source, names)
    with torch.no_grad():
        torch.testing.assert_close(names["model"](x := images(32)), model.eval()(x))
    assert Spec(**json.loads(json.dumps(asdict(spec)))) == spec


def test_the_snippet_without_weights_reads_no_file() -> None:
    source = timm_snippet(resolve("tiny_resnet", 32))
    assert "load" not in source
    exec(source, {})


def imported(source: str) -> set[str]:
    tree = ast.parse(source)
    whole = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    parts = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in whole | parts}


def test_our_own_names_do_not_hide_any_of_timms() -> None:
    assert not set(OWN) & set(timm.list_models())
    assert all(description and inspect.cleandoc(description) == description for description in OWN.values())


@pytest.mark.parametrize(("name", "side"), [("tiny_resnet", 18), ("tiny_vit", 16), ("tiny_vit", 20)])
def test_a_network_that_takes_small_crops_is_left_as_it_is(name: str, side: int) -> None:
    spec = resolve(name, 32)
    model = build(spec).train()
    before, generator = {n: t.clone() for n, t in model.state_dict().items()}, torch.get_rng_state()
    backbones.check_side(model, spec, side)
    assert model.training and torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_a_network_that_cannot_take_small_crops_says_so() -> None:
    spec = resolve("tiny_vit", 32)  # patches of 4 pixels
    with pytest.raises(Fault, match="`tiny_vit` cannot work on 18 px images"):
        backbones.check_side(build(spec), spec, 18)


@pytest.mark.parametrize(
    ("name", "size", "stride", "places"),
    [("resnet18", 96, 8, 12), ("resnet18", 96, 16, 6), ("tiny_resnet", 32, 8, 12), ("resnet18", 32, 8, 12)],
)
def test_a_resnet_is_made_denser_without_other_weights(name, size, stride, places):
    spec = resolve(name, size)
    before = build(spec).eval()
    after = build(denser(spec, before, stride)).eval()
    after.load_state_dict(before.state_dict())
    assert after.forward_features(torch.zeros(1, 3, 96, 96)).shape[2:] == (places, places)


def test_what_is_no_resnet_stays_as_it_is():
    spec = resolve("tiny_vit", 32)
    assert denser(spec, build(spec), 8) is spec
