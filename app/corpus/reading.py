"""The first stage: a file is fetched, told by its hash and read in a guarded child process."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from app import documents
from app.corpus.between import DeskClient, between, done, passed
from app.corpus.rows import failure_row
from app.corpus.sources import SourceFile, path_of
from app.documents import DocumentError, PasswordNeeded, ReadingLimits
from app.logs import without_words

logger = logging.getLogger(__name__)

_PIECE = 2**20
_NOT_OPENED = (
    "This file could not be opened ({reason}); check that it is there and may be read, then --resume."
)
_ENCRYPTED = (
    "This PDF is encrypted; save it without its password, or summarize it with python -m app --password."
)


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
            return passed(file, answer, None)
        try:
            return self._read(file)
        finally:
            self._desk.end(work)

    def _read(self, file: SourceFile) -> dict[str, Any]:
        started = time.monotonic()
        with contextlib.ExitStack() as held:
            try:
                path, sha256 = held.enter_context(_local(file.name, self._limits.max_bytes))
            except Exception as error:  # whatever a storage says, in the words of its own library
                reason = getattr(error, "strerror", None) or type(error).__name__
                return done(failure_row(file, None, _NOT_OPENED.format(reason=reason)))
            if not self._desk.claim(sha256, file.name):
                return between(file, "same", sha256)
            try:
                document = documents.read(path, name=file.name, limits=self._limits)
            except PasswordNeeded:
                sentence = _ENCRYPTED
            except DocumentError as error:
                sentence = str(error)
            except Exception as error:  # nobody foresaw it: a file must not end the run
                logger.error("A file was not read\n%s", without_words(error))
                kind = type(error).__name__
                sentence = f"Reading failed because of an error in the program ({kind}); please report it."
            else:
                seconds = time.monotonic() - started
                return between(file, "read", sha256, document=pickle.dumps(document), seconds=seconds)
        return done(failure_row(file, sha256, sentence, time.monotonic() - started))


@contextlib.contextmanager
def _local(name: str, most_bytes: int) -> Iterator[tuple[Path, str]]:
    """A file of this machine with the content of `name`, and its hash.

    What is longer than `most_bytes` is not fetched to its end: so long, it will be refused.
    """
    digest = hashlib.sha256()
    path = path_of(name)
    if path is not None and not Path(path).is_file():  # it may be a pipe, which would wait for ever
        if Path(path).is_dir():
            os.listdir(path)  # says why it could not be searched
        raise FileNotFoundError(errno.ENOENT, "No such file")
    with contextlib.ExitStack() as held:
        # A path is a path: `fsspec.open` would read patterns and chains into it.
        opened = fsspec.open(name, "rb") if path is None else fsspec.filesystem("file").open(path, "rb")
        source = held.enter_context(opened)
        copy = None
        if path is None:
            copy = held.enter_context(tempfile.NamedTemporaryFile(prefix="longt5-corpus-"))
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
        yield Path(path or name if copy is None else copy.name), digest.hexdigest()
