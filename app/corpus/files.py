"""Files that are either there as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` make a file beside `path` and gives it that name once all of it is on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    write(unfinished)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def write_text(path: Path, text: str) -> None:
    """The same for a text; signs that UTF-8 has no bytes for become question marks."""
    write_whole(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8", errors="replace"))


def page_path(kind: str, sha256: str) -> Path:
    """Where the page of a paper lies in the folder of a run: by its hash, as names need not be its own.

    Args:
        kind: ending of the page's format.
    """
    return Path(kind, sha256[:2], f"{sha256}.{kind}")
