"""What all workers of a run have to agree on: who takes a paper, how often one has ended its worker, when to stop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Literal, TypeAlias

MOST_TRIES = 2
# More than can be on their way to the command at once.
_REMEMBERED_ENDS = 10_000

Answer: TypeAlias = Literal["go", "stop", "give up"]


class Desk:
    """Workers ask here before and after each piece of work. As an actor it serves one after the other."""

    def __init__(self, finished: Iterable[str]) -> None:
        """
        Args:
            finished: hashes of the papers that earlier runs are done with.
        """
        self._owners = dict.fromkeys(finished, "")  # name of the file that a paper is read from, by hash
        self._tries: Counter[str] = Counter()
        self._in_hand: set[str] = set()
        self._ended: deque[str] = deque(maxlen=_REMEMBERED_ENDS)
        self._stopped = False
        self._failure = ""

    def claim(self, sha256: str, name: str) -> bool:
        """Whether the file of this name stands for its paper: the first one asked for, again if it is asked again."""
        return self._owners.setdefault(sha256, name) == name

    def begin(self, work: str) -> Answer:
        """What to do with a piece of work that has come to a worker.

        Whatever was begun, not ended, and comes again has ended its worker.
        """
        if self._stopped:
            self._in_hand.discard(work)
            return "stop"
        if self._tries[work] >= MOST_TRIES:
            return "give up"
        self._tries[work] += 1
        self._in_hand.add(work)
        return "go"

    def end(self, work: str) -> None:
        """The worker has come to the end of it."""
        del self._tries[work]
        self._in_hand.discard(work)
        self._ended.append(work)

    def stop(self) -> list[str]:
        """Nothing is begun any more; answers what is in hand, and what has come to its end of late."""
        self._stopped = True
        return [*self._in_hand, *self._ended]

    def fail(self, sentence: str) -> None:
        """No worker can do its work, for this reason."""
        self._failure = sentence

    def failure(self) -> str:
        """The reason, empty where there is none."""
        return self._failure
