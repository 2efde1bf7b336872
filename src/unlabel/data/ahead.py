"""Work done in threads ahead of whoever waits for its results, by as many threads as it takes."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

import torch

T = TypeVar("T")

WINDOW = 20
"""So many results are judged together."""

PATIENCE = 0.03
"""The share of the time between two results that may pass with waiting before another thread joins."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Ahead(Generic[T]):
    """Calls `work` on numbers, in threads and ahead of need; iterating gives the results in order, once.

    threads: how many; None begins with one, which beside a step on two cores is best, and takes another whenever the
             results were waited for, up to one fewer than there are cores. `threads` tells how many it takes now.
    least:   how many results are worked at ahead, at least; never fewer than one for each thread and one more.
    """

    def __init__(self, work: Callable[[int], T], numbers: Iterable[int], *, threads: int | None, least: int) -> None:
        self.most = threads or max(1, cores() - 1)
        self.threads = threads or 1
        self.least = least
        self._work = work
        self._numbers = iter(numbers)
        self._turns = threading.Semaphore(self.threads)
        # Each thread works alone: splitting every small operation over all cores costs more than it brings.
        self._pool = ThreadPoolExecutor(self.most, "unlabel-views", torch.set_num_threads, (1,))

    def __iter__(self) -> Iterator[T]:
        pending: deque[Future[T]] = deque()
        seen, waited, since = -self._length, 0.0, 0.0  # the first ones find nothing done ahead
        try:
            self._fill(pending)
            while pending:
                begun = time.perf_counter()
                result = pending.popleft().result()
                now = time.perf_counter()
                waited += now - begun
                seen += 1
                if seen == WINDOW and waited > PATIENCE * (now - since) and self.threads < self.most:
                    self.threads += 1
                    self._turns.release()
                if seen in (0, WINDOW):
                    seen, waited, since = 0, 0.0, now
                self._fill(pending)
                yield result
                del result  # while the next is waited for, nobody here holds on to it
        finally:
            self.close()
            # In torch, what one thread sets is what threads that start later begin with; take that back.
            torch.set_num_threads(torch.get_num_threads())

    def close(self) -> None:
        """Stop, and wait for the threads to end."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def _length(self) -> int:
        return max(self.least, self.threads + 1)

    def _fill(self, pending: deque[Future[T]]) -> None:
        pending.extend(self._pool.submit(self._one, n) for n in islice(self._numbers, self._length - len(pending)))

    def _one(self, number: int) -> T:
        with self._turns:
            return self._work(number)
