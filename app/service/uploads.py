"""Takes in files: each into a folder of its own that nobody can guess, within limits, or not at all.

This stands in the place of Gradio's own endpoint, which names an upload by its content, so that two people with one
file share it, and keeps what of it arrived when somebody breaks off.
"""

from __future__ import annotations

import errno
import logging
import secrets
import shutil
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app.documents.reading import display_name
from app.service.scratch import Scratch
from app.settings import Settings

HOUR = 3600.0
# So long is known what lies on the disk: to look again for each of fifty files that come at once took as long as
# taking them in.
LOOK_SECONDS = 1.0
MOST_FILES = 20  # in one request
MOST_ADDRESSES = 10_000  # remembered
NAME_BYTES = 200  # of 255 that file systems take
ADDRESS_SHARE = (
    3 / 4
)  # of the room for files: so much an address may take with what comes and waits to be read
FORM_BYTES = 2**16  # what a form adds to its files
BROKEN = "The server cannot take in files just now; please try again later."
FULL = "There is no room for files on the server just now; please try again later."

log = logging.getLogger(__name__)


class Refused(Exception):
    """An upload is not taken; `str(error)` is one sentence for the person."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Uploads:
    """The files that were sent and not yet read. All methods may be called from any thread."""

    def __init__(self, scratch: Scratch, settings: Settings) -> None:
        self._scratch = scratch
        self._settings = settings
        self._lock = threading.Lock()
        self._coming: Counter[str] = Counter()  # bytes that are on their way, by address
        self._kept: dict[Path, tuple[str, int]] = {}  # address and bytes of what came, by folder
        self._on_disk, self._looked = 0, float("-inf")  # bytes, and when they were counted
        self._since = 0  # bytes that were on their way then, or came later
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)

    @contextmanager
    def admitted(self, address: str, size: int) -> Iterator[None]:
        """Keeps room for so many bytes of an address while they come.

        Raises:
            Refused: the address has sent too much already, or there is no room.
        """
        with self._lock:
            self._count(address)
            if time.monotonic() - self._looked >= LOOK_SECONDS or not self._has_room(address, size):
                self._look()
            if not self._has_room(address, size):
                raise Refused(507, FULL)
            self._coming[address] += size
            self._since += size
        try:
            yield
        finally:
            with self._lock:
                self._coming[address] -= size
                if not self._coming[address]:
                    del self._coming[address]

    def keep(self, content: BinaryIO, name: str, address: str = "") -> Path:
        """Writes a file of an address into a new folder of its own.

        Raises:
            Refused: the disk is full, or does not work.
        """
        folder = self._scratch.uploads / secrets.token_urlsafe(16)
        path = folder / _file_name(name)
        try:
            folder.mkdir()
            with path.open("xb") as file:
                shutil.copyfileobj(content, file, 2**20)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise trouble(error) from None
        with self._lock:
            self._kept[folder] = address, content.tell()
        return path

    def find(self, path: str) -> Path | None:
        """The upload at a path, None for any other file."""
        asked = Path(path)
        inside = asked.parent.parent == self._scratch.uploads and ".." not in asked.parts
        try:
            return asked if inside and asked.is_file() and not asked.is_symlink() else None
        except (OSError, ValueError):  # a name that no file can have
            return None

    def discard(self, path: Path) -> None:
        """Deletes an upload and its folder; one that is gone already is well, and any other file stays."""
        if path.parent.parent == self._scratch.uploads:
            shutil.rmtree(path.parent, ignore_errors=True)

    async def receive(self, request: Request) -> Response:
        """The endpoint: files of a form in, their paths out."""
        declared = request.headers.get("content-length", "")
        size = int(declared) if declared.isdigit() else self._settings.max_upload_bytes
        address = request.client.host if request.client else "unknown"
        try:
            with self.admitted(address, size):
                return JSONResponse([str(path) for path in await self._received(request, address)])
        except Refused as refusal:
            return PlainTextResponse(str(refusal), refusal.status)

    async def _received(self, request: Request, address: str) -> list[Path]:
        paths: list[Path] = []
        try:
            # What arrives goes to files without a name, which are gone when somebody breaks off.
            async with request.form(max_files=MOST_FILES, max_fields=1) as form:
                for part in form.getlist("files"):
                    if isinstance(part, str):
                        raise Refused(400, "Send files, in a form.")
                    if (part.size or 0) > self._settings.max_upload_bytes:
                        raise Refused(413, too_large(self._settings))
                    paths.append(await run_sync(self.keep, part.file, part.filename or "", address))
        except (Refused, HTTPException, OSError) as error:
            for path in paths:
                self.discard(path)
            if isinstance(error, HTTPException):
                raise Refused(400, f"Send at most {MOST_FILES} files at once, in a form.") from None
            if isinstance(error, OSError):
                raise trouble(error) from None
            raise
        return paths

    def _look(self) -> None:
        """Looks at the disk anew; the lock is held."""
        self._on_disk, self._looked = self._scratch.size(), time.monotonic()
        self._since = self._coming.total()
        self._kept = {folder: kept for folder, kept in self._kept.items() if folder.exists()}

    def _has_room(self, address: str, size: int) -> bool:
        """Whether there is so much room, and the address has not had its share of all; a file it may have anyway."""
        room, of_one = self._settings.max_uploads_bytes, self._settings.max_upload_bytes + FORM_BYTES
        has = self._coming[address] + sum(kept for sender, kept in self._kept.values() if sender == address)
        return self._on_disk + self._since + size <= room and has + size <= max(ADDRESS_SHARE * room, of_one)

    def _count(self, address: str) -> None:
        """Counts an upload of an address; the lock is held."""
        now = time.monotonic()
        times = self._times[address]
        while times and now - times[0] > HOUR:
            times.popleft()
        if len(times) >= self._settings.uploads_per_hour:
            minutes = max(1, round((HOUR - (now - times[0])) / 60))
            raise Refused(
                429,
                f"{len(times)} files came from your address within the last hour, which is as many as are taken; "
                f"try again in {minutes} minutes.",
            )
        times.append(now)
        while len(self._times) > MOST_ADDRESSES:
            del self._times[next(iter(self._times))]


def trouble(error: OSError) -> Refused:
    """What an error of the system means for the person; the rest is for the log."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refused(507, FULL)
    log.error("A file could not be taken in: %s", error.strerror)
    return Refused(503, BROKEN)


def too_large(settings: Settings) -> str:
    """What is said of a file, or of several together, over the limit."""
    most = f"{settings.max_upload_bytes / 2**20:.3g} MB"
    return f"At most {most} are taken at once; choose a smaller file, or fewer at a time."


def _file_name(name: str) -> str:
    """A file's name without what a path or a shell would make of it, short enough for every file system."""
    name = display_name(name).lstrip(".-~ ") or "document"
    while len(name.encode()) > NAME_BYTES:
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem[:-1]}{dot}{suffix}" if stem and len(suffix) < 10 else name[:-1]
    return name
