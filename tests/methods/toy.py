"""Small instances of every method, and batches for them, made from the built-in shapes."""

import copy
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from unlabel import methods
from unlabel.data.loader import ViewLoader
from unlabel.data.open import open_source
from unlabel.data.shapes import Shapes
from unlabel.data.tokens import Tokeniser
from unlabel.engine.options import hyperparameters, needs_backbone
from unlabel.nn import backbones
from unlabel.recipes import choose, recipes
from unlabel.views import Batch, named

Network = TypeVar("Network", bound=nn.Module)

SIZE = 32
IMAGES = 64
SMALLER = {
    "projector_width": 32,
    "projector_dim": 16,
    "predictor_width": 16,
    "head_width": 32,
    "bottleneck": 16,
    "prototypes": 32,
    "decoder_width": 32,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "generator_width": 4,
    "generator_blocks": 5,
    "discriminator_width": 4,
    "discriminator_layers": 2,
    "patches": 32,
    "queue_length": 32,
    "bn_splits": 2,
    "negatives": 16,
    "encoder_width": 8,
    "embedding_dim": 32,
    "vocabulary": 400,
    "context": 24,
    "text_width": 32,
    "text_depth": 1,
    "text_heads": 2,
    "context_width": 16,
}
SMALL_VIT = backbones.resolve("tiny_vit", SIZE)


def toy_method(name: str, seed: int = 0, **options: object) -> methods.Method:
    """A method of the recipe `small` and `options`, with everything that can be narrow made narrow."""
    kind = methods.get(name)
    known = hyperparameters(kind)
    start = choose(name, "small", data="photos", size=SIZE, chosen=options)[1] if "small" in recipes(name) else {}
    hyper = {option: value for option, value in (start | SMALLER | options).items() if option in known}
    torch.manual_seed(seed)
    if not needs_backbone(kind):
        method = _awake(kind(size=SIZE, **hyper))
    else:
        spec = backbones.resolve("tiny_vit" if kind.host == "vit" else "tiny_resnet", SIZE, pool=kind.pool)
        if kind.host == "vit":
            spec = replace(spec, kwargs={**spec.kwargs, "depth": 2, "embed_dim": 48, "num_heads": 2})
        method = kind(_awake(backbones.build(spec)), **hyper)
    method.total_updates, method.total_epochs = 100, 10.0
    method.prepare(IMAGES)
    return method


def _awake(network: Network) -> Network:
    """Residual branches that start at exactly zero, as timm's gains do, hide gradients from a single step."""
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d) and not part.weight.any():
            nn.init.constant_(part.weight, 0.5)
        if isinstance(part, nn.Conv2d) and not part.weight.any():
            nn.init.kaiming_uniform_(part.weight)
    return network


def toy_loader(
    name: str, method: methods.Method, views: str | None = None, *, batch_size: int = 8, stop: int = 100
) -> ViewLoader:
    """Batches of the method's views of a few shapes (of two different sets of them for two domains)."""
    start = recipes(name).get("small", dict)()
    own = method.views(SIZE)
    chosen = views or start.get("views")
    recipe = replace(named(chosen, SIZE), mask=own.mask, salient=own.salient) if chosen else own
    spec, tokenise = f"shapes:{IMAGES}", None
    sources = [open_source(spec, captions=method.captions), Shapes(IMAGES, split="test")][: recipe.sources]
    if method.captions:
        texts = [text for i in range(IMAGES) for text in sources[0].captions(i)]
        tokenise = Tokeniser.learn(texts, vocabulary=SMALLER["vocabulary"], context=SMALLER["context"])
    return ViewLoader(sources, recipe, batch_size, seed=0, stop=stop, threads=0, tokenise=tokenise)


def toy_batch(name: str, method: methods.Method, views: str | None = None, batch_size: int = 8) -> Batch:
    """The first batch."""
    return toy_loader(name, method, views, batch_size=batch_size).batch(0)


def assert_teacher_follows(moco: methods.Method, momentum: float) -> None:
    """After an update a teacher of backbone and projector has gone its share of the way, but for its buffers."""
    before = copy.deepcopy(moco.teacher)
    for p in (*moco.backbone.parameters(), *moco.projector.parameters()):
        p.data += torch.randn_like(p)
    moco.after_update()
    student = nn.Sequential(moco.backbone, moco.projector)
    assert {n for n, _ in moco.teacher.named_parameters()} == {n for n, _ in student.named_parameters()}
    for name, p in moco.teacher.named_parameters():
        expected = momentum * before.get_parameter(name) + (1 - momentum) * student.get_parameter(name).detach()
        torch.testing.assert_close(p, expected, rtol=1e-13, atol=1e-15)
    for name, value in moco.teacher.named_buffers():
        assert torch.equal(value, before.get_buffer(name)), name


class Backbone(nn.Module):
    """One convolution with batch norm: the least that a method can host."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean(dim=(2, 3))


def batch(b: int = 5) -> Batch:
    """Two views of noise, float64."""
    views = [torch.randn(b, 3, 8, 8, dtype=torch.float64) for _ in range(2)]
    return Batch(views=views, index=torch.arange(b), records=[np.zeros(b)] * 2)
