"""What workers do with a file: read it, then summarize it. Each takes a row and gives a row, whatever happens.

Rows between the stages have a `state`:

    read      `document` holds what was read
    done      `row` is the finished row of the table, as JSON, `pages` the pages asked for, by format
    same      another file with the same content stands for this one
    left      the run was stopped before its turn
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import fsspec

from app import documents, export
from app.corpus.desk import Answer
from app.corpus.rows import Row, failure_row, summary_row
from app.corpus.sources import SourceFile
from app.documents import Document, DocumentError, ReadingLimits
from app.logs import without_words
from app.models import ModelStore
from app.settings import Settings
from app.summarizing.settings import SummaryError, SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Summary

logger = logging.getLogger(__name__)

_PIECE = 2**20
_ENDED_ITS_WORKER = (
    "Twice the process that worked on this file ended without a word, perhaps for lack of memory; summarize it by "
    "itself with python -m app, or lower the input limit."
)
_NOT_OPENED = "This file could not be opened ({reason}); check that it is there and may be read, then --resume."


class DeskClient(Protocol):
    """The desk, as workers reach it."""

    def claim(self, sha256: str, name: str) -> bool: ...
    def begin(self, work: str) -> Answer: ...
    def end(self, work: str) -> None: ...
    def fail(self, sentence: str) -> None: ...


class Reader:
    """Reads files, each in a guarded child process."""

    def __init__(self, desk: DeskClient, limits: ReadingLimits) -> None:
        self._desk, self._limits = desk, limits

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """The row behind one with `name` and `version` of a file."""
        file = SourceFile(item["name"], item["version"])
        work = f"read {file.name}"
        answer = self._desk.begin(work)
        if answer != "go":
            return _passed(file, answer, None)
        try:
            return self._read(file)
        finally:
            self._desk.end(work)

    def _read(self, file: SourceFile) -> dict[str, Any]:
        started = time.monotonic()
        sha256 = None
        try:
            with _local(file.name, self._limits.max_bytes) as (path, sha256):
                if not self._desk.claim(sha256, file.name):
                    return _between(file, "same", sha256)
                document = documents.read(path, name=file.name, limits=self._limits)
        except DocumentError as error:
            sentence = str(error)
        except (OSError, ValueError, ImportError) as error:
            sentence = _NOT_OPENED.format(reason=getattr(error, "strerror", None) or type(error).__name__)
        except Exception as error:  # nobody foresaw it: a file must not end the run
            logger.error("A file was not read\n%s", without_words(error))
            sentence = (
                f"Reading failed because of an error in the program ({type(error).__name__}); please report it."
            )
        else:
            seconds = time.monotonic() - started
            return _between(file, "read", sha256, document=pickle.dumps(document), seconds=seconds)
        return _done(failure_row(file, sha256, sentence, time.monotonic() - started))


class Summarizer:
    """Summarizes what was read, as page and terminal do, with one model that stays loaded."""

    def __init__(
        self,
        desk: DeskClient,
        installation: Settings,
        settings: SummarySettings,
        pages: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            pages: endings of `export.FORMATS` in which a page for each paper is asked for.

        Raises:
            SummaryError: the model can't be loaded; the desk is told.
        """
        self._desk, self._settings, self._pages = desk, settings, pages
        self._store = ModelStore(installation)
        try:
            with self._store.use(settings.model):  # the time to load it is no paper's
                pass
        except SummaryError as error:
            desk.fail(str(error))
            raise

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """The row behind one of the reader's."""
        if item["state"] != "read":
            return {key: item[key] for key in ("state", "name", "version", "sha256", "row", "pages")}
        file, sha256 = SourceFile(item["name"], item["version"]), item["sha256"]
        answer = self._desk.begin(sha256)
        if answer != "go":
            return _passed(file, answer, sha256)
        started = time.monotonic() - item["seconds"]
        try:
            summary = self.summarize(pickle.loads(item["document"]))
        except SummaryError as error:
            row, pages = failure_row(file, sha256, str(error), time.monotonic() - started), {}
        else:
            row = summary_row(file, sha256, summary, time.monotonic() - started)
            pages = {kind: export.FORMATS[kind].write(summary) for kind in self._pages}
        self._desk.end(sha256)
        return _done(row, json.dumps(pages))

    def summarize(self, document: Document) -> Summary:
        """The summary of one document.

        Raises:
            SummaryError: there is none; `str(error)` is one sentence.
        """
        for event in summarize(document, self._settings, self._store):
            if isinstance(event, Done):
                return event.summary
        raise AssertionError("summarize ends with Done")


@contextlib.contextmanager
def _local(name: str, most_bytes: int) -> Iterator[tuple[Path, str]]:
    """A file of this machine with the content of `name`, and its hash.

    What is longer than `most_bytes` is not fetched to its end: so long, it will be refused.
    """
    digest = hashlib.sha256()
    with contextlib.ExitStack() as held:
        source = held.enter_context(fsspec.open(name, "rb"))
        is_remote = "://" in name
        copy = held.enter_context(tempfile.NamedTemporaryFile(prefix="longt5-corpus-")) if is_remote else None
        read = 0
        while piece := source.read(_PIECE):
            digest.update(piece)
            read += len(piece)
            if copy is not None:
                copy.write(piece)
                if read > most_bytes:
                    break
        if copy is not None:
            copy.flush()
        yield Path(name if copy is None else copy.name), digest.hexdigest()


def _passed(file: SourceFile, answer: Answer, sha256: str | None) -> dict[str, Any]:
    """The row of work that is not to be done."""
    if answer == "stop":
        return _between(file, "left", sha256)
    return _done(failure_row(file, sha256, _ENDED_ITS_WORKER))


def _done(row: Row, pages: str = "{}") -> dict[str, Any]:
    file = SourceFile(row["file"], row["versions"][0])
    return _between(file, "done", row["sha256"], row=json.dumps(row), pages=pages)


def _between(
    file: SourceFile,
    state: str,
    sha256: str | None,
    *,
    document: bytes = b"",
    seconds: float = 0.0,
    row: str = "",
    pages: str = "{}",
) -> dict[str, Any]:
    """A row between the stages: always the same columns, of the same types."""
    return {
        "state": state,
        "name": file.name,
        "version": file.version,
        "sha256": sha256 or "",
        "document": document,
        "seconds": seconds,
        "row": row,
        "pages": pages,
    }
