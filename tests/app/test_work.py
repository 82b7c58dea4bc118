"""Work in a thread: what is followed, and how it ends."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable

import pytest

from app.documents import pdf_reader
from app.work import NICENESS, Stopped, check, follow, stop_all


@pytest.fixture(autouse=True)
def nothing_stays_behind():
    """No thread outlives the test that started it."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert not left, f"threads left: {left}"


def endless(stop: threading.Event) -> Callable[[Callable[[int], None]], None]:
    def work(report: Callable[[int], None]) -> None:
        report(0)
        while True:
            check(stop)
            time.sleep(0.001)

    return work


def test_reports_come_in_order_from_another_thread() -> None:
    threads = []

    def work(report: Callable[[int], None]) -> None:
        threads.append(threading.get_ident())
        for number in range(100):
            report(number)

    stop = threading.Event()
    assert list(follow(work, stop)) == list(range(100))
    assert threads != [threading.get_ident()]
    assert not stop.is_set()


def test_stopping() -> None:
    stop = threading.Event()
    reports = follow(endless(stop), stop)
    assert next(reports) == 0
    stop.set()
    with pytest.raises(Stopped) as error:
        next(reports)
    assert str(error.value)


def test_nothing_is_yielded_once_stopped() -> None:
    stop, reported = threading.Event(), threading.Event()

    def work(report: Callable[[int], None]) -> None:
        report(0)
        report(1)
        reported.set()

    reports = follow(work, stop)
    assert next(reports) == 0
    assert reported.wait(5)
    stop.set()
    with pytest.raises(Stopped):
        next(reports)


def test_closing_ends_the_work() -> None:
    """As Gradio does with a generator whose event was cancelled."""
    stop = threading.Event()
    reports = follow(endless(stop), stop)
    assert next(reports) == 0
    reports.close()
    assert stop.is_set()
    assert list(reports) == []


def test_stopped_before_it_began() -> None:
    stop, began = threading.Event(), []
    stop.set()
    with pytest.raises(Stopped):
        list(follow(began.append, stop))
    assert not began


def test_nothing_runs_until_the_first_report_is_asked_for() -> None:
    began: list[object] = []
    reports = follow(began.append, threading.Event())
    time.sleep(0.05)
    assert not began
    reports.close()


def test_errors_of_the_work_reach_the_caller() -> None:
    def work(report: Callable[[int], None]) -> None:
        report(0)
        raise KeyError("lost")

    reports = follow(work, threading.Event())
    assert next(reports) == 0
    with pytest.raises(KeyError, match="lost"):
        next(reports)


def test_what_is_no_exception_reaches_whoever_waits() -> None:
    """As libraries in Rust raise it when they give up."""

    class PanicException(BaseException):
        pass

    def work(report: Callable[[int], None]) -> None:
        raise PanicException

    with pytest.raises(RuntimeError, match="PanicException"):
        list(follow(work, threading.Event()))


def test_everything_is_stopped_at_once() -> None:
    stops = [threading.Event() for _ in range(3)]
    works = [follow(endless(stop), stop) for stop in stops]
    for work in works:
        assert next(work) == 0
    stop_all(seconds=5)
    assert all(stop.is_set() for stop in stops)
    for work in works:
        with pytest.raises(Stopped):
            next(work)


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_work_lets_the_thread_that_follows_it_go_first() -> None:
    """With the threads that it starts, as those in which PyTorch computes."""

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def work(report: Callable[[int], None]) -> None:
        report(niceness())
        helper = threading.Thread(target=lambda: report(niceness()))
        helper.start()
        helper.join()

    before = niceness()
    assert [*follow(work, threading.Event()), niceness()] == [max(before, NICENESS)] * 2 + [before]


def test_who_computes_goes_before_who_reads_files() -> None:
    assert 0 < NICENESS < pdf_reader.NICENESS


def test_an_event_loop_does_not_wait_for_the_end_of_work() -> None:
    """Gradio closes what a caller has left in its own, where everybody else would wait too."""
    let_go, ended = threading.Event(), threading.Event()

    def work(report: Callable[[int], None]) -> None:
        report(0)
        let_go.wait(20)
        ended.set()

    async def leave() -> bool:
        stop = threading.Event()
        reports = follow(work, stop)
        next(reports)
        reports.close()
        return stop.is_set() and not ended.is_set()

    assert asyncio.run(leave())
    let_go.set()
    assert ended.wait(20)
    stop_all(20)
