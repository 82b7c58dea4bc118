"""Document -> stream of progress events -> Summary: the one way in for the page, the terminal and the API."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from app.models import ModelStore
from app.summary import (
    Done,
    Encoding,
    Event,
    Evidence,
    FindingEvidence,
    LoadingModel,
    Queued,
    Read,
    Reading,
    Sentence,
    Summary,
    SummaryError,
    SummarySettings,
    WindowTrace,
    Writing,
)

if TYPE_CHECKING:
    from app.documents import Document

__all__ = [
    "Done",
    "Encoding",
    "Event",
    "Evidence",
    "FindingEvidence",
    "LoadingModel",
    "Queued",
    "Read",
    "Reading",
    "Sentence",
    "Summary",
    "SummaryError",
    "SummarySettings",
    "WindowTrace",
    "Writing",
    "summarize",
]


def summarize(
    source: str | Path | Document,
    settings: SummarySettings,
    store: ModelStore,
    *,
    name: str | None = None,
    password: str | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Event]:
    """Reads `source` (a file, or a Document read before), summarizes it and yields events; the last one is Done.

    Events come in this order: Reading*, Read, Queued*, LoadingModel?, then for each window Encoding* and Writing*,
    then FindingEvidence, Done. A Document given as source starts at Read. Requests of several threads take turns.
    Closing the generator, or setting `stop` from another thread, ends the work and frees what it held.

    Args:
        name: the file's name as the person knows it (an upload is stored under another one).
        password: for an encrypted PDF.

    Raises:
        DocumentError: the file can't be read (PasswordNeeded: it wants a password, or another one).
        SummaryError: the settings, the model or the queue don't allow it. `str()` of both is one plain sentence.
        longt5.generation.Stopped: `stop` was set.
    """
    raise NotImplementedError
