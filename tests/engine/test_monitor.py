"""Readings: what they hold, that they repeat, and that training does not notice them."""

import copy

import numpy as np
import pytest
import torch

from tests.methods.toy import toy_method
from unlabel import diagnostics
from unlabel.data.arrays import Arrays
from unlabel.data.shapes import Shapes
from unlabel.data.source import Subset, Unreadable
from unlabel.engine.monitor import Monitor
from unlabel.engine.sources import Sources
from unlabel.evaluation.controls import settle
from unlabel.evaluation.features import extract
from unlabel.views import evaluation


def sources(queries: list[int], kind=Subset) -> Sources:
    shapes = Shapes(60, split="train")
    return Sources([shapes], Subset(shapes, range(40)), kind(shapes, queries), "")


def test_a_reading_has_knn_and_the_shape_of_the_embeddings() -> None:
    method = toy_method("simclr")
    monitor = Monitor(sources(list(range(40, 60))), evaluation(32), "cpu")
    state, generator = [p.clone() for p in method.state_dict().values() if torch.is_tensor(p)], torch.get_rng_state()
    reading = monitor.read(method)
    assert {"knn", "alignment", "uniformity", "effective_rank", "std", "images"} <= set(reading)
    assert {"participation_ratio", "spectral_decay", "norm", "projection_norm"} <= set(reading)
    assert not [name for name in reading if name.startswith(("teacher", "code", "assign", "neighbour"))]
    assert reading == monitor.read(method), "the same network gives the same numbers"
    assert method.training and torch.equal(generator, torch.get_rng_state())
    after = [p for p in method.state_dict().values() if torch.is_tensor(p)]
    assert all(torch.equal(a, b) for a, b in zip(state, after, strict=True))


def test_before_training_batch_norms_have_statistics_as_the_control_of_an_evaluation_has() -> None:
    """Else all that training's first batches change of them would look like something learned."""
    method, images = toy_method("byol"), sources(list(range(40, 60)))
    monitor = Monitor(images, evaluation(32), "cpu")
    before = {name: value.clone() for name, value in method.state_dict().items() if torch.is_tensor(value)}
    first = monitor.read(method)
    assert all(torch.equal(method.state_dict()[name], value) for name, value in before.items())
    control = copy.deepcopy(method.kept)
    settle(control, images.memory, monitor.view, indices=monitor.memory)
    vectors = extract(control, images.queries, monitor.view).vectors
    assert first["std"] == pytest.approx(diagnostics.measure(vectors)["std"], rel=1e-5)
    method.updates = 1
    assert monitor.read(method)["std"] < 0.8 * first["std"]  # statistics of no image, which make a narrow cone


def test_alignment_is_zero_only_where_views_agree() -> None:
    method = toy_method("simclr")
    flat = np.repeat(np.arange(0, 200, 10, dtype=np.uint8), 32 * 32 * 3).reshape(20, 32, 32, 3)  # all crops are equal
    monitor = Monitor(Sources([], Arrays(flat), Arrays(flat), ""), evaluation(32), "cpu")
    assert monitor.read(method)["alignment"] == pytest.approx(0, abs=1e-6)
    assert Monitor(sources(list(range(40, 60))), evaluation(32), "cpu").read(method)["alignment"] > 1e-3


def partly(labels: np.ndarray) -> Arrays:
    rng = np.random.default_rng(0)
    return Arrays(rng.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8), labels)


def test_live_knn_asks_about_images_that_have_a_label() -> None:
    labels = np.full(700, -1)
    labels[[1, 2, 5]] = [0, 1, 1]  # none of which is among 500 spread over all
    monitor = Monitor(Sources([], partly(labels), partly(labels), ""), evaluation(32), "cpu")
    assert monitor.asked.tolist() == monitor.memory.tolist() == [1, 2, 5] and len(monitor.queries) == 500
    monitor.queries = monitor.queries[10:20]
    reading = monitor.read(toy_method("simclr"))
    assert 0 <= reading["knn"] <= 100 and reading["images"] == 10 and reading["knn_queries"] == 3
    assert monitor.lack == ""


def test_labels_of_one_class_make_no_live_knn() -> None:
    one, other = (partly(np.where(np.arange(30) == 4, 0, -1)) for _ in range(2))
    assert "knn" not in Monitor(Sources([], one, other, ""), evaluation(32), "cpu").read(toy_method("simclr"))


def test_no_image_is_its_own_neighbour_in_live_knn() -> None:
    images = partly(np.arange(12) % 2)
    monitor = Monitor(Sources([], images, images, ""), evaluation(32), "cpu")
    assert "knn" not in monitor.read(toy_method("simclr")) and monitor.declared("x") is None
    assert "all images train" in monitor.lack


def test_too_few_labels_for_live_knn_are_said() -> None:
    none, one, two = (partly(np.array([*some, -1, -1, -1])) for some in ((-1, -1), (0, -1), (0, 1)))

    def lack(memory: Arrays, queries: Arrays) -> str:
        return Monitor(Sources([], memory, queries, ""), evaluation(32), "cpu").lack

    assert lack(two, one) == lack(none, none) == lack(none, partly(np.full(4, -1))) == ""
    assert "two classes" in lack(one, two) and lack(one, two).endswith("have 1")
    assert lack(none, two).endswith("have 0")
    assert "none of the images that are asked about" in lack(two, none)


