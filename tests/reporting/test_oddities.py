from pathlib import Path

import numpy as np
import pytest
import torch

from tests.reporting.synthetic import shape
from unlabel.reporting import write_thumbnails
from unlabel.reporting.files import Embeddings, Sprite, _sprite
from unlabel.reporting.gallery import Near
from unlabel.reporting.oddities import duplicates, oddities, outliers


def pictures(folder: Path, images: list[torch.Tensor]) -> Sprite:
    write_thumbnails(images, folder)
    found = _sprite(folder, [])
    assert found is not None
    return found


def cloud(n: int, dimensions: int = 32) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, dimensions)).astype(np.float32)


def embedded(vectors: np.ndarray, labels: list[int] | None = None) -> Embeddings:
    n = len(vectors)
    return Embeddings([f"{i}.png" for i in range(n)], np.array(labels or [-1] * n), vectors, np.arange(n))


@pytest.fixture
def images() -> list[torch.Tensor]:
    rng = np.random.default_rng(0)
    return [shape(i % 10, rng) for i in range(30)]


def test_the_same_to_the_eye_and_to_the_network(tmp_path: Path, images: list[torch.Tensor]) -> None:
    vectors = cloud(30)
    images[20], vectors[20] = images[4], vectors[4] * 3  # both: length counts for nothing
    images[21] = images[5]  # the same picture, that the network takes for another
    vectors[22] = vectors[6]  # another picture, that the network takes for the same
    images[23] = images[24] = torch.full((3, 48, 48), 90, dtype=torch.uint8)  # constant ones have nothing to compare
    vectors[24] = vectors[23]
    sprite = pictures(tmp_path, images)
    embeddings = embedded(vectors, [i % 3 for i in range(30)])
    assert duplicates(embeddings, sprite) == [[4, 20]]
    found = oddities(embeddings, sprite, [""] * 30, Near.of(embeddings))
    ((first, again),) = found.groups
    assert (first.path, again.path, first.cosine, again.agrees) == ("4.png", "20.png", None, False)
    assert again.cosine == pytest.approx(1)
    assert found.group_table is not None
    assert found.group_table.rows == [["20.png", "4.png", "1.0000"]]
    assert (found.looked, found.so_many_groups) == (30, 1)


def test_nothing_odd(tmp_path: Path, images: list[torch.Tensor]) -> None:
    embeddings = embedded(cloud(30))
    found = oddities(embeddings, pictures(tmp_path, images), [""] * 30, Near.of(embeddings))
    assert found.groups == found.outliers == [] and found.group_table is found.outlier_table is None
    assert found.beyond is not None


def test_far_from_the_nearest_five() -> None:
    vectors = np.pad(cloud(40, 8), ((0, 0), (0, 2)))
    vectors[:, 0] += 8  # all point much the same way
    vectors[7], vectors[30] = np.eye(10)[8], np.eye(10)[9] * 0.1  # but for these
    found, beyond = outliers(near := Near.of(embedded(vectors.astype(np.float32))))
    distance = 1 - near.cosine[:, :5].mean(axis=1)
    q1, q3 = np.percentile(distance, [25, 75])
    assert beyond == pytest.approx(4 * q3 - 3 * q1)
    assert sorted(found) == [7, 30] == sorted(np.flatnonzero(distance > beyond))


def test_few_images_and_equal_ones() -> None:
    few, beyond = outliers(Near.of(embedded(cloud(19))))
    assert len(few) == 0 and beyond is None
    same, beyond = outliers(Near.of(embedded(np.ones((30, 4), np.float32))))
    assert len(same) == 0 and beyond == pytest.approx(0, abs=1e-6)


def test_what_has_no_thumbnail_is_left_out(tmp_path: Path, images: list[torch.Tensor]) -> None:
    images[20] = images[4]
    vectors = cloud(30)
    vectors[20] = vectors[4]
    embeddings = embedded(vectors)
    assert duplicates(embeddings, pictures(tmp_path / "all", images)) == [[4, 20]]
    assert duplicates(embeddings, pictures(tmp_path / "some", images[:15])) == []
    assert oddities(embeddings, pictures(tmp_path / "one", images[:1]), [""] * 30, Near.of(embeddings)).looked == 1
