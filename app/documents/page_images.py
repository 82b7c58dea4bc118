"""Pages of a PDF as images, with the place of every character: drawn by a child process that is started when asked."""

from __future__ import annotations

import base64
import math
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.documents.document import DocumentError, MiB, PasswordNeeded, ReadingLimits
from app.documents.guarded_child import TICK_SECONDS, GuardedChild
from app.documents.page_characters import PageCharacters
from app.work import check

RENDERER = Path(__file__).with_name("page_renderer.py")
# Children at once on the whole server, each of at most `ReadingLimits.memory_bytes`.
MAX_CHILDREN = 4
# A child that is asked nothing for that long ends.
IDLE_SECONDS = 60
# An answer is waited for this many times `ReadingLimits.page_seconds`: the machine may be busy with other things.
ANSWER_PATIENCE = 2
# For all papers together: some 600 images, or fewer and their characters.
CACHE_BYTES = 128 * MiB
# A page of a book has some 3,000; a dense appendix table 20,000.
PAGE_CHARACTERS = 100_000

_LIMITS = ReadingLimits()
_CLOSED = "This paper was closed; open it again to see its pages."
_GONE = "The file of this paper is no longer here; choose it again to see its pages."
_CANNOT_OPEN = (
    "The pages of this PDF cannot be shown, because it is damaged or too complex; read its text instead."
)
_BUSY = "The pages of this PDF cannot be shown now, because the server is too busy; try it again in a minute."
_REFUSALS = {
    "encryption": "The pages of this PDF are protected in a way that cannot be opened here; read its text instead.",
    "memory": "Showing the pages of this PDF needs more memory than is allowed here; read its text instead.",
    "time": "Opening the pages of this PDF took too long; read its text instead.",
}
_PASSWORDS = {
    "password": "This PDF is encrypted; type its password to see its pages.",
    "wrong-password": "This password does not open the PDF; check it and type it again.",
}
_FAILURES = {
    "damaged": "Page {page} of this PDF is damaged or too complex and cannot be shown; read its text instead.",
    "memory": "Showing page {page} of this PDF needs more memory than is allowed here; read its text instead.",
    "time": "Showing page {page} of this PDF took too long and was stopped; read its text instead.",
}

# Both halves of a character, or one that has lost the other.
_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")

T = TypeVar("T")
Question = dict[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True)
class PageSize:
    """Of a page as it is drawn, turned and cropped, in points (1/72 inch)."""

    width: float
    height: float


@dataclass(frozen=True)
class PageImage:
    """A page drawn as JPEG."""

    jpeg: bytes
    width: int
    """In pixels."""
    height: int


