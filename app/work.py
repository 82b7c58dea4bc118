"""Work that can be stopped: the check it makes on the way, and the thread in which it runs while others follow it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The work was asked to stop."""

    def __init__(self) -> None:
        super().__init__("The work was stopped.")


def check(stop: threading.Event | None) -> None:
    """Called often while working.

    Raises:
        Stopped: `stop` is set.
    """
    if stop is not None and stop.is_set():
        raise Stopped


def follow(work: Callable[[Callable[[T], None]], None], stop: threading.Event) -> Generator[T, None, None]:
    """Runs `work(report)` in a thread of its own and yields what it reports.

    The work has to `check(stop)` often: `stop` is also set when the generator is closed, which then waits for the end
    of the work.

    Raises:
        Stopped: `stop` was set; nothing is yielded any more.
        Exception: whatever the work raises.
    """
    reports: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def run() -> None:
        try:
            check(stop)
            work(lambda report: reports.put(("report", report)))
            reports.put(("done", None))
        except BaseException as error:  # whatever it is, it is raised again where somebody waits for it
            reports.put(("error", error))

    thread = threading.Thread(target=run, name="longt5-work", daemon=True)
    thread.start()
    finished = False
    try:
        while True:
            kind, content = reports.get()
            finished = kind != "report"
            if kind == "error":
                raise content
            if finished:
                return
            check(stop)
            yield content
    finally:
        if not finished:
            stop.set()
        thread.join()
