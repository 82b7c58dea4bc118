"""First come, first served: the queue for the one thing of which there is only one, the model."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from app.summarizing.settings import SummaryError
from app.work import check

POLL_SECONDS = 0.2  # how often those who wait look whether they have been told to stop


class Ticket:
    """A turn to come, drawn with `TurnQueue.join`."""

    def __init__(self, queue: TurnQueue) -> None:
        self._queue = queue

    def positions(self, stop: threading.Event | None = None) -> Iterator[int]:
        """Yields how many are ahead, each time that changes, and ends when it is this ticket's turn.

        Raises:
            Stopped: `stop` was set.
        """
        last = None
        while True:
            ahead = self._queue.wait_while_ahead_is(last, self)
            check(stop)
            if ahead == 0:
                return
            if ahead != last:
                yield ahead
            last = ahead


class TurnQueue:
    """The waiting and the one whose turn it is. May be used from any thread."""

    def __init__(self, size: int) -> None:
        """`size`: how many may wait besides the one whose turn it is."""
        self._size = size
        self._tickets: deque[Ticket] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def join(self) -> Iterator[Ticket]:
        """A ticket of the queue; leaving the context gives it up, the turn included.

        Raises:
            SummaryError: the queue is full.
        """
        ticket = Ticket(self)
        with self._changed:
            if len(self._tickets) > self._size:
                raise SummaryError(
                    f"{self._size} summaries are already waiting for the model; try again in a few minutes."
                )
            self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            with self._changed:
                self._tickets.remove(ticket)
                self._changed.notify_all()

    def wait_while_ahead_is(self, ahead: int | None, ticket: Ticket) -> int:
        """Returns how many are ahead of `ticket`, as soon as it is not `ahead` or after a moment."""
        with self._changed:
            if self._tickets.index(ticket) == ahead:
                self._changed.wait(POLL_SECONDS)
            return self._tickets.index(ticket)