class PageImages:
    """The pages of one PDF. For any number of threads at once, which wait for each other.

    The first question starts a child process for this paper; it ends when it is asked nothing for a minute, when
    another paper needs its seat, or by `close`, and the next question starts one again. Answers are kept for a while.

    Every question raises:
        PasswordNeeded: the PDF is encrypted, and the password was not given or is wrong.
        DocumentError: there is no answer. A page that ended a fresh child is not tried again.
        app.work.Stopped: `stop` was set.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, password: str | None = None, limits: ReadingLimits = _LIMITS
    ) -> None:
        self._path = path
        self._password = password
        self._limits = limits
        self._turn = threading.Lock()
        self._closed = threading.Event()
        self._failures: dict[tuple[str, int], Answer] = {}
        """What was asked of which page (0: of all), and the message that was no answer."""

    def __enter__(self) -> PageImages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def close(self) -> None:
        """Ends the child and forgets the answers; a question in progress ends with a `DocumentError`."""
        self._closed.set()
        _SEATS.vacate(self)
        _CACHE.forget(self)

    def sizes(self, stop: threading.Event | None = None) -> tuple[PageSize, ...]:
        """The sizes of all pages, at most `ReadingLimits.max_pages`."""
        return self._ask({"ask": "sizes"}, _page_sizes, stop)

    def image(self, page: int, scale: float, stop: threading.Event | None = None) -> PageImage:
        """A page as it is printed.

        Args:
            page: its number, from 1.
            scale: pixels a point; less is taken where the longest edge would pass `page_renderer.MAX_EDGE`.
        """
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"The scale must be a positive number; it is {scale}.")
        self._check_number(page, stop)
        return self._ask({"ask": "image", "page": page, "scale": scale}, _page_image, stop)

    def characters(self, page: int, stop: threading.Event | None = None) -> PageCharacters:
        """All characters of a page (its number, from 1); none where the page is only a picture."""
        self._check_number(page, stop)
        return self._ask({"ask": "characters", "page": page}, _page_characters, stop)

    def _check_number(self, page: int, stop: threading.Event | None) -> None:
        count = len(self.sizes(stop))
        if not 1 <= page <= count:
            raise DocumentError(f"There is no page {page} to show; this PDF has pages 1 to {count}.")

    def _ask(self, question: Question, understand: Callable[[Answer], T], stop: threading.Event | None) -> T:
        """What `understand` makes of the answer to a question; from the cache if it is there."""
        self._check(stop)
        known: T | None = _CACHE.get(self, question)
        if known is not None:
            return known
        page = question.get("page", 0)
        # A page that is too much at one scale is so at any.
        topic = question["ask"], page
        with self._alone(stop):
            known = _CACHE.get(self, question)  # another thread may have asked the same
            if known is not None:
                return known
            answer = self._failures.get(topic) or self._answer(question, stop)
            try:
                result = understand(answer)
            except (KeyError, TypeError, ValueError, OverflowError):
                self._failures[topic] = answer
                raise _failure(page, answer) from None
            _CACHE.put(self, question, result, _count_bytes(answer))
            return result

    @contextmanager
    def _alone(self, stop: threading.Event | None) -> Iterator[None]:
        """Waits until no other thread asks."""
        while not self._turn.acquire(timeout=TICK_SECONDS):
            self._check(stop)
        try:
            self._check(stop)
            yield
        finally:
            self._turn.release()

    def _check(self, stop: threading.Event | None) -> None:
        check(stop)
        if self.closed:
            raise DocumentError(_CLOSED)

    def _answer(self, question: Question, stop: threading.Event | None) -> Answer:
        """The message that answers a question, whatever it says; `{"end": ...}` if a fresh child ended over it."""
        child = _SEATS.take(self, partial(self._check, stop))
        sound = False
        try:
            answer = self._exchange(child, question, stop) if child is not None else {"end": "idle"}
            # It ended of idleness, or of what earlier pages left behind: this page is not to blame.
            if "end" in answer and answer["end"] != "late":
                if child is not None:
                    child.kill()
                child = self._start()
                answer = self._exchange(child, question, stop)
            sound = "end" not in answer
            return answer
        finally:
            if child is not None and not sound:
                child.kill()
            _SEATS.leave(self, child if sound else None)

    def _start(self) -> GuardedChild:
        orders = {
            "password": self._password,
            "max_pages": self._limits.max_pages,
            "page_characters": PAGE_CHARACTERS,
            "memory_bytes": self._limits.memory_bytes,
            "cpu_seconds": math.ceil(self._limits.seconds),
            "idle_seconds": IDLE_SECONDS,
        }
        try:
            with open(self._path, "rb") as file:
                return GuardedChild(RENDERER, file.fileno(), orders)
        except (FileNotFoundError, PermissionError):
            raise DocumentError(_GONE) from None
        except OSError:  # no more descriptors, processes or memory
            raise DocumentError(_BUSY) from None

    def _exchange(self, child: GuardedChild, question: Question, stop: threading.Event | None) -> Answer:
        deadline = time.monotonic() + ANSWER_PATIENCE * self._limits.page_seconds
        child.tell(question)
        for message in child.messages:
            self._check(stop)
            if message is not None and "open" not in message:
                return message
            if time.monotonic() > deadline:
                return {"end": "late"}
        return {"end": "damaged"}


class _Seats:
    """Bounds how many children there are; one that rests gives way to one that is needed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._changed = threading.Condition()
        self._working = 0
        self._resting: dict[PageImages, GuardedChild] = {}
        """The one that has rested longest comes first."""

    def take(self, owner: PageImages, check: Callable[[], None]) -> GuardedChild | None:
        """Waits for a seat and takes it; returns the owner's child if it has one.

        Args:
            check: called often while waiting; may raise.
        """
        with self._changed:
            while True:
                check()
                child = self._resting.pop(owner, None)
                if child is None and self._resting and self._working + len(self._resting) >= self._count:
                    self._resting.pop(next(iter(self._resting))).kill()
                if child is not None or self._working + len(self._resting) < self._count:
                    self._working += 1
                    return child
                self._changed.wait(TICK_SECONDS)

    def leave(self, owner: PageImages, child: GuardedChild | None) -> None:
        """Gives a seat back, or keeps it with a child that rests."""
        with self._changed:
            self._working -= 1
            if child is not None and owner.closed:
                child.kill()
            elif child is not None:
                self._resting[owner] = child
            self._changed.notify()

    def vacate(self, owner: PageImages) -> None:
        """Ends the owner's child if it rests; one that works ends when it comes to `leave`."""
        with self._changed:
            child = self._resting.pop(owner, None)
            if child is not None:
                child.kill()
            self._changed.notify()


