import numpy as np
import torch

from unlabel.views import RECORD, Batch


def batch(masks: bool) -> Batch:
    return Batch(
        views=[torch.randn(5, 3, 8, 8), torch.randn(5, 3, 4, 4)],
        index=torch.tensor([3, 1, 4, 1, 5]),
        records=[np.zeros(5, RECORD), np.ones(5, RECORD)],
        masks=torch.rand(5, 4) > 0.5 if masks else None,
        tokens=torch.arange(30).view(5, 6) if masks else None,
    )


def test_length_is_the_number_of_images():
    assert len(batch(False)) == 5


def test_rows_cuts_everything_alike_and_copies_nothing():
    whole = batch(True)
    part = whole.rows(slice(1, 4))
    assert len(part) == 3 and part.index.tolist() == [1, 4, 1]
    assert [view.shape for view in part.views] == [(3, 3, 8, 8), (3, 3, 4, 4)]
    assert [len(record) for record in part.records] == [3, 3]
    assert torch.equal(part.masks, whole.masks[1:4]) and torch.equal(part.tokens, whole.tokens[1:4])
    assert part.views[0].data_ptr() == whole.views[0][1].data_ptr()
    assert batch(False).rows(slice(0, 2)).masks is None and batch(False).rows(slice(0, 2)).tokens is None


def test_to_moves_the_tensors_and_keeps_the_records():
    whole = batch(True)
    moved = whole.to("meta")
    assert all(view.is_meta for view in (*moved.views, moved.index, moved.masks, moved.tokens))
    assert moved.records is whole.records
    assert batch(False).to("cpu").masks is None


def test_maps_of_objects_and_hard_negatives_go_along():
    whole = Batch(
        views=[torch.randn(4, 3, 8, 8)],
        index=torch.arange(4),
        records=[np.zeros(4, RECORD)],
        saliency=[torch.rand(4, 8, 8)],
        negative=torch.randn(4, 3, 8, 8),
        matched=torch.tensor([True, False, True, False]),
    )
    part = whole.rows(slice(1, 3))
    assert torch.equal(part.saliency[0], whole.saliency[0][1:3]) and torch.equal(part.negative, whole.negative[1:3])
    assert part.matched.tolist() == [False, True]
    moved = whole.to("meta")
    assert moved.saliency[0].is_meta and moved.negative.is_meta and moved.matched.is_meta
