"""The turn of one request: waiting for it, having the model meanwhile, letting others go first between two windows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from app.models import LoadedModel, ModelStore
from app.summarizing.job import Job, Report
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Event, LoadingModel, Queued
from app.turns import Caller, Ticket, TurnQueue


@contextmanager
def joined(
    queue: TurnQueue,
    caller: Caller | None,
    stop: threading.Event,
    report: Report,
    *,
    work: float = 1.0,
    to_be_read: bool = False,
) -> Iterator[Ticket]:
    """Waits for a turn, saying the place in the queue, and gives it up at the end; `work` as `TurnQueue.join`."""
    with queue.join(caller, work) as ticket:
        for ahead in ticket.positions(stop):
            report(Queued(ahead, queue.seconds_until(ahead), to_be_read))
        yield ticket


class Turn:
    """A turn at the model; a context that gives it back."""

    def __init__(self, ticket: Ticket, store: ModelStore, stop: threading.Event, report: Report) -> None:
        self._ticket, self._store, self._stop, self._report = ticket, store, stop, report
        self._lent = ExitStack()
        self._since = time.monotonic()
        self._earlier = 0.0

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *exception: object) -> None:
        self._give_back()

    @property
    def seconds(self) -> float:
        """How long the work took so far, without the times in which others had their turn."""
        return self._earlier + time.monotonic() - self._since

    def take_model(self, name: str) -> LoadedModel:
        """The model, loaded if need be."""
        if not self._store.loaded(name):
            self._report(LoadingModel(name))
        return self._lent.enter_context(self._store.use(name, self._stop))

    def give_way(self, job: Job) -> None:
        """Between two windows of a job: those who wait go first, if this request has had the model for long enough."""
        had = time.monotonic() - self._since
        if not self._ticket.others_wait() or had < self._store.turns.given_up_after:
            return
        self._give_back()
        for ahead in self._ticket.go_behind(self._stop):
            self._report(Queued(ahead, self._store.turns.seconds_until(ahead)))
        self._since = time.monotonic()
        job.loaded = self.take_model(job.settings.model)

    def watched(self, event: Event) -> None:
        """Reports an event, unless this turn has become longer than those who wait can be asked to bear.

        Raises:
            SummaryError: it has.
        """
        most = self._store.settings.turn_seconds
        from_network = bool(self._ticket.caller.address)
        if from_network and time.monotonic() - self._since > most and self._ticket.others_wait():
            raise SummaryError(
                f"Others are waiting, and a part of this summary takes longer than the {most} seconds for which one "
                "may keep them waiting; choose fewer beams, a shorter summary or a lower input limit."
            )
        self._report(event)

    def _give_back(self) -> None:
        self._earlier, self._since = self.seconds, time.monotonic()
        self._lent.close()
