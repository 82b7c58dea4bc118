"""Work that can be stopped: the check it makes on the way, and the thread in which it runs while others follow it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


# Every thread of work in progress, with what stops it.
_in_progress: dict[threading.Thread, threading.Event] = {}

NICENESS = 10
"""Of threads that work. The thread that answers has 0, processes that read files have more than this."""


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


def stop_all(seconds: float = 0) -> None:
    """Stops all work in progress and waits so long for its end."""
    deadline = time.monotonic() + seconds
    working = dict(_in_progress)
    for stop in working.values():
        stop.set()
    for thread in working:
        thread.join(max(0.0, deadline - time.monotonic()))


def _step_back() -> None:
    """From now on this thread, and those that it starts, have the processor time that nobody else wants.

    The one that answers everybody comes first then, on a machine where all cores compute. Linux alone knows priorities
    of threads.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a container may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def follow(work: Callable[[Callable[[T], None]], None], stop: threading.Event) -> Generator[T, None, None]:
    """Runs `work(report)` in a thread of its own and yields what it reports.

    The work has to `check(stop)` often: `stop` is also set when the generator is closed, which then waits for the end
    of the work; but not where an event loop closes it, as Gradio's does when a caller has gone, for everybody else
    would wait too.

    Raises:
        Stopped: `stop` was set; nothing is yielded any more.
        Exception: whatever the work raises.
    """
    reports: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def run() -> None:
        _step_back()
        try:
            check(stop)
            work(lambda report: reports.put(("report", report)))
            reports.put(("done", None))
        except Exception as error:  # raised again where somebody waits for it
            reports.put(("error", error))
        except BaseException as error:  # a library in Rust gave up: whoever waits should not, and is told
            reports.put(("error", RuntimeError(type(error).__name__)))
        finally:
            del _in_progress[threading.current_thread()]

    # In the context of whoever asked: by it a GPU that is lent knows for whom.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="longt5-work", daemon=True)
    _in_progress[thread] = stop
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
        if finished or not _in_event_loop():
            thread.join()


def _in_event_loop() -> bool:
    """Whether this thread runs one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
