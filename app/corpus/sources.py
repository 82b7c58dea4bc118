"""What somebody names (folders, patterns, lists, addresses) -> the files there are."""

from __future__ import annotations

import glob
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


def find(named: Sequence[str], *, out: Path | None = None) -> Iterator[SourceFile]:
    """The files behind folders, patterns, lists and addresses, each name once, in the order of what was named.

    A folder is searched with all folders in it, those behind links too; files and folders whose names begin with a dot
    are passed over, as is `out` with the pages that a run has written there. A file ending in `.txt` is a list of any
    of these, one a line; lines that are empty or begin with `#` don't count. What a list names and is not there is
    found too, as is a folder in a folder that may not be searched: that it can't be read is said of it in the end.

    Raises:
        SourcesError: something that was named, other than by a list, can't be found.
    """
    seen = set()
    written = None if out is None else os.path.realpath(out)
    for place in named:
        for file in _listed(place, written) if _is_list(place) else _at(place, written):
            if file.name not in seen:
                seen.add(file.name)
                yield file


def _is_list(place: str) -> bool:
    return place.lower().endswith(".txt") and Path(place).is_file()


def _listed(list_file: str, out: str | None) -> Iterator[SourceFile]:
    try:
        lines = Path(list_file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise SourcesError(
            f"The list {list_file} can't be read as text; name a text file with a path a line."
        ) from None
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            try:
                yield from _at(line, out)
            except SourcesError:
                yield SourceFile(_absolute(line))


def _at(place: str, out: str | None) -> Iterator[SourceFile]:
    """The files of a folder, of a pattern, or the one file."""
    here = _absolute(place)
    files = list(_at_address(place) if "://" in here else _on_this_machine(here, out))
    if not files:
        raise SourcesError(
            f"There is no paper at {place}; name a folder, a pattern or an address with PDF, .txt or .md files."
        )
    yield from sorted(files, key=lambda file: file.name)


def _on_this_machine(path: str, out: str | None) -> Iterator[SourceFile]:
    searched = {out}
    if os.path.lexists(path):
        yield from _in_folder(path, searched) if os.path.isdir(path) else [_source_file(path)]
        return
    for match in glob.glob(path, recursive=True):
        if os.path.isdir(match):
            yield from _in_folder(match, searched)
        elif _may_be_a_paper(os.path.basename(match)):
            yield _source_file(match)


def _in_folder(path: str, searched: set[str | None]) -> Iterator[SourceFile]:
    """The papers in a folder and in those in it, each folder once however links lead there: see `searched`."""
    closed: list[OSError] = []
    for folder, folders, files in os.walk(path, followlinks=True, onerror=closed.append):
        real = os.path.realpath(folder)
        if real in searched:
            folders.clear()
            continue
        searched.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (_source_file(os.path.join(folder, name)) for name in files if _may_be_a_paper(name))
    yield from (SourceFile(os.fsdecode(error.filename)) for error in closed)


def _source_file(path: str) -> SourceFile:
    name = os.fsencode(path).decode(errors="replace")
    try:
        status = os.stat(name)
    except OSError:  # a link to nothing, or a name that no table of text can hold
        return SourceFile(name)
    return SourceFile(name, f"{status.st_size} {status.st_mtime}")


def _at_address(place: str) -> Iterator[SourceFile]:
    try:
        system, path = fsspec.core.url_to_fs(place)
        if not system.exists(path):
            found = system.glob(path, detail=True) if any(sign in path for sign in "*?[") else {}
            papers = [name for name in found if _may_be_a_paper(name.rpartition("/")[2])]
        elif (info := system.info(path))["type"] == "directory":
            found = system.find(path, detail=True)
            papers = [name for name in found if _may_be_a_paper(name.removeprefix(path))]
        else:
            found, papers = {path: info}, [path]
    except (OSError, ValueError, ImportError) as error:
        raise SourcesError(f"{place} can't be searched ({error}); check the address.") from None
    for name in papers:
        if found[name]["type"] == "file":
            yield SourceFile(_absolute(system.unstrip_protocol(name)), _version(found[name]))


def _may_be_a_paper(name: str) -> bool:
    """By its name, and those of the folders it is in, if it has them."""
    return name.lower().endswith(ENDINGS) and not any(part.startswith(".") for part in name.split("/"))


def _version(info: dict[str, Any]) -> str:
    changed = next((info[key] for key in _CHANGED if info.get(key) is not None), "")
    return f"{info.get('size')} {changed}"


def _absolute(place: str) -> str:
    """An address as it is, a path absolute, so that every machine that sees the folder finds it."""
    place = place.removeprefix("file://")
    return place if "://" in place else os.path.abspath(place)
