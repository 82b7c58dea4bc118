"""Guards the reading of one PDF: the child that does it has deadlines, can be stopped, and leaves nothing behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from app.documents.guarded_child import GuardedChild
from app.work import check

READER = Path(__file__).with_name("pdf_reader.py")


def run_reader(
    file_descriptor: int,
    orders: dict[str, Any],
    *,
    seconds: float,
    stall_seconds: float,
    stop: threading.Event | None,
) -> Generator[dict[str, Any], None, None]:
    """Messages of `pdf_reader.py` (its docstring lists them) for the open PDF.

    The last message is always one with the key `end` or `refused`. Where the child does not send it, it is made here:
    `{"end": "time" | "memory" | "damaged" | "interrupted"}` if a deadline passed (`seconds` in all, `stall_seconds`
    without a message), memory ran out, the child died or somebody killed it. Closing the generator kills the child and
    everything it started.

    Raises:
        app.work.Stopped: `stop` was set, seen within `guarded_child.TICK_SECONDS`.
    """
    child = GuardedChild(READER, file_descriptor, orders)
    try:
        yield from _in_time(child, seconds, stall_seconds, stop)
    finally:
        child.kill()


def _in_time(
    child: GuardedChild, seconds: float, stall_seconds: float, stop: threading.Event | None
) -> Iterator[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    stalled = time.monotonic() + stall_seconds
    for message in child.messages:
        check(stop)
        now = time.monotonic()
        if message is None:
            if now > min(deadline, stalled):
                yield {"end": "time"}
                return
            continue
        yield message
        if "end" in message or "refused" in message:
            return
        # The time that the consumer took over the message does not count against the child.
        waited = time.monotonic() - now
        deadline += waited
        stalled = time.monotonic() + stall_seconds
        if now > deadline:
            yield {"end": "time"}
            return
