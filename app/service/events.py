"""Gradio's events within limits: a share for each address, an end to what nobody fetches, a sentence for nonsense."""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import fastapi
import gradio as gr
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, Queue
from gradio.server_messages import EventMessage, ProcessCompletedMessage

# Of an address: results that nobody has fetched, of which that of a map takes some MB. A page fetches each at once.
MOST_RESULTS = 32
MOST_RESULTS_OF_ALL = 128
RESULT_SECONDS = 600.0
# Of a page or a program that does not listen; a summary on its way has about eight a second.
MOST_MESSAGES = 1_000
TOO_MANY_EVENTS = "Your address has {most} requests waiting or at work; try again when one of them is done."
TOO_MANY_RESULTS = "Your address has {most} results that were not fetched; fetch them first."
NOT_UNDERSTOOD = "What was sent could not be understood; /gradio_api/info says what each function takes."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Result:
    """An answer that waits to be fetched."""

    address: str
    session: str
    since: float


class Events(Queue):
    """The queue of a page, to stand in the place of the one that Gradio makes for it."""

    def __init__(self, page: gr.Blocks, *, size: int, share: int, limit: int) -> None:
        """Opens the queue.

        Args:
            size: how many events may wait.
            share: how many an address from the network may have, those at work among them.
            limit: how many of a kind that says nothing else are at work at the same time.
        """
        super().__init__(
            live_updates=True,
            concurrency_count=page.max_threads,
            update_intervals=1,
            max_size=size,
            blocks=page,
            default_concurrency_limit=limit,
        )
        self._share = share
        self._results: OrderedDict[str, _Result] = OrderedDict()  # by event, the oldest first
        self._turns: dict[str, float] = {}  # when an address had its last one

    async def push(
        self, body: PredictBodyInternal, request: fastapi.Request, username: str | None
    ) -> tuple[
        bool, str | list[dict[str, Any]], Literal["success", "error", "queue_full", "validator_error"]
    ]:
        address = _address(request)
        held = sum(_address(event.request) == address for event in self.event_ids_to_events.values())
        if held >= self._share:
            return False, TOO_MANY_EVENTS.format(most=self._share), "queue_full"
        self.sweep()
        if sum(result.address == address for result in self._results.values()) >= MOST_RESULTS:
            return False, TOO_MANY_RESULTS.format(most=MOST_RESULTS), "queue_full"
        return await super().push(body, request, username)

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        """As Gradio's, but where a kind has to wait, whoever has least of it at work, and waited longest, is first."""
        for line in self.event_queue_per_concurrency_id.values():
            if len(line.queue) > 1 and line.current_concurrency < (line.concurrency_limit or 0):
                first = min(line.queue, key=partial(self._had, self._at_work(line.concurrency_id)))
                line.queue.remove(first)
                line.queue.insert(0, first)
        found = super().get_events()
        for event in found[0] if found else ():
            self._turns[_address(event.request)] = time.monotonic()
        return found

    def _at_work(self, kind: str) -> Counter[str]:
        """How many events of a kind are at work, by address."""
        jobs = (event for job in self.active_jobs for event in job or ())
        return Counter(_address(event.request) for event in jobs if event.concurrency_id == kind)

    def _had(self, at_work: Counter[str], event: Event) -> tuple[int, float]:
        """What the address of an event has had."""
        address = _address(event.request)
        return at_work[address], self._turns.get(address, 0.0)

    def send_message(self, event: Event, event_message: EventMessage) -> None:
        messages = self.pending_messages_per_session.get(event.session_hash)
        if messages is None or messages.qsize() >= MOST_MESSAGES:
            event.alive = False  # nobody listens: its work ends
        super().send_message(event, event_message)
        if event.alive and isinstance(event_message, ProcessCompletedMessage):
            self._results[event._id] = _Result(_address(event.request), event.session_hash, time.monotonic())

    def compute_analytics_summary(self, records: Any) -> Any:
        """Nothing: its door is closed, and Gradio makes a table of the last 10,000 events after each."""
        return self.cached_event_analytics_summary

    def sweep(self) -> None:
        """Forgets results that were fetched, and those that nobody fetches, the oldest of too many first."""
        now = time.monotonic()
        for event_id, result in list(self._results.items()):
            fetched = event_id not in self.pending_event_ids_session.get(result.session, ())
            if fetched or result.session not in self.pending_messages_per_session:
                del self._results[event_id]
        for event_id, result in list(self._results.items()):
            if len(self._results) <= MOST_RESULTS_OF_ALL and now - result.since < RESULT_SECONDS:
                break
            del self._results[event_id]
            self._forget(result.session)
        self._turns = {address: at for address, at in self._turns.items() if now - at < RESULT_SECONDS}
        for session, events in list(self.pending_event_ids_session.items()):
            at_work = events & self.event_ids_to_events.keys()
            if session not in self.pending_messages_per_session and not at_work:
                del self.pending_event_ids_session[session]

    def _forget(self, session: str) -> None:
        """Everything that waits to be fetched by a page or program which does not."""
        self.pending_messages_per_session.pop(session, None)
        self.pending_event_ids_session.pop(session, None)


def _address(request: fastapi.Request) -> str:
    return request.client.host if request.client else ""


Read = Callable[..., Awaitable[list[Any]]]


def understood(read: Read) -> Read:
    """Gradio's reading of what an event brings, which says no in a sentence where it can't be read.

    Its own words for that are a program's, and it writes what was sent to the log.
    """

    async def read_or_refuse(*arguments: Any, **named: Any) -> list[Any]:
        try:
            return await read(*arguments, **named)
        except gr.Error as error:
            raise gr.Error(error.message, print_exception=False) from None
        except Exception as error:
            log.info("An event could not be understood: %s", type(error).__name__)
            raise gr.Error(NOT_UNDERSTOOD, print_exception=False) from None

    return read_or_refuse
