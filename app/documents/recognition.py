"""Pages that are pictures of text are recognized side by side, each by Tesseract in a guarded child process."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from app.documents.document import ReadingLimits
from app.documents.guarded_child import TICK_SECONDS, GuardedChild
from app.documents.recognized_text import Box, RecognizedPage, Word, recognized_page
from app.work import check

RECOGNIZER = Path(__file__).with_name("page_recognizer.py")
# An answer is waited for this many times the processor time that a page may take: the machine may be busy.
PATIENCE = 4
# If that many pages take too long, and more than do not, so will the rest.
HOPELESS_PAGES = 3
# What Tesseract is run with: its own threads only cost time, pages are worked on side by side instead.
_ENVIRONMENT = {"OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8", "PATH": os.defpath}


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Pages at once on the whole server. The children are polite (`os.nice`): they have the cores that nobody else wants.
AT_ONCE = min(4, _cores())
_turns = threading.BoundedSemaphore(AT_ONCE)


def tesseract() -> str | None:
    """Path of the program; None where it is not installed."""
    return shutil.which("tesseract")


def recognize_pages(
    file_descriptor: int,
    numbers: Sequence[int],
    program: str,
    password: str | None,
    limits: ReadingLimits,
    stop: threading.Event | None,
) -> Generator[tuple[int, RecognizedPage | str], None, None]:
    """The pages of the open PDF with these numbers, as they get done: their text, or why there is none.

    The reasons are "blank", "damaged", "memory" and "time". Pages for which there was no time are left out at the end.
    Closing the generator kills the children that are at work.

    Args:
        program: path of Tesseract.

    Raises:
        app.work.Stopped: `stop` was set, seen within `guarded_child.TICK_SECONDS`.
    """
    orders = {
        "password": password,
        "program": program,
        "environment": _ENVIRONMENT,
        # Each for the child and for Tesseract.
        "memory_bytes": limits.memory_bytes // 2,
        "cpu_seconds": int(limits.recognition_seconds) + 1,
    }
    deadline = time.monotonic() + limits.seconds
    patience = PATIENCE * limits.recognition_seconds
    cancelled = threading.Event()
    good = slow = 0
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="longt5-recognition")
    try:
        futures = {
            pool.submit(_recognize, file_descriptor, {**orders, "page": number}, patience, cancelled): number
            for number in numbers
        }
        waiting = set(futures)
        while waiting and time.monotonic() < deadline and slow < max(HOPELESS_PAGES, good):
            done, waiting = wait(waiting, TICK_SECONDS, FIRST_COMPLETED)
            check(stop)
            for future in done:
                result = future.result()
                slow += result == "time"
                good += isinstance(result, RecognizedPage)
                yield futures[future], result
    finally:
        cancelled.set()
        pool.shutdown(cancel_futures=True)


def _recognize(
    file_descriptor: int, orders: dict[str, Any], patience: float, cancelled: threading.Event
) -> RecognizedPage | str:
    """One page, in a thread of its own that waits for its child; what it gives once cancelled nobody reads."""
    while not _turns.acquire(timeout=TICK_SECONDS):
        if cancelled.is_set():
            return "time"
    try:
        message = _answer(file_descriptor, orders, patience, cancelled)
    finally:
        _turns.release()
    if "words" not in message:
        return str(message.get("end", "damaged"))
    words = [
        Word(line, Box(*box), ink, confidence, text) for line, box, ink, confidence, text in message["words"]
    ]
    page = recognized_page(message["width"], message["height"], message["scale"], words)
    return page if page.lines else "blank"


def _answer(
    file_descriptor: int, orders: dict[str, Any], patience: float, cancelled: threading.Event
) -> dict[str, Any]:
    """The message of a child; `end` is its only key if that does not come."""
    deadline = time.monotonic() + patience
    child = GuardedChild(RECOGNIZER, file_descriptor, orders)
    try:
        for message in child.messages:
            if message is not None:
                return message
            if cancelled.is_set() or time.monotonic() > deadline:
                break
    finally:
        child.kill()
    return {"end": "time"}
