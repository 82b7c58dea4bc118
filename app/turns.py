"""Fair turns at something of which there is little: the model, the processes that read files.

Turns go round: while somebody's first waits, nobody else has two. They go round by address, and at one address by
visitor, so that nobody gets more by calling himself many. Among equals, first come is first served.

The order is that of start-time fair queueing (Goyal, Vin and Cheng 1996): a clock counts rounds, whoever comes may
start at what it shows, and whoever had a turn a round later. It also goes on a little with every turn, so that those
who come new can't keep somebody's second waiting for ever.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.summarizing.settings import SummaryError
from app.work import check

POLL_SECONDS = 0.2  # how often those who wait look whether they have been told to stop
# So often at most is somebody told his place, and so much more rarely for everybody ahead: telling fifty people at
# every turn took more of the processor than their turns.
PLACE_SECONDS, PLACE_SECONDS_EACH = 1.0, 0.2
# How long those who wait will wait is foretold by the last turns at a steady pace, but for the slowest one, which may
# have waited for a model to be loaded. Not for more: a short paper takes longer for what there is to do of it than a
# long one. In a rush turns are slow while everybody's files are read, which is over before the turns of those who came
# last: until there are enough steady turns, the faster half of all stands for them.
REMEMBERED_TURNS = 20
ENOUGH_STEADY_TURNS = 4
RUSHED_SHARE = 1 / 2
# By which more is said than steady turns foretell: of 300 who waited half would have waited longer than the mean, and
# as turns slow down for a minute at a time, who waited longest by a third.
MARGIN = 1.25
# By which every turn moves the clock: newcomers of eight turns go before a second one.
ROUND_OF_A_TURN = 1 / 8


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    address: str = ""
    """Of the network; whoever calls from this very process has none."""
    token: str = ""
    """Tells apart those who share an address, as far as they can be."""


class Ticket:
    """A turn to come, drawn with `TurnQueue.join`."""

    def __init__(self, queue: TurnQueue, caller: Caller, work: float) -> None:
        self.caller = caller
        self.work = work
        self.came = 0.0
        """Of the queue's clock."""
        self.had = 0.0
        """Seconds of turns that it gave up for others."""
        self.rushed = False
        """Whether a turn of it began in a rush."""
        self.called = threading.Condition(queue.lock)
        """Notified when it is its turn, or when it lost its place: fifty who wait are not to wake at every change."""
        self._queue = queue

    def positions(self, stop: threading.Event | None = None) -> Iterator[int]:
        """Yields how many are ahead, at once and every so often if it changed, and ends when it is this ticket's turn.

        Raises:
            Stopped: `stop` was set.
            SummaryError: the queue is full, and somebody who has less in it took this place.
        """
        ahead = told = None
        again = 0.0
        while True:
            ahead = self._queue.wait_while_ahead_is(ahead, self)
            check(stop)
            if ahead == 0:
                return
            if ahead != told and time.monotonic() >= again:
                told = ahead
                again = time.monotonic() + max(PLACE_SECONDS, PLACE_SECONDS_EACH * ahead)
                yield ahead

    def others_wait(self) -> bool:
        """Whether somebody waits for the turn that this ticket has."""
        return bool(len(self._queue))

    def go_behind(self, stop: threading.Event | None = None) -> Iterator[int]:
        """Gives the turn up for those who wait now, and waits for the next one; otherwise as `positions`."""
        self._queue.take_back(self)
        return self.positions(stop)


class _Rounds:
    """The clock, and from when on everybody may start again."""

    def __init__(self) -> None:
        self.clock = 0.0
        self._next: dict[str | Caller, float] = {}

    def copy(self) -> _Rounds:
        """These as they are now."""
        other = _Rounds()
        other.clock, other._next = self.clock, dict(self._next)
        return other

    def start(self, ticket: Ticket) -> tuple[float, float]:
        """When a ticket may start: by its address, and of one address by its caller."""
        address, caller = (
            max(ticket.came, self._next.get(key, 0.0)) for key in (ticket.caller.address, ticket.caller)
        )
        return address, caller

    def count(self, ticket: Ticket) -> None:
        """A ticket has its turn."""
        self.clock = max(self.clock, self.start(ticket)[0])
        for key in (ticket.caller.address, ticket.caller):
            self._next[key] = self.clock + 1
        self.clock += ROUND_OF_A_TURN

    def forget(self, waiting: list[Ticket]) -> None:
        """Forgets who may start by now and does not wait."""
        here: set[str | Caller] = {
            key for ticket in waiting for key in (ticket.caller.address, ticket.caller)
        }
        self._next = {key: start for key, start in self._next.items() if start > self.clock or key in here}


@dataclass(frozen=True)
class _PastTurn:
    seconds: float
    work: float
    rushed: bool


