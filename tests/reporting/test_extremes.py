from pathlib import Path

import numpy as np
import pytest
import torch

from unlabel.reporting import write_thumbnails
from unlabel.reporting.extremes import closeness, extremes
from unlabel.reporting.files import Embeddings, Sprite, _sprite
from unlabel.reporting.gallery import Near, label_names


@pytest.fixture
def sprite(tmp_path: Path) -> Sprite:
    images = torch.randint(0, 256, (40, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_thumbnails(images, tmp_path)
    found = _sprite(tmp_path, [])
    assert found is not None
    return found


def on_arcs(labels: list[int]) -> Embeddings:
    """Twenty images a hundredth of a turn apart on one arc, and twenty more that get farther and farther apart."""
    angles = np.concatenate([np.arange(20) * 0.01, 2 + np.cumsum(np.arange(20) * 0.01)])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    return Embeddings([f"{i}.png" for i in range(40)], np.array(labels), vectors, np.arange(40))


def test_by_the_share_of_neighbours_of_the_same_class(sprite: Sprite) -> None:
    labels = [0] * 20 + [1] * 20
    labels[10] = 2  # alone of its class, among the others
    found = extremes(embeddings := on_arcs(labels), sprite, label_names(np.array(labels), None), Near.of(embeddings))
    assert found is not None
    assert found.worst[0].query.path == "10.png"
    assert found.worst[0].note == "0 of 8 nearest are of its class"
    assert all(item.agrees is False for item in found.worst[0].nearest)
    assert {row.note for row in found.best} == {"8 of 8 nearest are of its class"}
    assert {int(row.query.path[:-4]) for row in found.best} <= set(range(20))  # the nearer ones of equal shares
    assert found.table.rows[15][:5] == [
        "10.png",
        "worst 1",
        "class 2",
        "0",
        f"{Near.of(embeddings).cosine[10].mean():.3f}",
    ]
    assert found.worst[0].nearest[0].cosine == pytest.approx(np.cos(0.01), abs=1e-6)


def test_without_labels_by_the_mean_cosine_to_the_nearest_five(sprite: Sprite) -> None:
    embeddings = on_arcs([-1] * 40)
    near = Near.of(embeddings)
    found = extremes(embeddings, sprite, [""] * 40, near)
    assert found is not None
    cosines = embeddings.vectors @ embeddings.vectors.T - 9 * np.eye(40)
    expected = np.sort(cosines, axis=1)[:, -5:].mean(axis=1)
    assert closeness(near) == pytest.approx(expected, abs=1e-6)
    assert found.worst[0].query.path == f"{expected.argmin()}.png"
    assert int(found.best[0].query.path[:-4]) < 20
    assert found.worst[0].note == f"mean cosine to the nearest 5: {expected.min():.3f}"
    half = on_arcs([0] * 39 + [-1])  # labels of some only are no measure
    assert "loneliest" in extremes(half, sprite, [""] * 40, near).worst_said  # type: ignore[union-attr]


def test_few_images_have_no_best_and_worst(sprite: Sprite) -> None:
    few = Embeddings(["a"] * 7, np.zeros(7, int), np.eye(7, dtype=np.float32), np.arange(7))
    assert extremes(few, sprite, ["x"] * 7, Near.of(few)) is None
