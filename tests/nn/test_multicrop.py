import pytest
import torch
from torch import Tensor, nn

from unlabel.nn.multicrop import mean_of_pairs, multicrop, roles


class Noting(nn.Module):
    """Averages each image, and notes the shapes that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shapes.append(tuple(x.shape))
        return x.mean(dim=(2, 3))


def views(*sizes: int, b: int = 3) -> list[Tensor]:
    return [torch.full((b, 2, s, s), float(v)) + torch.arange(b).view(b, 1, 1, 1) / 10 for v, s in enumerate(sizes)]


def test_one_pass_for_each_run_of_equal_sizes() -> None:
    backbone = Noting()
    multicrop(backbone, views(8, 8, 4, 4, 4))
    assert backbone.shapes == [(6, 2, 8, 8), (9, 2, 4, 4)]


def test_rows_keep_the_order_of_views_and_images() -> None:
    for sizes in ((8, 8, 4, 4), (8, 4, 8), (4, 8, 8, 4, 4)):  # equal sizes apart from each other stay apart
        given = views(*sizes)
        features = multicrop(Noting(), given)
        torch.testing.assert_close(features, torch.cat([v.mean(dim=(2, 3)) for v in given]))


def test_small_crops_predict_and_are_not_predicted() -> None:
    def pairs(views: int, *, symmetric: bool = True) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        mean = mean_of_pairs(
            lambda u, v: seen.append((u, v)) or torch.tensor(float(10 * u + v)), *roles(views, 2, symmetric=symmetric)
        )
        assert float(mean) == pytest.approx(sum(10 * u + v for u, v in seen) / len(seen))
        return seen

    assert pairs(2) == [(0, 1), (1, 0)]
    assert pairs(4) == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3)]
    assert pairs(4, symmetric=False) == [(1, 0), (1, 2), (1, 3)]
    assert roles(4, 2, symmetric=False) == ([1], [0, 2, 3])
