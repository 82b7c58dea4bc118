"""A visitor's paper: its file, what was read and written of it, how far it is."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from app.documents import Document, ReadingLimits
from app.documents.downloads import Downloading
from app.page.links import Look
from app.page.open_paper import OpenPaper, open_paper
from app.summarizing.summary import Event, Summary
from app.turns import Caller

State: TypeAlias = Literal["waiting", "reading", "locked", "read", "summarizing", "done", "stopped", "failed"]
"""Waiting for its turn, being read, in need of a password, read, being summarized, summarized, stopped on the way,
failed on the way (`Paper.problem` says why). All but the first two and the fifth rest until somebody asks for more."""
Progress: TypeAlias = "Event | Downloading"

# Bytes of memory: a token that was read with its offsets, a character of a text with what is known of it.
TOKEN_BYTES = 250
CHARACTER_BYTES = 4


@dataclass(eq=False)
class Paper:
    """A paper that a visitor brought; changed by the work that is done on it, read by whoever shows it."""

    name: str
    """For people: of the file, or of what was pasted."""
    file: Path | None = None
    """Where it is kept; None while it is still to be fetched."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    """Names it in links. Nobody can guess it, and it opens nothing for anybody but the visitor."""
    state: State = "waiting"
    problem: str = ""
    """A sentence, while the state is "locked" or "failed"."""
    document: Document | None = None
    pages: OpenPaper | None = None
    """Its pages, to be shown, once it has been read."""
    password: str | None = None
    """Of its file, where it wants one; kept for drawing the pages, and nowhere else."""
    summary: Summary | None = None
    """The last one, also one that was stopped before its end (`Summary.complete` is False)."""
    progress: Progress | None = None
    """What the work that is going on said last, the words written so far included; None while none is."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set it and the work on the paper ends."""
    look: Look = field(default_factory=Look)
    """What of it was looked at last."""
    brought_by: Caller | None = None
    """Whose turn it is when it is worked on; None for nobody from the network."""
    own_file: bool = True
    """Whether `file` goes when the paper goes; the example stays."""
    file_bytes: int = 0
    """Of a file of its own."""
    last_used: float = field(default_factory=time.monotonic)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def open(self, limits: ReadingLimits) -> OpenPaper | None:
        """Its pages, the same ones for all who ask at once; None while it has not been read."""
        with self._opening:
            if self.document is not None and (self.pages is None or self.pages.document is not self.document):
                self.pages = open_paper(self.document, self.file, limits, self.password)
            return self.pages

    @property
    def busy(self) -> bool:
        """Whether it waits for work or is worked on."""
        return self.state in ("waiting", "reading", "summarizing")

    @property
    def stopping(self) -> bool:
        """Whether its work has been told to end and has not yet."""
        return self.busy and self.stop.is_set()

    @property
    def title(self) -> str:
        """What to call it."""
        return (self.document.title if self.document else "") or self.name

    @property
    def bytes(self) -> int:
        """About what it takes, on disk and in memory."""
        size = self.file_bytes
        size += CHARACTER_BYTES * len(self.document.text) if self.document else 0
        if self.summary:
            size += TOKEN_BYTES * sum(len(window.input_ids) for window in self.summary.windows)
        return size

    def forget(self) -> None:
        """Ends the work on it and deletes its file."""
        self.stop.set()
        if self.pages is not None:
            self.pages.close()
        if self.own_file and self.file is not None:
            with contextlib.suppress(OSError):  # the disk does not work: it goes with its folder
                self.file.unlink(missing_ok=True)
