import numpy as np
import pytest
import torch

from tests.evaluation.pictures import Bars
from unlabel.data.source import Subset
from unlabel.evaluation.features import extract, extract_all
from unlabel.views import View, evaluation, render, sample

VIEW = evaluation(8)


def flat(x):
    return x.flatten(1)


def test_vectors_are_the_embedded_views():
    source = Bars(5)
    found = extract(flat, source, VIEW)
    for i in range(5):
        size = np.array([[16, 16]])
        record = sample(VIEW, seed=0, epoch=0, view_index=0, indices=np.array([i]), sizes=size)[0]
        torch.testing.assert_close(found.vectors[i], render(source.image(i), record, VIEW).flatten(), atol=1e-5, rtol=0)
    assert found.labels.tolist() == [0, 1, 2, 0, 1] and found.index.tolist() == [0, 1, 2, 3, 4]
    assert found.vectors.dtype == torch.float32 and found.labels.dtype == found.index.dtype == torch.int64


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_batches_and_threads_change_nothing(threads, batch_size):
    source = Bars(40)
    found = extract(flat, source, VIEW, batch_size=batch_size, threads=threads)
    torch.testing.assert_close(found.vectors, extract(flat, source, VIEW, threads=1).vectors, atol=0, rtol=0)
    assert found.index.tolist() == list(range(40))


def test_networks_never_see_more_than_a_batch():
    sizes = []
    extract(lambda x: sizes.append(len(x)) or x.flatten(1), Bars(50), VIEW, batch_size=16, threads=4)
    assert max(sizes) <= 16 and sum(sizes) == 50


def test_indices_choose_and_order():
    found = extract(flat, Bars(10), VIEW, indices=np.array([7, 2]))
    assert found.index.tolist() == [7, 2] and found.labels.tolist() == [1, 2]


@pytest.mark.parametrize("batch_size", [2, 100])
def test_unreadable_images_are_left_out_and_reported(batch_size):
    found = extract(flat, Bars(10, broken=(0, 1, 9)), VIEW, batch_size=batch_size)
    assert found.index.tolist() == [2, 3, 4, 5, 6, 7, 8] and len(found.vectors) == len(found) == 7
    assert [bad.path for bad in found.skipped] == ["bar 0", "bar 1", "bar 9"]
    assert found.skipped[0].reason == "no such picture"


def test_nothing_readable_is_no_crash():
    found = extract(flat, Bars(3, broken=(0, 1, 2)), VIEW)
    assert len(found) == 0 and found.vectors.shape == (0, 0) and len(found.skipped) == 3
    assert len(extract(flat, Subset(Bars(3), []), VIEW)) == 0


def test_several_embeddings_decode_once():
    source = Bars(12)
    found = extract_all({"flat": flat, "mean": lambda x: x.mean((2, 3))}, source, VIEW)
    assert source.read == 12
    assert found["flat"].vectors.shape == (12, 192) and found["mean"].vectors.shape == (12, 3)


def test_progress_ends_at_one_and_counts_the_unreadable():
    told = []
    extract_all({"": flat}, Bars(10, broken=(9,)), VIEW, batch_size=4, progress=told.append)
    assert told == sorted(told) and told[-1] == 1


def test_inference_mode_inside_and_free_tensors_outside():
    layer = torch.nn.Linear(192, 4)

    def embed(x):
        assert torch.is_inference_mode_enabled()
        return layer(x.flatten(1)).half()

    found = extract(embed, Bars(4), VIEW)
    assert found.vectors.dtype == torch.float32 and not found.vectors.is_inference()
    torch.nn.Linear(4, 1)(found.vectors).sum().backward()


def test_the_global_generators_stay_as_they_were():
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()
    extract(flat, Bars(4), View(size=8, jitter=(0.4, 0.4, 0.4, 0.1)))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(numpys, np.random.get_state()[1])


def test_view_index_draws_another_view():
    light = View(size=8, scale=(0.4, 1.0))
    one, two, again = (extract(flat, Bars(4), light, view_index=i).vectors for i in (0, 1, 0))
    assert torch.equal(one, again) and not torch.equal(one, two)


def test_a_map_is_no_vector():
    with pytest.raises(ValueError, match="must return"):
        extract(lambda x: x, Bars(4), VIEW)
