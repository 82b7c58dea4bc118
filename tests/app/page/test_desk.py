"""The work on a visitor's papers: in turn, stoppable, and never in the way of who looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.documents import DocumentError, PasswordNeeded, Reading
from app.page.desk import BROKEN, Desk
from app.page.papers import Paper
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Done, Read
from app.work import Stopped, check
from tests.app.page.papers import document, summary


def until(true: Callable[[], bool], seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def reading(stop: threading.Event) -> Iterator[Any]:
    yield Reading(1, 2)
    yield Read(document())


def failing(error: Exception) -> Callable[..., Iterator[Any]]:
    def work(stop: threading.Event) -> Iterator[Any]:
        yield Reading(1, None)
        raise error

    return work


class Held:
    """Work that goes on until it is let go, and writes down when it ran; `keep` is called when it is stopped."""

    def __init__(self, end: Any = None, keep: Callable[[], None] | None = None) -> None:
        self.go, self.began, self.ended = threading.Event(), threading.Event(), threading.Event()
        self._end, self._keep = end, keep

    def __call__(self, stop: threading.Event) -> Iterator[Any]:
        self.began.set()
        try:
            while not self.go.wait(0.01):
                if stop.is_set() and self._keep is not None:
                    self._keep()
                check(stop)
                yield Reading(1, None)
            if self._end is not None:
                yield self._end
        finally:
            self.ended.set()


def test_what_is_read_and_written_stands_in_the_paper() -> None:
    desk, paper = Desk(), Paper("x")
    desk.start(paper, "reading", reading)
    until(lambda: paper.state == "read")
    assert paper.document == document()
    assert paper.progress is None
    held = Held(Done(summary()))
    desk.start(paper, "summarizing", held)
    until(lambda: isinstance(paper.progress, Reading))
    assert paper.state == "summarizing"
    held.go.set()
    until(lambda: paper.state == "done")
    assert paper.summary == summary()


@pytest.mark.parametrize(
    ("error", "state", "problem"),
    [
        (DocumentError("It is broken."), "failed", "It is broken."),
        (SummaryError("It is too long."), "failed", "It is too long."),
        (PasswordNeeded("It is locked."), "locked", "It is locked."),
        (Stopped(), "stopped", ""),
        (RuntimeError("inner words"), "failed", BROKEN),
    ],
)
def test_a_failure_is_a_state_and_a_sentence_and_the_next_paper_is_read(
    error: Exception, state: str, problem: str
) -> None:
    desk, bad, good = Desk(), Paper("bad"), Paper("good")
    desk.start(bad, "reading", failing(error))
    desk.start(good, "reading", reading)
    until(lambda: good.state == "read")
    assert (bad.state, bad.problem, bad.progress) == (state, problem, None)
    desk.start(bad, "reading", reading)
    until(lambda: bad.state == "read")
    assert bad.problem == ""


def test_papers_are_worked_on_one_after_the_other_and_one_can_come_first() -> None:
    desk, papers, works = Desk(), [Paper(str(i)) for i in range(4)], [Held() for _ in range(4)]
    for paper, work in zip(papers[:3], works, strict=False):
        desk.start(paper, "summarizing", work)
        works[0].began.wait(3)
    desk.start(papers[3], "summarizing", works[3], first=True)
    assert [desk.ahead_of(paper) for paper in papers] == [0, 2, 3, 1]
    for i in (0, 3, 1, 2):
        assert works[i].began.wait(3)
        assert sum(work.began.is_set() and not work.ended.is_set() for work in works) == 1
        works[i].go.set()
    until(lambda: not any(paper.busy for paper in papers))


def test_reading_does_not_wait_for_summaries() -> None:
    desk, long, short, held = Desk(), Paper("long"), Paper("short"), Held()
    desk.start(long, "summarizing", held)
    desk.start(short, "reading", reading)
    until(lambda: short.state == "read")
    assert long.busy
    held.go.set()
    until(lambda: not long.busy)


def test_a_stop_ends_one_paper_and_no_other() -> None:
    desk, first, second, third = Desk(), Paper("1"), Paper("2"), Paper("3")
    works = [Held(), Held(), Held(Read(document()))]
    for paper, work in zip((first, second, third), works, strict=True):
        desk.start(paper, "reading", work)
    works[0].began.wait(3)
    desk.stop(second)
    assert second.state == "stopped"  # it waited: at once
    assert first.busy and third.busy
    desk.stop(first)
    until(lambda: first.state == "stopped")
    works[2].go.set()
    until(lambda: third.state == "read")
    assert not works[1].began.is_set()
    desk.stop(third)
    assert third.state == "read"


def test_what_was_written_by_then_is_kept() -> None:
    desk, paper = Desk(), Paper("x", document=document())
    desk.start(paper, "summarizing", Held(keep=lambda: setattr(paper, "summary", summary(complete=False))))
    until(lambda: paper.state == "summarizing")
    desk.stop(paper)
    until(lambda: not paper.busy)
    assert paper.state == "stopped"
    assert paper.summary == summary(complete=False)


def test_a_summary_stays_until_there_is_another() -> None:
    desk, paper = Desk(), Paper("x", document=document(), summary=summary())
    for work in (failing(SummaryError("No.")), Held()):
        desk.start(paper, "summarizing", work)
        until(lambda: paper.state != "waiting")
        desk.stop(paper)
        until(lambda: not paper.busy)
        assert paper.summary == summary()
    assert paper.state == "done"


def test_new_work_on_a_paper_overtakes_the_old() -> None:
    desk, paper = Desk(), Paper("x")
    old = Held()
    desk.start(paper, "reading", old)
    old.began.wait(3)
    desk.start(paper, "reading", reading)
    until(lambda: paper.state == "read")
    assert paper.document == document()
    assert old.ended.is_set()


def test_who_waits_for_a_change_hears_of_it() -> None:
    desk, paper = Desk(), Paper("x")
    version = desk.wait(-1, 1)
    assert desk.wait(version, 0.05) == version
    threading.Timer(0.1, desk.start, (paper, "reading", reading)).start()
    began = time.monotonic()
    assert desk.wait(version, 5) != version
    assert time.monotonic() - began < 2


def test_a_desk_without_work_has_no_thread() -> None:
    desk, paper = Desk(), Paper("x")
    desk.start(paper, "reading", reading)
    until(lambda: paper.state == "read")
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "longt5-reading"])
