"""The values at which losses sit where learning failed: each is what the real loss says of embeddings that collapsed."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.methods.toy import toy_batch, toy_method
from unlabel import methods
from unlabel.losses.objectives import OBJECTIVES
from unlabel.methods import Method

IMAGES = 8
NEARLY = 1e-6  # of the length of an embedding: ties, which no training meets, are broken


def constant(*modules: nn.Module, value: float = 1.0) -> None:
    """From now on these say (nearly) the same of everything."""
    for module in modules:
        module.register_forward_hook(lambda m, inputs, said: value + NEARLY * torch.randn_like(said))


def remember(rows: Tensor) -> None:
    """What is remembered has collapsed too."""
    rows.fill_(rows.shape[1] ** -0.5)


def heads(*names: str) -> Callable[[Method], None]:
    return lambda method: constant(*(method.get_submodule(name) for name in names))


def with_queue(*names: str) -> Callable[[Method], None]:
    def collapse(method: Method) -> None:
        heads(*names)(method)
        remember(method.queue.rows)

    return collapse


def banked(method: Method, bank: nn.Module) -> None:
    """All rows equal, and Z such that p = 1 / n."""
    remember(bank.rows)
    bank.constant.fill_(1 / method.temperature + math.log(len(bank.rows)))


def instances(*names: str) -> Callable[[Method], None]:
    def collapse(method: Method) -> None:
        heads(*names)(method)
        for bank in method.banks.values() if hasattr(method, "banks") else [method.bank]:
            banked(method, bank)

    return collapse


def no_preference(method: Method) -> None:
    """All prototypes lie in one place."""
    for name, rows in method.named_parameters():
        if name.endswith("prototypes"):
            rows.data.copy_(rows.data[:1].expand_as(rows))


def one_winner(method: Method) -> None:
    """All embeddings lie on the first prototype, the others lie opposite."""
    heads("head.mlp", "teacher.head.mlp")(method)
    for prototypes in (method.head.prototypes, method.teacher["head"].prototypes):
        prototypes.data.fill_(-1.0)
        prototypes.data[0] = 1.0


def cast(method: Method) -> None:
    """Its loss asks for gradients of the projector's input, and passes hooks by."""
    for projector in (method.projector, method.teacher[1]):
        nn.init.zeros_(projector[-1].weight)
        nn.init.ones_(projector[-1].bias)
    remember(method.queue.rows)


def patches(method: Method) -> None:
    constant(method.backbone.network)


def zero_scores(method: Method) -> None:
    constant(*method.heads.values(), value=0.0)


def n_pair(method: Method) -> None:
    constant(method.projector, value=0.0)


def turned(method: Method) -> None:
    constant(method.classifier)


def exactly(*names: str) -> Callable[[Method], None]:
    """These say 1/4 sixteen times, a unit vector whose cosine with itself is 1 without any rounding."""

    def collapse(method: Method) -> None:
        for name in names:
            method.get_submodule(name).register_forward_hook(lambda m, inputs, said: torch.full_like(said, 0.25))

    return collapse


def silent(method: Method) -> None:
    constant(method.decoder.predict, value=0.0)


