"""How long a summary still takes, foreseen from how fast it went so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

SMOOTHING = 0.3  # weight of the newest estimate of the finishing time
LEAST_SECONDS = 0.5  # no estimate from less than this
LEAST_FRACTION = 0.02
LEAST_TOKENS = 4


class TimeLeft:
    """Estimates for one summary. Windows are numbered from 0.

    Reading a window takes time in proportion to its tokens, writing in proportion to the tokens written.
    While the first window is read nothing is known of the writing, so that the estimate is of the reading
    alone.
    """

    def __init__(
        self,
        input_lengths: Sequence[int],
        summary_lengths: Sequence[int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Tokens to read and most tokens to write, for each window."""
        self._input_lengths = input_lengths
        self._summary_lengths = summary_lengths
        self._clock = clock
        self._phase: tuple[str, int] | None = None
        self._phase_start = 0.0
        self._seconds_per_input_token: float | None = None
        self._seconds_per_written_token: float | None = None
        self._finish: float | None = None

    def reading(self, window: int, fraction: float) -> float | None:
        """Seconds left when `fraction` (0..1) of `window` has been read; None while unknown."""
        elapsed = self._elapsed(("reading", window))
        length = self._input_lengths[window]
        if elapsed >= LEAST_SECONDS and fraction >= LEAST_FRACTION:
            self._seconds_per_input_token = elapsed / (fraction * length)
        to_read = (1 - fraction) * length + sum(self._input_lengths[window + 1 :])
        return self._smoothed(to_read, sum(self._summary_lengths[window:]))

    def writing(self, window: int, tokens: int) -> float | None:
        """Seconds left when `tokens` tokens have been written from `window`, if it takes its full length."""
        elapsed = self._elapsed(("writing", window))
        if elapsed >= LEAST_SECONDS and tokens >= LEAST_TOKENS:
            self._seconds_per_written_token = elapsed / tokens
        to_write = max(0, self._summary_lengths[window] - tokens) + sum(self._summary_lengths[window + 1 :])
        return self._smoothed(sum(self._input_lengths[window + 1 :]), to_write)

    def _elapsed(self, phase: tuple[str, int]) -> float:
        if phase != self._phase:
            self._phase, self._phase_start = phase, self._clock()
            self._finish = None  # what was foreseen without knowing this phase would only mislead
        return self._clock() - self._phase_start

    def _smoothed(self, to_read: float, to_write: float) -> float | None:
        reading, writing = self._seconds_per_input_token, self._seconds_per_written_token
        if (self._phase and self._phase[0] == "reading" and reading is None) or (
            self._phase and self._phase[0] == "writing" and writing is None
        ):
            return None
        now = self._clock()
        finish = now + to_read * (reading or 0.0) + to_write * (writing or 0.0)
        if self._finish is None:
            self._finish = finish
        self._finish += SMOOTHING * (finish - self._finish)
        return max(0.0, self._finish - now)