def test_live_knn_declares_its_protocol() -> None:
    labels = np.full(700, -1)
    labels[[1, 2, 5]] = [0, 1, 1]
    said = Monitor(Sources([], partly(labels), partly(np.arange(700) % 2), ""), evaluation(32), "cpu").declared("x")
    assert said is not None and (said["memory"], said["queries"], said["k"]) == (3, 500, 20)
    assert said["weights"] == "x" and "32 px" in said["view"] and said["version"] == 1
    one, none = partly(np.where(np.arange(9) == 4, 0, -1)), partly(np.full(9, -1))
    for images, others in ((one, partly(one.labels)), (none, partly(none.labels))):
        assert Monitor(Sources([], images, others, ""), evaluation(32), "cpu").declared("x") is None


class Broken(Subset):
    """Only its first picture can be read."""

    def image(self, i: int) -> torch.Tensor:
        if i > 0:
            raise Unreadable(self.path(i), "damaged")
        return super().image(i)


@pytest.mark.parametrize("queries", [sources([41]), sources([41, 42, 43], Broken)], ids=["one", "one readable"])
def test_one_picture_has_no_spread_and_makes_no_reading(queries: Sources) -> None:
    assert Monitor(queries, evaluation(32), "cpu").read(toy_method("simclr")) == {}


def test_a_reading_speaks_of_what_the_loss_compares() -> None:
    monitor = Monitor(sources(list(range(40, 60))), evaluation(32), "cpu")
    reading = monitor.read(toy_method("simclr"))
    assert reading["projection_dimensions"] == 16 and reading["dimensions"] == 128
    assert {f"projection_{name}" for name in ("std", "mean_cosine", "effective_rank", "dimensions_99")} <= set(reading)
    assert {"alignment", "projection_alignment"} <= set(reading) and reading["projection_alignment"] > 1e-4
    assert set(monitor.spectra) == {"representation", "projection"}
    alike = monitor.read(toy_method("rotation"))  # whose loss sees the representation through a classifier
    assert not [name for name in alike if name.startswith("projection")]


def test_a_reading_keeps_its_spectra_in_short() -> None:
    images = sources(list(range(30, 60)))
    method, monitor = toy_method("simclr"), Monitor(images, evaluation(32), "cpu")
    method.updates = 1
    monitor.read(method)
    vectors = extract(method.eval().embed, images.queries, monitor.view).vectors
    expected = diagnostics.singular_values(vectors)
    found = monitor.spectra["representation"]
    assert found["ranks"][:3] == [1, 2, 3] and found["ranks"][-1] == 30 and len(found["ranks"]) <= 32
    for rank, value in zip(found["ranks"], found["values"], strict=True):
        assert value == pytest.approx(float(expected[rank - 1] / expected[0]), rel=1e-3, abs=1e-6)
    assert found["values"][0] == 1 and max(monitor.spectra["projection"]["ranks"]) == 16
    monitor.queries = monitor.queries[:1]  # makes no reading
    assert monitor.read(method) == monitor.spectra == {}


def moved(method: torch.nn.Module, by: float) -> None:
    """Other weights, `by` of their own size away."""
    for parameter in method.parameters():
        parameter.data += by * parameter.data.std(correction=0) * torch.randn_like(parameter)


def test_neighbours_are_compared_with_those_of_the_reading_before() -> None:
    method, monitor = toy_method("simclr"), Monitor(sources(list(range(30, 60))), evaluation(32), "cpu")
    method.updates = 1
    assert "neighbour_stability" not in monitor.read(method)
    assert "neighbour_stability" not in monitor.read(method), "at the same update nothing can have changed"
    method.updates = 10
    assert monitor.read(method)["neighbour_stability"] == 1
    moved(method, 0.3)
    method.updates = 20
    resumed = Monitor(monitor.sources, monitor.view, "cpu")
    resumed.neighbours = monitor.neighbours
    reading = monitor.read(method)
    assert diagnostics.chance_stability(30) < reading["neighbour_stability"] < 1
    assert resumed.read(method) == reading
    method.updates = 0  # a run that begins after a trial
    assert "neighbour_stability" not in monitor.read(method)


def test_other_images_are_not_compared() -> None:
    method, monitor = toy_method("simclr"), Monitor(sources(list(range(30, 60))), evaluation(32), "cpu")
    monitor.read(method)
    monitor.queries = monitor.queries[1:]
    method.updates = 10
    assert "neighbour_stability" not in monitor.read(method)


@pytest.mark.parametrize("name", ["byol", "dino", "moco"])
def test_a_reading_says_how_far_the_teacher_is(name: str) -> None:
    method, monitor = toy_method(name), Monitor(sources(list(range(40, 60))), evaluation(32), "cpu")
    alike = monitor.read(method)
    assert alike["teacher_distance"] == 0 and alike["teacher_divergence"] == pytest.approx(0, abs=1e-6)
    teacher, student = method.followed()
    moved(student, 0.5)
    reading = monitor.read(method)
    assert reading["teacher_distance"] == diagnostics.parameter_distance(teacher, student) > 0.1
    assert 1e-3 < reading["teacher_divergence"] < 1


def test_the_divergence_is_that_of_both_backbones() -> None:
    method, monitor = toy_method("dino"), Monitor(sources(list(range(40, 60))), evaluation(32), "cpu")
    teacher, student = method.followed()
    method.updates = 1
    moved(student, 0.5)
    seen = [extract(network.eval(), monitor.sources.queries, monitor.view).vectors for network in (teacher, student)]
    assert monitor.read(method)["teacher_divergence"] == pytest.approx(diagnostics.embedding_divergence(*seen))


@pytest.mark.parametrize("name", ["dino", "swav"])
def test_a_reading_says_how_prototypes_are_used(name: str) -> None:
    method, monitor = toy_method(name), Monitor(sources(list(range(40, 60))), evaluation(32), "cpu")
    reading = monitor.read(method)
    assert reading["codes"] == 32 and 1 <= reading["codes_used"] <= 20
    assert 0 <= reading["assignment_entropy_share"] <= reading["code_entropy_share"] <= 1
