import torch

from unlabel.evaluation import prototypes
from unlabel.evaluation.prototypes import most_used


def test_by_hand(monkeypatch) -> None:
    monkeypatch.setattr(prototypes, "_ROWS", 2)  # so that images come in several parts
    p = torch.tensor([
        [0.1, 0.9, 0.0, 0.0],
        [0.2, 0.8, 0.0, 0.0],
        [0.0, 0.6, 0.4, 0.0],
        [0.3, 0.0, 0.7, 0.0],
        [0.9, 0.1, 0.0, 0.0],
    ])  # fmt: skip
    found = most_used(lambda h: p[h[:, 0].long()], torch.arange(5.0)[:, None], most=2, images=3)
    assert (found.count, found.used, found.images) == (4, 3, 5)
    first, second = found.most
    assert (first.number, first.share, first.rows) == (1, 0.6, [0, 1, 2])
    torch.testing.assert_close(torch.tensor(first.likely), torch.tensor([0.9, 0.8, 0.6]))
    assert second.number == 0 and second.share == 0.2 and second.rows == [4, 3, 1]  # of equal ones, the first


def test_unused_prototypes_are_left_out_and_all_alike_is_told() -> None:
    found = most_used(lambda h: torch.tensor([[0.2, 0.5, 0.3]]).expand(len(h), 3), torch.zeros(600, 1))
    assert (found.count, found.used) == (3, 1)
    assert [(one.number, one.share) for one in found.most] == [(1, 1.0)]


def test_nothing_to_say() -> None:
    assert most_used(lambda h: h, torch.zeros(0, 2)) is None
    assert most_used(lambda h: h, torch.full((3, 2), torch.nan)) is None
