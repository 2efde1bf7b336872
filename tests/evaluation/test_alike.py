"""Groups of nearly equal embeddings."""

import pytest
import torch

from unlabel.evaluation import alike as room
from unlabel.evaluation.alike import alike


def on_circle(degrees: list[float]) -> torch.Tensor:
    """Directions, and their opposites behind them, so that the mean is zero and nothing is shifted."""
    angles = torch.tensor(degrees).deg2rad()
    vectors = torch.stack([angles.cos(), angles.sin()], 1)
    return torch.cat([vectors, -vectors])


def test_near_directions_are_a_group() -> None:
    found = alike(on_circle([0, 80, 5, 84, 40]), 1 - float(torch.tensor(6.0).deg2rad().cos()))
    assert found == [[0, 2], [1, 3], [5, 7], [6, 8]]


def test_no_group_is_a_chain() -> None:
    """0, 5, 10, 15 degrees: single linkage would join all; each must be near the first of its group."""
    assert alike(on_circle([0, 5, 10, 15]), 0.005) == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize("held", [100, 1 << 24])
def test_as_one_row_after_the_other(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_HELD", held)
    vectors = torch.randn(300, 4, generator=torch.Generator().manual_seed(0)) + 3
    centred = (vectors - vectors.mean(0)).double()
    cosine = torch.nn.functional.cosine_similarity(centred[:, None], centred[None], dim=2)
    expected, taken = [], set()
    for i in range(300):
        group = [j for j in range(i + 1, 300) if cosine[i, j] >= 0.97 and j not in taken] if i not in taken else []
        taken.update(group)
        expected += [[i, *group]] if group else []
    assert alike(vectors, 0.03) == expected and max(map(len, expected)) > 2


def test_a_common_offset_is_taken_away() -> None:
    vectors = torch.randn(100, 32, generator=torch.Generator().manual_seed(1))
    assert alike(vectors + 1000, 0.05) == alike(vectors, 0.05) == []


def test_equal_vectors_have_no_direction_and_nothing_is_nothing() -> None:
    assert alike(torch.ones(5, 3), 0.05) == []
    assert alike(torch.empty(0, 3), 0.05) == []
    assert alike(torch.randn(1, 3), 0.05) == []


def test_a_few_of_many_are_centred_as_all_are() -> None:
    vectors = torch.randn(100, 32, generator=torch.Generator().manual_seed(1)) + 5
    vectors[60] = vectors[3]
    assert alike(vectors, 0.01) == [[3, 60]]
    few = vectors[[3, 4, 60]]
    assert alike(few, 0.01, vectors.mean(0)) == [[0, 2]]
    assert alike(few, 0.01) == alike(few, 0.01, few.mean(0))
