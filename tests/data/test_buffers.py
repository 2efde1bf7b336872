"""Memory comes back when nobody looks at it, and never before."""

import gc
import sys
import threading

import numpy as np
import pytest
import torch

from unlabel.data.buffers import Buffers

SHAPE = (2, 3, 4, 5)


def take(buffers: Buffers, shape=SHAPE, memory_format=torch.contiguous_format, dtype=torch.float32) -> torch.Tensor:
    return buffers.take(shape, memory_format, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_tensor_is_as_it_was_asked_for(memory_format, dtype):
    tensor = take(Buffers(2), memory_format=memory_format, dtype=dtype)
    assert tensor.shape == SHAPE and tensor.dtype == dtype and tensor.is_contiguous(memory_format=memory_format)


def test_memory_that_nobody_looks_at_is_used_again():
    buffers = Buffers(2)
    first = take(buffers)
    place = first.data_ptr()
    assert take(buffers).data_ptr() != place
    del first
    assert take(buffers, memory_format=torch.channels_last).data_ptr() == place


def test_whatever_looks_at_memory_keeps_it():
    buffers = Buffers(4)
    tensor = take(buffers).fill_(7.0)
    place, row, array = tensor.data_ptr(), tensor[1], tensor.numpy()[0]
    weight = torch.ones(5, requires_grad=True)
    product = (weight * tensor).sum()  # whose graph holds it too
    keepers = {"row": row, "array": array, "graph": product}
    del tensor, row, array, product
    while keepers:
        assert take(buffers).fill_(0.0).data_ptr() != place
        name, keeper = keepers.popitem()
        if name == "graph":
            keeper.backward()
            assert weight.grad.tolist() == [7.0 * 24] * 5
        else:
            assert (np.asarray(keeper) == 7.0).all()
        del keeper
    assert take(buffers).data_ptr() == place


def test_only_so_much_is_kept():
    buffers = Buffers(2)
    held = [take(buffers) for _ in range(5)]
    places = {tensor.data_ptr() for tensor in held}
    assert len(places) == 5
    del held
    assert len(buffers._pieces) == 2
    assert {take(buffers).data_ptr() for _ in range(3)} < places


def test_other_lengths_have_other_memory():
    buffers = Buffers(4)
    place = take(buffers).data_ptr()
    assert take(buffers, (4, 3, 4, 5)).data_ptr() != place
    assert take(buffers).data_ptr() == place


@pytest.mark.parametrize("count", range(6))
def test_the_interpreter_may_count_references_as_it_likes(count, monkeypatch):
    monkeypatch.setattr(sys, "getrefcount", lambda _: count)
    buffers = Buffers(4)
    held = [take(buffers).fill_(k) for k in range(3)]
    assert len({tensor.data_ptr() for tensor in held}) == 3
    assert [tensor.unique().tolist() for tensor in held] == [[0.0], [1.0], [2.0]]
    pieces = [piece for piece, _ in buffers._pieces]  # further references to the memory itself, which are no tensors
    place = held.pop(1).data_ptr()
    assert take(buffers).data_ptr() == place and len(pieces) == 3


def test_memory_in_a_cycle_comes_back_with_it():
    buffers = Buffers(2)
    tensor = take(buffers)
    place = tensor.data_ptr()
    cycle = [tensor]
    cycle.append(cycle)
    del tensor, cycle
    gc.collect()
    assert take(buffers).data_ptr() == place


def test_threads_never_share_memory():
    buffers, wrong = Buffers(3), []

    def fill(value: int) -> None:
        for _ in range(300):
            tensor = take(buffers).fill_(value)
            row = tensor[1]
            del tensor
            take(buffers).fill_(-1.0)
            if not (row == value).all():
                wrong.append(value)

    threads = [threading.Thread(target=fill, args=[value]) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
