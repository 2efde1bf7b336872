"""What each joint-embedding system is trained with unless told otherwise: the numbers of its paper or its code.

Steps of the rate, and which vectors are decayed, are in test_plans.py.
"""

import pytest

from unlabel import methods
from unlabel.engine.options import hyperparameters

LARS = {"optimiser": "lars", "momentum": 0.9, "schedule": "cosine", "clip": None, "weight_decay_end": None}
SGD = {"optimiser": "sgd", "momentum": 0.9, "nesterov": False, "warm_up": 0, "weight_decay_end": None}

# warm_up in epochs; last: the rate at the end of training, where it is not 0. What a paper does not say is left out.
PLANS = {
    "amdim": {
        "optimiser": "adam", "betas": (0.8, 0.999), "lr": 2e-4, "lr_per": None, "weight_decay": 1e-5,
        "schedule": "steps", "batch_size": 200, "epochs": 300,
    },
    "barlow_twins": {
        **LARS, "lr": 0.2, "lr_per": 256, "vectors": 0.0048, "weight_decay": 1e-6, "decay_vectors": False,
        "warm_up": 10, "last": 0.2 * 8 / 1000, "batch_size": 2048, "epochs": 1000,
    },
    "byol": {
        **LARS, "lr": 0.2, "lr_per": 256, "weight_decay": 1.5e-6, "decay_vectors": False, "warm_up": 10,
        "batch_size": 4096, "epochs": 1000,
    },
    "byol_two_losses": {"batch_size": 512, "epochs": 1000},
    "cast": {**SGD, "schedule": "cosine", "lr": 0.5, "weight_decay": 1e-4, "clip": 2.0, "batch_size": 256, "epochs": 200},
    "clip": {
        "optimiser": "adamw", "betas": (0.9, 0.98), "lr": 5e-4, "lr_per": None, "weight_decay": 0.2,
        "decay_vectors": False, "schedule": "cosine", "epochs": 32,
    },
    "clsa": {
        **SGD, "schedule": "cosine", "lr": 0.03, "lr_per": 256, "weight_decay": 1e-4, "batch_size": 256, "epochs": 200,
    },
    "cmc": {**SGD, "schedule": "steps", "lr": 0.03, "weight_decay": 1e-4, "batch_size": 256, "epochs": 240},
    "cpc": {"optimiser": "adam", "lr": 2e-4, "lr_per": None},
    "cpc_v2": {"optimiser": "adam"},
    "dino": {
        "optimiser": "adamw", "lr": 5e-4, "lr_per": 256, "weight_decay": 0.04, "weight_decay_end": 0.4,
        "decay_vectors": False, "schedule": "cosine", "warm_up": 10, "last": 1e-6, "clip": None, "epochs": 100,
    },
    "directclr": {
        **LARS, "lr": 4.8, "lr_per": 4096, "weight_decay": 1e-6, "decay_vectors": False, "warm_up": 10,
        "last": 4.8 / 1000, "batch_size": 4096, "epochs": 100,
    },
    "instdisc": {**SGD, "schedule": "steps", "lr": 0.03, "weight_decay": 1e-4, "batch_size": 256, "epochs": 200},
    "invaspread": {**SGD, "schedule": "steps", "lr": 0.03, "weight_decay": 5e-4, "batch_size": 128, "epochs": 301},
    "moco": {
        **SGD, "schedule": "steps", "lr": 0.03, "lr_per": 256, "weight_decay": 1e-4, "batch_size": 256, "epochs": 200,
    },
    "moco_v2": {
        **SGD, "schedule": "cosine", "lr": 0.03, "lr_per": 256, "weight_decay": 1e-4, "batch_size": 256, "epochs": 200,
    },
    "moco_v3": {
        "optimiser": "adamw", "lr": 1.5e-4, "lr_per": 256, "weight_decay": 0.1, "schedule": "cosine", "warm_up": 40,
        "batch_size": 4096, "epochs": 300,
    },
    "pirl": {
        **SGD, "schedule": "cosine", "lr": 0.03, "lr_per": 256, "weight_decay": 1e-4, "decay_vectors": False,
        "last": 1.2e-4, "batch_size": 1024, "epochs": 800,
    },
    "pixcontrast": {
        **LARS, "lr": 1.0, "lr_per": 256, "weight_decay": 1e-5, "decay_vectors": False, "warm_up": 5,
        "batch_size": 1024, "epochs": 100,
    },
    "pixpro": {
        **LARS, "lr": 1.0, "lr_per": 256, "weight_decay": 1e-5, "decay_vectors": False, "warm_up": 5,
        "batch_size": 1024, "epochs": 100,
    },
    "simclr": {
        **LARS, "lr": 0.3, "lr_per": 256, "weight_decay": 1e-6, "decay_vectors": False, "warm_up": 10,
        "batch_size": 4096, "epochs": 100,
    },
    "simclr_v2": {
        **LARS, "lr": 0.1 * 4096**0.5, "lr_per": 4096, "weight_decay": 1e-4, "decay_vectors": False,
        "batch_size": 4096, "epochs": 800,
    },
    "simsiam": {
        **SGD, "schedule": "cosine", "lr": 0.05, "lr_per": 256, "weight_decay": 1e-4, "batch_size": 512, "epochs": 100,
    },
    "swav": {
        **LARS, "lr": 4.8 / 16, "lr_per": 256, "weight_decay": 1e-6, "warm_up": 10, "last": 4.8 / 1000,
        "batch_size": 4096, "epochs": 800,
    },
}  # fmt: skip

