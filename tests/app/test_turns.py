from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from app.summarizing.settings import SummaryError
from app.turns import TurnQueue
from app.work import Stopped


def test_first_come_first_served_with_a_visible_place() -> None:
    turns = TurnQueue(10)
    order: list[str] = []
    seen: dict[str, list[int]] = {"b": [], "c": []}
    joined = threading.Semaphore(0)

    def work(name: str) -> None:
        with turns.join() as ticket:
            for ahead in ticket.positions():
                seen[name].append(ahead)
                joined.release()
            order.append(name)

    threads = []
    with turns.join() as ticket:
        assert list(ticket.positions()) == []
        for name in ("b", "c"):
            threads.append(threading.Thread(target=work, args=(name,)))
            threads[-1].start()
            joined.acquire()
        order.append("a")
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c"]
    assert seen["b"] == [1]
    assert seen["c"][0] == 2  # and perhaps 1, if it was seen in between


def test_whoever_waits_can_be_stopped_and_gives_up_the_place() -> None:
    turns, stop = TurnQueue(10), threading.Event()
    with turns.join() as first:
        assert list(first.positions()) == []
        with pytest.raises(Stopped), turns.join() as second:
            for ahead in second.positions(stop):
                assert ahead == 1
                stop.set()
        with turns.join() as third:
            assert next(third.positions()) == 1


def test_a_failure_gives_up_the_turn() -> None:
    turns = TurnQueue(10)
    with pytest.raises(ZeroDivisionError), turns.join():
        raise ZeroDivisionError
    with turns.join() as ticket:
        assert list(ticket.positions()) == []


def test_a_full_queue_says_so() -> None:
    turns = TurnQueue(2)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(turns.join())
        with pytest.raises(SummaryError, match="2 summaries are already waiting"):
            stack.enter_context(turns.join())
    with turns.join():
        pass
