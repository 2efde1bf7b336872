"""One short run of each kind, made once and looked at by many tests."""

from pathlib import Path

import pytest

import unlabel

SHORT = {"epochs": 1, "monitors": 2, "device": "cpu", "recipe": "small"}


@pytest.fixture(scope="session")
def cnn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SimCLR with the tiny ResNet on a few shapes, evaluated and reported."""
    out = tmp_path_factory.mktemp("runs") / "simclr"
    unlabel.pretrain("simclr", data="shapes:400", batch_size=64, out=out, projector_width=64, **SHORT)
    return out


@pytest.fixture(scope="session")
def vit_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MAE with the tiny ViT, not evaluated."""
    out = tmp_path_factory.mktemp("runs") / "mae"
    unlabel.pretrain("mae", data="shapes:128", batch_size=64, out=out, evaluate=False, **SHORT)
    return out


@pytest.fixture(scope="session")
def cut_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CUT with very narrow networks between two sets of shapes."""
    out = tmp_path_factory.mktemp("runs") / "cut"
    narrow = {"generator_width": 4, "generator_blocks": 5, "discriminator_width": 4, "patches": 16}
    unlabel.pretrain("cut", data="shapes:24", data_b="shapes:24", batch_size=4, out=out, **narrow, **SHORT)
    return out