class _Cache:
    """The last answers, up to a number of bytes for all papers together."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._answers: OrderedDict[tuple[PageImages, str], tuple[Any, int]] = OrderedDict()

    def get(self, owner: PageImages, question: Question) -> Any:
        key = owner, repr(question)
        with self._lock:
            if key not in self._answers:
                return None
            self._answers.move_to_end(key)
            return self._answers[key][0]

    def put(self, owner: PageImages, question: Question, answer: Any, size: int) -> None:
        with self._lock:
            # Looked at under the lock that `forget` takes after the closing, so that nothing is left of a closed paper.
            if owner.closed:
                return
            self._answers[owner, repr(question)] = answer, size
            self._bytes += size
            while self._bytes > self._max_bytes:
                _, (_, dropped) = self._answers.popitem(last=False)
                self._bytes -= dropped

    def forget(self, owner: PageImages) -> None:
        with self._lock:
            for key in [key for key in self._answers if key[0] is owner]:
                self._bytes -= self._answers.pop(key)[1]


_SEATS = _Seats(MAX_CHILDREN)
_CACHE = _Cache(CACHE_BYTES)


def _page_sizes(answer: Answer) -> tuple[PageSize, ...]:
    return tuple(PageSize(float(width), float(height)) for width, height in answer["sizes"])


def _page_image(answer: Answer) -> PageImage:
    jpeg = base64.b64decode(answer["jpeg"], validate=True)
    return PageImage(jpeg, int(answer["width"]), int(answer["height"]))


def _page_characters(answer: Answer) -> PageCharacters:
    text = str(answer["text"])
    boxes = np.frombuffer(base64.b64decode(answer["boxes"], validate=True), np.float32).reshape(len(text), 4)
    second_halves = [found.start() + 1 for found in _HALVES.finditer(text) if len(found[0]) == 2]
    boxes = np.delete(boxes, second_halves, axis=0)
    return PageCharacters(_HALVES.sub(_join, text), _on_image(boxes, answer["page_box"], answer["rotation"]))


def _join(halves: re.Match[str]) -> str:
    return halves[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _on_image(boxes: NDArray[np.float32], page_box: list[float], rotation: int) -> NDArray[np.float32]:
    """Boxes of a page's own coordinates as fractions of its image, cut at its edges.

    Args:
        boxes: `(characters, 4)`, left, top, right, bottom in points, y grows upwards.
        page_box: left, bottom, right, top.
        rotation: how the page is turned to be shown, clockwise in degrees.
    """
    left, bottom, right, top = page_box
    if not (left < right and bottom < top):
        raise ValueError
    across = (boxes[:, [0, 2]].astype(np.float64) - left) / (right - left)
    up = (boxes[:, [1, 3]].astype(np.float64) - bottom) / (top - bottom)
    x, y = {0: (across, 1 - up), 90: (up, across), 180: (1 - across, up), 270: (1 - up, 1 - across)}[rotation]
    found = np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=1)
    return np.clip(np.nan_to_num(found), 0, 1).astype(np.float32)


def _failure(page: int, answer: Answer) -> DocumentError:
    """The sentence for a message that is no answer; `page` is 0 if the whole paper was asked for."""
    refused = str(answer.get("refused"))
    if refused in _PASSWORDS:
        return PasswordNeeded(_PASSWORDS[refused])
    cause = str(answer.get("failed", answer.get("end", refused)))
    cause = "time" if cause == "late" else cause
    if page:
        return DocumentError(_FAILURES.get(cause, _FAILURES["damaged"]).format(page=page))
    return DocumentError(_REFUSALS.get(cause, _CANNOT_OPEN))


def _count_bytes(answer: Answer) -> int:
    return 200 + sum(len(value) for value in answer.values() if isinstance(value, (str, list)))