DEFAULTS = {
    "amdim": {
        "encoder_width": 128, "encoder_depth": 3, "embedding_dim": 1024, "score_clip": 20.0, "score_penalty": 0.05,
    },
    "barlow_twins": {
        "projector_width": 8192, "projector_dim": 8192, "projector_layers": 3, "redundancy_weight": 0.0051,
        "invariance_weight": 1.0,
    },
    "byol": {
        "projector_width": 4096, "projector_dim": 256, "projector_layers": 2, "teacher_momentum": 0.996,
        "predictor": True, "symmetric": True,
    },
    "byol_two_losses": {
        "first_weight": 1.0, "second_weight": 1.0, "first_loss": "plain", "second_loss": "inc",
        "gate_temperature": 1.0, "gate_scale": "relative", "granularity": "channel",
    },
    "cast": {
        "temperature": 0.07, "queue_length": 65536, "projector_dim": 128, "projector_layers": 1,
        "teacher_momentum": 0.999, "attention_weight": 3.0, "cover": 0.2, "rectified": True, "second_order": True,
    },
    "clip": {"temperature": 0.07, "text_width": 512, "text_depth": 12, "text_heads": 8, "context": 77},
    "clsa": {
        "temperature": 0.2, "strong_temperature": 0.2, "beta": 1.0, "distributional": True, "projector_width": 2048,
        "projector_dim": 128, "projector_layers": 2, "queue_length": 65536, "teacher_momentum": 0.999,
    },
    "cmc": {"projector_dim": 128, "objective": "nce", "negatives": 4096, "temperature": 0.07, "bank_momentum": 0.5},
    "cpc": {"steps": 5},
    "cpc_v2": {
        "steps_to_ignore": 2, "steps": None, "directions": 4, "target_dim": 64, "prediction_scale": 0.1,
        "context_width": 256, "context_blocks": 5,
    },
    "dino": {
        "prototypes": 65536, "head_width": 2048, "head_layers": 3, "head_norm": False, "bottleneck": 256,
        "norm_last_layer": True, "student_temperature": 0.1, "teacher_temperature": 0.04,
        "warmup_teacher_temperature": 0.04, "teacher_momentum": 0.996, "centre_momentum": 0.9, "centring": True,
        "freeze_last_layer": 1.0, "clip_each": 3.0, "drop_path": 0.1,
    },
    "directclr": {"dimensions": 360, "temperature": 0.1, "same_view_negatives": False},
    "instdisc": {
        "projector_dim": 128, "objective": "nce", "negatives": 4096, "temperature": 0.07, "proximal": 0.0,
        "bank_momentum": 0.5,
    },
    "invaspread": {"temperature": 0.1, "projector_dim": 128, "spread_weight": 1.0, "detach_others": True},
    "moco": {
        "temperature": 0.07, "projector_dim": 128, "queue_length": 65536, "teacher_momentum": 0.999, "bn_splits": 8,
    },
    "moco_v2": {
        "temperature": 0.2, "projector_width": 2048, "projector_dim": 128, "projector_layers": 2,
        "queue_length": 65536, "teacher_momentum": 0.999, "symmetric": False, "bn_splits": 8,
    },
    "moco_v3": {
        "temperature": 0.2, "projector_width": 4096, "projector_dim": 256, "predictor": True, "symmetric": True,
        "teacher_momentum": 0.99, "frozen_patches": True,
    },
    "pirl": {
        "projector_dim": 128, "projector_layers": 1, "objective": "nce", "negatives": 32000, "temperature": 0.07,
        "puzzle_weight": 0.5, "bank_momentum": 0.5,
    },
    "pixcontrast": {
        "temperature": 0.3, "distance": 0.7, "projector_width": 4096, "projector_dim": 256, "projector_layers": 2,
        "teacher_momentum": 0.99,
    },
    "pixpro": {
        "gamma": 2.0, "transform_layers": 1, "distance": 0.7, "instance_weight": 0.0, "projector_width": 4096,
        "projector_dim": 256, "projector_layers": 2, "teacher_momentum": 0.99,
    },
    "simclr": {"projector_width": 2048, "projector_dim": 128, "projector_layers": 2, "objective": "nt_xent"},
    "simclr_v2": {"temperature": 0.1, "projector_dim": 128, "projector_layers": 3, "queue_length": 0},
    "simsiam": {
        "projector_width": 2048, "projector_dim": 2048, "projector_layers": 3, "predictor_width": 512,
        "predictor": True, "stop_gradient": True, "symmetric": True, "fix_predictor_lr": True,
    },
    "swav": {
        "projector_width": 2048, "projector_dim": 128, "projector_layers": 2, "prototypes": 3000, "temperature": 0.1,
        "epsilon": 0.05, "sinkhorn_iterations": 3, "queue_length": 0, "queue_from": 15.0, "freeze_prototypes": 1.0,
    },
}  # fmt: skip

