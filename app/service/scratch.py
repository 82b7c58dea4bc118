"""The one folder of this process for temporary files: all that it makes lies in it, and goes with it.

A server that is killed can't clean up. The next one to start does: a folder whose lock nobody holds belongs to nobody.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows, where what a killed server leaves stays until somebody deletes it
    fcntl = None  # type: ignore[assignment]

PREFIX = "longt5-"
LOCK = ".lock"


class Scratch:
    """A folder inside `parent`, made where this is made and locked for as long as the process lives."""

    def __init__(self, parent: Path) -> None:
        """Makes the folder, after removing those of processes that are gone.

        Raises:
            OSError: nothing can be written there.
        """
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(f"{PREFIX}*"):
            _remove_unless_used(left)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = _lock(self.folder / LOCK)
        self.uploads = self.folder / "uploads"
        """Where Gradio takes files to be uploads; nothing else lies there."""
        self.uploads.mkdir()
        self._seen: dict[Path, tuple[int, float]] = {}  # when each was written, and since when that is known

    def sweep(self, seconds: float) -> None:
        """Removes uploads that have not been written to for so long, and the folders that are then empty.

        How long is told by when this came past them: the clock by which files are dated may be set meanwhile.
        """
        now = time.monotonic()
        seen: dict[Path, tuple[int, float]] = {}
        for path in self._entries():
            with suppress(OSError):  # gone meanwhile, or not empty
                written = path.lstat().st_mtime_ns
                seen[path] = known = self._seen.get(path, (written, now))
                if known[0] != written:
                    seen[path] = known = (written, now)
                if now - known[1] >= seconds:
                    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self._seen = seen

    def size(self) -> int:
        """Bytes in all uploads."""
        total = 0
        for path in self._entries():
            with suppress(OSError):
                total += 0 if path.is_dir() else path.lstat().st_size
        return total

    def _entries(self) -> Iterator[Path]:
        """Files and folders, what lies in a folder before the folder. Others may come and go meanwhile."""
        for folder, folders, files in os.walk(self.uploads, topdown=False):
            yield from (Path(folder, name) for name in (*files, *folders))

    def remove(self) -> None:
        """Deletes it with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _lock(path: Path) -> int | None:
    """A lock that ends with the process; None where there is none of the kind, or somebody holds it."""
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_unless_used(folder: Path) -> None:
    with suppress(OSError):
        if not (folder / LOCK).exists():  # it is being made, or none of ours
            return
        held = _lock(folder / LOCK)
        if held is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)