class TurnQueue:
    """Those who wait and those whose turn it is. May be used from any thread."""

    def __init__(
        self,
        size: int,
        *,
        turns_at_once: int = 1,
        share: int | None = None,
        given_up_after: float = math.inf,
        in_rush: Callable[[], bool] = lambda: False,
        of: str = "summaries",
    ) -> None:
        """Opens the queue.

        Args:
            size: how many may wait besides those whose turn it is.
            turns_at_once: how many have their turn at the same time.
            share: how many tickets a visitor from the network may hold; None for as many as there are.
            given_up_after: seconds after which whoever has a turn lets those who wait go first, about.
            in_rush: whether something slows turns down that is over soon.
            of: what waits, for the sentences of its errors.
        """
        self._size = size
        self._turns_at_once = turns_at_once
        self._share = share
        self.given_up_after = given_up_after
        self._in_rush = in_rush
        self._of = of
        self._waiting: list[Ticket] = []  # in the order of coming
        self._order: list[Ticket] = []  # in the order of turns
        self._served: dict[Ticket, float] = {}  # since when
        self._past: deque[_PastTurn] = deque(maxlen=REMEMBERED_TURNS)
        self._rounds = _Rounds()
        self.lock = threading.Lock()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @contextmanager
    def join(self, caller: Caller | None = None, work: float = 1.0) -> Iterator[Ticket]:
        """A ticket of the queue; leaving the context gives it up, the turn included.

        Args:
            caller: who asks; None for this very process.
            work: how much there is to be done, more than nothing, in any unit that the tickets of a queue share.

        Raises:
            SummaryError: the queue is full, or the caller's share of it.
        """
        ticket = Ticket(self, caller or Caller(), work)
        with self.lock:
            self._admit(ticket)
            self._advance()
        finished = False
        try:
            yield ticket
            finished = True
        finally:
            with self.lock:
                if ticket in self._served:
                    seconds = ticket.had + time.monotonic() - self._served.pop(ticket)
                    if finished:  # what was stopped tells nothing of how long a turn takes
                        self._past.append(_PastTurn(seconds, ticket.work, ticket.rushed or self._in_rush()))
                elif ticket in self._waiting:
                    self._waiting.remove(ticket)
                self._advance()

    def wait_while_ahead_is(self, ahead: int | None, ticket: Ticket) -> int:
        """Returns how many are ahead of `ticket`, where that is `ahead` after a moment or when it is its turn."""
        with self.lock:
            if self._ahead_of(ticket) == ahead:
                ticket.called.wait(POLL_SECONDS)
            return self._ahead_of(ticket)

    def take_back(self, ticket: Ticket) -> None:
        """Puts a ticket whose turn it is behind those who wait."""
        with self.lock:
            ticket.had += time.monotonic() - self._served.pop(ticket)
            self._line_up(ticket)
            self._advance()

    def seconds_until(self, ahead: int) -> float | None:
        """How long whoever has so many ahead is going to wait, rather too long; by past turns, None while unknown."""
        with self.lock:
            if not self._past:
                return None
            pace = self._pace()
            now = time.monotonic()
            free = [self._left(ticket, pace, now - since) for ticket, since in self._served.items()]
            heapq.heapify(free)
            for ticket in self._order[: ahead - 1] if free else ():
                heapq.heapreplace(free, free[0] + self._left(ticket, pace))
            return free[0] if free else 0.0

    def _pace(self) -> float:
        """Seconds that a unit of work is going to take."""
        steady = [turn for turn in self._past if not turn.rushed]
        enough = len(steady) >= ENOUGH_STEADY_TURNS
        by_pace = sorted(steady if enough else self._past, key=lambda turn: turn.seconds / turn.work)
        faster = by_pace[:-1] if enough else by_pace[: math.ceil(RUSHED_SHARE * len(by_pace))]
        pace = sum(turn.seconds for turn in faster) / sum(turn.work for turn in faster)
        return MARGIN * pace if enough else pace

    def _left(self, ticket: Ticket, pace: float, since: float = 0.0) -> float:
        """Seconds that a turn still lasts, after so many: a quarter of all of it at least, as one never knows."""
        whole = pace * ticket.work
        return max(whole / 4, min(whole - ticket.had, self.given_up_after) - since)

    def _ahead_of(self, ticket: Ticket) -> int:
        if ticket in self._served:
            return 0
        if ticket not in self._order:
            raise SummaryError(self._full())
        return self._order.index(ticket) + 1

    def _admit(self, ticket: Ticket) -> None:
        """Lets a ticket in, if need be in the place of somebody's who has more of them."""
        caller = ticket.caller
        held = sum(other.caller == caller for other in (*self._served, *self._waiting))
        if self._share is not None and caller.address and held >= self._share:
            raise SummaryError(
                f"You already have {held} {self._of} waiting or at work; try again when one of them is done."
            )
        if len(self._waiting) >= self._size and len(self._served) >= self._turns_at_once:
            by_address = Counter(other.caller.address for other in self._waiting)
            greediest, most = by_address.most_common(1)[0] if by_address else ("", 0)
            if most < by_address[caller.address] + 2:
                raise SummaryError(self._full())
            last = next(other for other in reversed(self._waiting) if other.caller.address == greediest)
            self._waiting.remove(last)
            last.called.notify()
        self._line_up(ticket)

    def _line_up(self, ticket: Ticket) -> None:
        ticket.came = self._rounds.clock
        self._waiting.append(ticket)

    def _advance(self) -> None:
        """Gives out the turns that are free, and puts those who wait in order."""
        while self._waiting and len(self._served) < self._turns_at_once:
            first = min(self._waiting, key=self._rounds.start)
            self._waiting.remove(first)
            self._rounds.count(first)
            self._served[first] = time.monotonic()
            first.rushed |= self._in_rush()
            first.called.notify()
        self._rounds.forget(self._waiting)
        self._order = list(self._in_order())

    def _in_order(self) -> Iterator[Ticket]:
        """Those who wait, as they will have their turns if nobody else comes."""
        rounds = self._rounds.copy()
        heap = [(rounds.start(ticket), number, ticket) for number, ticket in enumerate(self._waiting)]
        heapq.heapify(heap)
        while heap:
            start, number, ticket = heap[0]
            now = rounds.start(ticket)
            if now > start:  # another of the same caller goes first
                heapq.heapreplace(heap, (now, number, ticket))
                continue
            heapq.heappop(heap)
            rounds.count(ticket)
            yield ticket

    def _full(self) -> str:
        return f"{self._size} {self._of} are already waiting; try again in a few minutes."