NEARLY_EQUAL = "all embeddings are nearly equal"
EQUAL, UNKNOWN = "all embeddings are equal", "every image is as likely as any other"
CASES: dict[str, tuple[str, dict[str, object], str, Callable[[Method], None]]] = {
    **{f"simclr, {o}": ("simclr", {"objective": o}, EQUAL, heads("projector")) for o in OBJECTIVES
       if o not in ("n_pair", "hard")},
    **{f"simclr, triplet, {m}": ("simclr", {"objective": "triplet", "mining": m, "margin": 0.3}, EQUAL,
                                 heads("projector")) for m in ("hard", "easy", "all")},
    "simclr, triplet, soft": ("simclr", {"objective": "triplet", "soft_margin": True}, EQUAL, heads("projector")),
    **{f"simclr, {own}, {where}": ("simclr", {**own, "projector_dim": 16}, where, collapse)
       for own in ({"objective": "simple", "weight": 0.3, "alpha": 0.3}, {"objective": "hard"},
                   {"objective": "hard", "alpha": 0.3})
       for where, collapse in ((NEARLY_EQUAL, heads("projector")), (EQUAL, exactly("projector")))},
    "simclr, drlim, wide": ("simclr", {"objective": "drlim", "margin": 1.5}, EQUAL, heads("projector")),
    "simclr, n_pair": ("simclr", {"objective": "n_pair"}, "all embeddings are 0", n_pair),
    "simclr_v2": ("simclr_v2", {"queue_length": 0}, EQUAL, heads("projector")),
    "simclr_v2, queue": ("simclr_v2", {"queue_length": 24}, EQUAL, with_queue("projector", "teacher.1")),
    "moco": ("moco", {}, EQUAL, with_queue("projector", "teacher.1")),
    "moco_v2": ("moco_v2", {"symmetric": False}, EQUAL, with_queue("projector", "teacher.1")),
    "moco_v2, symmetric": ("moco_v2", {"symmetric": True}, EQUAL, with_queue("projector", "teacher.1")),
    "moco_v3": ("moco_v3", {}, EQUAL, heads("predictor", "teacher.1")),
    "clsa": ("clsa", {"beta": 0.7}, EQUAL, with_queue("projector", "teacher.1")),
    "clsa, both keys": ("clsa", {"distributional": False}, EQUAL, with_queue("projector", "teacher.1")),
    "cast": ("cast", {"attention_weight": 0.0}, EQUAL, cast),
    "byol": ("byol", {}, EQUAL, heads("predictor", "teacher.1")),
    "byol_two_losses": ("byol_two_losses", {}, EQUAL, heads("predictor", "second_predictor", "teacher.projector",
                                                            "teacher.second_projector")),
    "simsiam": ("simsiam", {}, EQUAL, heads("projector", "predictor")),
    "pixpro": ("pixpro", {"instance_weight": 0.0}, EQUAL, heads("propagation", "teacher.projector")),
    "pixpro, instances": ("pixpro", {"instance_weight": 0.5}, EQUAL, heads(
        "propagation", "teacher.projector", "instance_predictor", "teacher.instance_projector")),
    "barlow_twins": ("barlow_twins", {}, EQUAL, heads("projector")),
    "barlow_twins, weighted": ("barlow_twins", {"invariance_weight": 0.5}, EQUAL, heads("projector")),
    "directclr": ("directclr", {}, EQUAL, heads("backbone")),
    "directclr, same view": ("directclr", {"same_view_negatives": True}, EQUAL, heads("backbone")),
    "invaspread": ("invaspread", {"spread_weight": 0.6}, EQUAL, heads("projector")),
    "clip": ("clip", {}, "all images and texts have equal embeddings", heads("projector", "text")),
    "swav": ("swav", {}, "no image prefers a prototype", no_preference),
    "dino": ("dino", {}, "the teacher's output is uniform", no_preference),
    "dino, one winner": ("dino", {}, "all images prefer the same prototype", one_winner),
    "cpc": ("cpc", {}, "all patches have equal vectors", patches),
    "cpc_v2": ("cpc_v2", {}, "all patches have equal vectors", patches),
    "amdim": ("amdim", {}, "all scores are 0", zero_scores),
    "cmc, in_batch": ("cmc", {"objective": "in_batch"}, EQUAL, heads("projectors.lightness", "projectors.colour")),
    "mae": ("mae", {}, "the decoder says every patch's mean", silent),
    "rotation": ("rotation", {}, "every turn is as likely as any other", turned),
    **{f"{name}, {objective}, {drawn}": (name, {"objective": objective, "negatives": drawn}, UNKNOWN, instances(*names))
       for name, *names in (("instdisc", "projector"), ("pirl", "projector", "puzzle_projector"),
                            ("cmc", "projectors.lightness", "projectors.colour"))
       for objective in ("nce", "softmax") for drawn in (0, 16)},
}  # fmt: skip
"""Case -> method, options, what is the case, and how a method is made to be so."""


@pytest.mark.parametrize("case", CASES)
def test_the_real_loss_has_the_value_that_is_told(case: str) -> None:
    name, options, where, collapse = CASES[case]
    method = toy_method(name, **options).double()
    batch = toy_batch(name, method, batch_size=IMAGES)
    batch.views = [view.double() for view in batch.views]
    healthy = float(method.total(method.loss(batch)).detach())
    with torch.no_grad():
        collapse(method)
    value = method.collapse_values(IMAGES)[where]
    assert float(method.total(method.loss(batch)).detach()) == pytest.approx(value, rel=1e-4, abs=2e-4)
    assert abs(healthy - value) > 1e-3, "a loss that has the value anyway would prove nothing"


@pytest.mark.parametrize("name", methods.available())
def test_every_value_is_tested(name: str) -> None:
    tested = {where for method, _, where, _ in CASES.values() if method == name}
    assert set(toy_method(name).collapse_values(IMAGES)) <= tested


def test_what_is_not_known_is_not_told() -> None:
    for name, options in (
        ("cast", {}), ("byol_two_losses", {"second_loss": "regress"}), ("mae", {"norm_pixels": False}),
    ):  # fmt: skip
        assert toy_method(name, **options).collapse_values(IMAGES) == {}
    unprepared = methods.get("instdisc")(toy_method("simclr").backbone)
    assert unprepared.collapse_values(IMAGES) == {}  # how many images there are decides


def test_small_crops_change_no_value() -> None:
    for objective in OBJECTIVES:
        method = toy_method("simclr", objective=objective).double()
        batch = toy_batch("simclr", method, "cifar-min:2x8", batch_size=IMAGES)
        batch.views = [view.double() for view in batch.views]
        constant(method.projector, value=0.0 if objective == "n_pair" else 1.0)
        first, *_ = method.collapse_values(IMAGES).values()
        assert float(method.loss(batch)) == pytest.approx(first, rel=1e-4, abs=2e-4), objective
