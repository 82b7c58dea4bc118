"""What is seen of a run: a bar with papers a minute, time left and failures, and a table at its end."""

from __future__ import annotations

import sys
import time
from collections import Counter

from tqdm import tqdm

from app.corpus.rows import Row

_LAYOUT = "{desc} |{bar}| {n_fmt}/{total_fmt} files, {elapsed}{postfix}"
_MOST_REASONS = 5
# How often the bar is drawn: to a terminal, where it moves, and to a file, where each time is a line.
_TERMINAL_SECONDS, _FILE_SECONDS = 0.5, 60.0


class Progress:
    """Counts what is done in this run."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar = tqdm(disable=True)
        self._started = time.monotonic()
        self._before = self._summaries = self._pages = self._same = 0
        self._interval = _TERMINAL_SECONDS if sys.stderr.isatty() else _FILE_SECONDS
        self._drawn = 0.0
        self._first: float | None = None
        self._worked = 0.0
        self._failures: Counter[str] = Counter()

    def begin(self, files: int, before: int) -> None:
        """So many files there are, of which `before` were done by earlier runs."""
        self._started = time.monotonic()
        self._before = before
        self._bar = tqdm(
            total=files,
            initial=before,
            desc="papers",
            bar_format=_LAYOUT,
            disable=self._quiet,
            file=sys.stderr,
            mininterval=self._interval,
            miniters=1,
        )

    def done(self, row: Row) -> None:
        """A file has come to its row."""
        self._worked += row["seconds"]
        if row["error"]:
            self._failures[row["error"]] += 1
        else:
            self._summaries += 1
            self._pages += row["pages"]
        self._update()

    def same(self) -> None:
        """A file is another name of a paper."""
        self._same += 1
        self._update()

    def unchanged(self) -> None:
        """A file that might have changed holds what an earlier run has read in it."""
        self._before += 1
        self._update()

    def tick(self) -> None:
        """Time has passed."""
        if time.monotonic() - self._drawn < self._interval:
            return
        self._drawn = time.monotonic()
        self._bar.set_postfix_str(self._pace(), refresh=False)
        self._bar.refresh()

    def say(self, sentence: str) -> None:
        """A sentence above the bar."""
        tqdm.write(sentence, file=sys.stderr)

    def table(self) -> str:
        """What came of the run, as lines of two columns, and the commonest reasons why files have no summary."""
        self._bar.close()
        seconds = time.monotonic() - self._started
        failed = sum(self._failures.values())
        lines = [
            ("summaries", f"{self._summaries:,} ({self._pages:,} pages)"),
            ("without one, with a sentence", f"{failed:,}"),
            ("other names of the same papers", f"{self._same:,}"),
            ("done by earlier runs", f"{self._before:,}"),
            ("time", f"{_clock(seconds)}, {60 * self._count / max(seconds, 1e-9):.1f} papers a minute"),
            ("work of all workers", _clock(self._worked)),
        ]
        width = max(len(name) for name, _ in lines)
        shown = [f"{name:<{width}}  {value}" for name, value in lines]
        for reason, count in self._failures.most_common(_MOST_REASONS):
            shown.append(f"{count:>{width},}  {reason}")
        return "\n".join(shown)

    @property
    def _count(self) -> int:
        return self._summaries + sum(self._failures.values())

    def _update(self) -> None:
        self._first = self._first or time.monotonic()
        self._bar.update()

    def _pace(self) -> str:
        """Since the first one was done: what it takes to start the workers says nothing of the rest."""
        failed = sum(self._failures.values())
        failures = f", {failed:,} failed" if failed else ""
        since_first = self._count + self._same - 1
        if self._first is None or since_first < 1 or self._quiet:
            return f"starting{failures}"
        each = (time.monotonic() - self._first) / since_first
        left = self._bar.total - self._bar.n
        return f"{60 / each:.1f} a minute, {_clock(each * left)} left{failures}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
