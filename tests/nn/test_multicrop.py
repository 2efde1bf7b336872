import torch
from torch import Tensor, nn

from unlabel.nn.multicrop import multicrop, pairs


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
    assert pairs(2, 2) == [(0, 1), (1, 0)]
    assert pairs(4, 2) == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3)]
    assert all(u < 2 and u != v for u, v in pairs(8, 2)) and len(set(pairs(8, 2))) == 2 * 7
