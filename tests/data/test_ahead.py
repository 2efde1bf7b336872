"""Work in threads, ahead of need: in order, by as many threads as it takes, and gone when nobody wants it."""

import threading
import time

import pytest

from unlabel.data import ahead
from unlabel.data.ahead import Ahead


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "cores", lambda: 4)
    monkeypatch.setattr(ahead, "WINDOW", 4)


def slowly(seconds: float):
    def work(number: int) -> int:
        time.sleep(seconds)
        return number

    return work


def test_results_come_in_order_whatever_finishes_first():
    def work(number: int) -> int:
        time.sleep(0.01 * (number % 3 == 0))
        return number

    assert list(Ahead(work, range(20), threads=4, least=6)) == list(range(20))


def test_one_thread_stays_alone_where_nobody_waits(monkeypatch: pytest.MonkeyPatch):
    hours = 0.0
    # A clock that only runs while a result is used, so that a machine busy with other things makes nobody wait.
    monkeypatch.setattr(ahead.time, "perf_counter", lambda: hours)
    working = Ahead(lambda number: number, range(40), threads=None, least=2)
    for _ in working:
        hours += 1
    assert working.threads == 1


@pytest.mark.parametrize(("waiting", "threads"), [(2, 1), (4, 2)])  # three in a hundred are borne
def test_a_thread_joins_where_more_than_a_little_of_the_time_is_waiting(
    monkeypatch: pytest.MonkeyPatch, waiting: float, threads: int
):
    now, calls = 0.0, 0

    def clock() -> float:  # read before and after each wait
        nonlocal now, calls
        calls += 1
        now += waiting if calls % 2 == 0 else 100 - waiting
        return now

    monkeypatch.setattr(ahead.time, "perf_counter", clock)
    working = Ahead(lambda number: number, range(8), threads=None, least=2)
    assert list(working) == list(range(8)) and working.threads == threads


def test_threads_join_while_results_are_waited_for_and_one_core_is_left():
    working, most, running, lock = None, 0, 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return number

    working = Ahead(work, range(60), threads=None, least=2)
    assert list(working) == list(range(60))
    assert working.threads == most == 3  # of four cores


def test_a_number_of_threads_that_was_asked_for_is_kept():
    working = Ahead(slowly(0.005), range(30), threads=2, least=2)
    assert list(working) == list(range(30)) and working.threads == 2


def test_no_more_is_done_ahead_than_was_asked():
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return number

    results = iter(Ahead(work, range(100), threads=1, least=5))
    assert next(results) == 0
    time.sleep(0.1)
    assert max(begun) == 5
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("unlabel-views")]
