"""What somebody names (folders, patterns, lists, addresses) -> the files there are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

# What a folder is searched for. A file that is named itself may be called anything.
ENDINGS = (".pdf", ".txt", ".md", ".markdown")
# Where file systems say when a file was changed, or give what it holds a name.
_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "ETag", "etag", "created")


class SourcesError(Exception):
    """What was named is not there; `str(error)` is one sentence that says what to do."""


@dataclass(frozen=True)
class SourceFile:
    """A file that may be a paper."""

    name: str
    """Its absolute path, or its address."""
    version: str = ""
    """Another one whenever the file has changed; empty where nothing is known of it."""


def find(named: Sequence[str]) -> Iterator[SourceFile]:
    """The files behind folders, patterns, lists and addresses, each name once, in the order of what was named.

    A folder is searched with all folders in it; names that begin with a dot are passed over. A file ending in `.txt`
    is a list of any of these, one a line; lines that are empty or begin with `#` don't count. What a list names and is
    not there is found too: that it can't be read is said of it in the end.

    Raises:
        SourcesError: something that was named, other than by a list, can't be found.
    """
    seen: set[str] = set()
    for place in named:
        for file in _listed(place) if _is_list(place) else _at(place):
            if file.name not in seen:
                seen.add(file.name)
                yield file


def _is_list(place: str) -> bool:
    return place.lower().endswith(".txt") and Path(place).is_file()


def _listed(list_file: str) -> Iterator[SourceFile]:
    try:
        lines = Path(list_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise SourcesError(
            f"The list {list_file} can't be read as text; name a text file with a path a line."
        ) from None
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            try:
                yield from _at(line)
            except SourcesError:
                yield SourceFile(_absolute(line))


def _at(place: str) -> Iterator[SourceFile]:
    """The files of a folder, of a pattern, or the one file."""
    try:
        system, path = fsspec.core.url_to_fs(place)
        if system.exists(path):
            info = system.info(path)
            is_folder = info["type"] == "directory"
            found = system.find(path, detail=True) if is_folder else {info["name"]: info}
        else:
            is_folder = True
            found = system.glob(path, detail=True) if any(sign in path for sign in "*?[") else {}
    except (OSError, ValueError, ImportError) as error:
        raise SourcesError(f"{place} can't be searched ({error}); check the address.") from None
    files = [_source(system, info) for info in found.values() if info["type"] == "file"]
    if is_folder:
        files = [file for file in files if _may_be_a_paper(file.name)]
    if not files:
        raise SourcesError(
            f"There is no paper at {place}; name a folder, a pattern or an address with PDF, .txt or .md files."
        )
    yield from sorted(files, key=lambda file: file.name)


def _may_be_a_paper(name: str) -> bool:
    base = name.rstrip("/").rpartition("/")[2]
    return not base.startswith(".") and base.lower().endswith(ENDINGS)


def _source(system: Any, info: dict[str, Any]) -> SourceFile:
    changed = next((info[key] for key in _CHANGED if info.get(key) is not None), "")
    return SourceFile(_absolute(system.unstrip_protocol(info["name"])), f"{info.get('size')} {changed}")


def _absolute(place: str) -> str:
    """An address as it is, a path absolute, so that every machine that sees the folder finds it."""
    place = place.removeprefix("file://")
    return place if "://" in place else os.path.abspath(place)