NAMES = [name for name in methods.available() if methods.get(name).family == "joint-embedding"]


def test_every_system_is_here() -> None:
    assert sorted(PLANS) == sorted(DEFAULTS) == NAMES


@pytest.mark.parametrize("name", PLANS)
def test_the_plan_is_the_papers(name: str) -> None:
    plan, paper = methods.get(name).plan, dict(PLANS[name])
    found = {
        "warm_up": plan.warmup * plan.epochs,
        "vectors": plan.lr * plan.lr_vectors,
        "last": plan.rate(1.0, plan.batch_size),
    }
    if paper.get("schedule") == "cosine":
        paper.setdefault("last", 0.0)
        paper.setdefault("vectors", plan.lr)
    for key, value in paper.items():
        own = found[key] if key in found else getattr(plan, key)
        if isinstance(value, float):
            assert own == pytest.approx(value, rel=1e-9, abs=1e-15), key
        else:
            assert own == (pytest.approx(value) if key == "warm_up" else value), key


def test_amdims_warm_up_is_that_of_five_hundred_updates() -> None:
    """On CIFAR-10, where an epoch has 250: a share of training stands for it."""
    plan = methods.get("amdim").plan
    assert round(plan.warmup * plan.epochs * 50_000 / plan.batch_size, -1) == 500


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_the_papers(name: str) -> None:
    known = hyperparameters(methods.get(name))
    assert {option: known[option].default for option in DEFAULTS[name]} == DEFAULTS[name]
