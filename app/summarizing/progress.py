"""How far a summary has come and how long it still takes, foreseen from how fast it went so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

# What writing a token costs, in tokens read: about, for small models and a few beams. It shapes the bar, and the
# estimate until the first words are written.
WRITING_COST = 40.0
SMOOTHING = 0.3  # weight of the newest estimate of the finishing time
LEAST_SECONDS = 0.5  # no estimate from less than this
LEAST_FRACTION = 0.02
LEAST_TOKENS = 4


class Step(NamedTuple):
    """Tokens to read or, at most, to write in one step."""

    read: int = 0
    write: int = 0

    @property
    def cost(self) -> float:
        return self.read + WRITING_COST * self.write


class Progress:
    """The steps of one summary, numbered from 0."""

    def __init__(self, steps: Sequence[Step], clock: Callable[[], float] = time.monotonic) -> None:
        self.steps = steps
        self.fraction = 0.0
        """0..1 of all steps; it never falls."""
        self.seconds_left: float | None = None
        """None until it can be foreseen."""
        self._clock = clock
        self._step: int | None = None
        self._begun = 0.0
        self._seconds: dict[str, float] = {}  # for a token read, for a token written
        self._finish: float | None = None

    def reading(self, step: int, fraction: float) -> None:
        """`fraction` (0..1) of what a step reads has been read."""
        elapsed = self._elapsed(step)
        if elapsed >= LEAST_SECONDS and fraction >= LEAST_FRACTION:
            self._seconds["read"] = elapsed / (fraction * self.steps[step].read)
        self._update(step, fraction)

    def writing(self, step: int, tokens: int) -> None:
        """So many tokens of what a step writes have been written."""
        elapsed = self._elapsed(step)
        if elapsed >= LEAST_SECONDS and tokens >= LEAST_TOKENS:
            self._seconds["write"] = elapsed / tokens
        self._update(step, min(1.0, tokens / max(1, self.steps[step].write)))

    def _elapsed(self, step: int) -> float:
        if step != self._step:
            self._step, self._begun = step, self._clock()
        return self._clock() - self._begun

    def _update(self, step: int, done: float) -> None:
        current, following = self.steps[step], self.steps[step + 1 :]
        cost = sum(one.cost for one in self.steps[:step]) + done * current.cost
        self.fraction = max(self.fraction, min(1.0, cost / sum(one.cost for one in self.steps)))
        if not self._seconds:
            return
        read = self._seconds.get("read", self._seconds.get("write", 0.0) / WRITING_COST)
        write = self._seconds.get("write", read * WRITING_COST)
        left = (1 - done) * (current.read * read + current.write * write)
        left += sum(one.read * read + one.write * write for one in following)
        now = self._clock()
        if self._finish is None:
            self._finish = now + left
        self._finish += SMOOTHING * (now + left - self._finish)
        self.seconds_left = max(0.0, self._finish - now)
