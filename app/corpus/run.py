"""A run over many files: what is done is kept, what is left is handed to the workers, and it can be stopped."""

from __future__ import annotations

import json
import queue
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from app.corpus.cluster import ClusterError
from app.corpus.files import page_path, write_text
from app.corpus.ledger import Ledger
from app.corpus.progress import Progress
from app.corpus.remote_desk import RemoteDesk
from app.corpus.rows import Row
from app.corpus.sources import SourceFile

_TICK_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Rows = Iterator[dict[str, Any]]


def carry_out(rows: Rows, ledger: Ledger, desk: RemoteDesk, progress: Progress) -> bool:
    """Keeps the rows of the workers' last stage as they come, and returns whether all came.

    The first Ctrl-C (or SIGTERM) lets the workers finish what they have in hand, the second ends at once; so does a
    first one that the workers got too and end of. What is finished is in the ledger in any case.

    Raises:
        ClusterError: the workers can't go on.
    """
    from ray.exceptions import RayError  # here, as Ray reads its variables when it is imported

    with _stops() as stops:
        try:
            return _keep_all(rows, ledger, desk, progress, stops)
        except (ClusterError, RayError):  # of the rows, or of the desk
            if not stops:
                raise
            return False


def _keep_all(rows: Rows, ledger: Ledger, desk: RemoteDesk, progress: Progress, stops: Sequence[int]) -> bool:
    """The same, with the signals that ask for an end in `stops`, which grows."""
    awaited: set[str] | None = None  # once stopped: what was in hand then
    for row in _with_ticks(rows):
        if row is not None:
            _keep(row, ledger, progress)
            if awaited is not None:
                awaited.discard(row["sha256"])
        progress.tick()
        if stops and awaited is None:
            progress.say("Finishing what is in hand; press Ctrl-C again to end at once.")
            awaited = {work for work in desk.stop() if not work.startswith("read ") and work not in ledger}
        if awaited is not None and (not awaited or len(stops) > 1):
            return False
    return awaited is None


def _keep(row: dict[str, Any], ledger: Ledger, progress: Progress) -> None:
    if row["state"] == "same":
        if ledger.add_name(row["sha256"], SourceFile(row["name"], row["version"])):
            progress.same()
        else:
            progress.unchanged()
    elif row["state"] == "done":
        finished: Row = json.loads(row["row"])
        for kind, page in json.loads(row["pages"]).items():
            write_text(ledger.folder / page_path(kind, finished["sha256"]), page)
        ledger.add(finished)
        progress.done(finished)


def _with_ticks(rows: Rows) -> Iterator[dict[str, Any] | None]:
    """Rows as another thread gets them, and None whenever none came for a moment.

    Raises:
        Exception: what getting them raised.
    """
    got: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def get() -> None:
        try:
            for row in rows:
                got.put(("row", row))
            got.put(("end", None))
        except Exception as error:  # raised again where somebody waits for it
            got.put(("error", error))

    threading.Thread(target=get, name="longt5-corpus", daemon=True).start()
    while True:
        try:
            kind, content = got.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            yield None
            continue
        if kind == "error":
            raise content
        if kind == "end":
            return
        yield content


@contextmanager
def _stops() -> Iterator[list[int]]:
    """Collects the signals that ask for an end, instead of dying of them."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _SIGNALS}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
