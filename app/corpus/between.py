"""Rows on their way through the stages: always the same columns, of the same types.

A row's `state` says what is to be done with it:

    read      `document` holds what was read
    done      `row` is the finished row of the table, as JSON, `pages` the pages asked for, by format
    same      another file with the same content stands for this one
    left      the run was stopped before its turn
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from app.corpus.desk import Answer
from app.corpus.rows import Row, failure_row
from app.corpus.sources import SourceFile

_ENDED_ITS_WORKER = (
    "Twice the process that worked on this file ended without a word, perhaps for lack of memory; summarize it by "
    "itself with python -m app, or lower the input limit."
)


class DeskClient(Protocol):
    """The desk, as workers reach it."""

    def claim(self, sha256: str, name: str) -> bool: ...
    def begin(self, work: str) -> Answer: ...
    def end(self, work: str) -> None: ...
    def fail(self, sentence: str) -> None: ...


def passed(file: SourceFile, answer: Answer, sha256: str | None) -> dict[str, Any]:
    """The row of work that is not to be done."""
    if answer == "stop":
        return between(file, "left", sha256)
    return done(failure_row(file, sha256, _ENDED_ITS_WORKER))


def done(row: Row, pages: str = "{}") -> dict[str, Any]:
    file = SourceFile(row["file"], row["versions"][0])
    # Whatever a storage or a model is called: neither Arrow nor a file takes half of a surrogate pair.
    text = json.dumps(row, ensure_ascii=False).encode(errors="replace").decode()
    return between(file, "done", row["sha256"], row=text, pages=pages)


def between(
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
