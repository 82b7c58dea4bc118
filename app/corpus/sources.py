"""What somebody names (folders, patterns, lists, addresses) -> the files there are."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import fsspec

# What a folder is searched for. A file that is named itself may be called anything.
ENDINGS = (".pdf", ".txt", ".md", ".markdown")
# Where file systems say when a file was changed, or give what it holds a name. HTTP's has its headers' names.
_CHANGED = (
    "mtime", "LastModified", "last_modified", "Last-Modified", "updated", "ETag", "etag", "created",
)  # fmt: skip


class SourcesError(Exception):
    """What was named is not there; `str(error)` is one sentence that says what to do."""


@dataclass(frozen=True)
class SourceFile:
    """A file that may be a paper."""

    name: str
    """Its absolute path, or its address, as `name_of` spells it."""
    version: str = ""
    """Another one whenever the file has changed; empty where nothing is known of it."""


def name_of(place: str) -> str:
    """How the file at a path or an address is called: like that, unless this is no text (UTF-8).

    Then it is called by its address, in which bytes that are no text are spelled as `%FF`: workers, Parquet and
    browsers take nothing but text, and two files must not share a name.
    """
    try:
        place.encode()
    except UnicodeEncodeError:
        address = place if "://" in place else f"file://{place}"
        return quote(os.fsencode(address), safe="/:")
    return place


def path_of(name: str) -> str | None:
    """Where a file of this name lies on this machine; None for the address of one elsewhere."""
    if name.startswith("file://"):
        return os.fsdecode(unquote_to_bytes(os.fsencode(name.removeprefix("file://"))))
    return None if "://" in name else name


def find(named: Sequence[str], *, out: Path | None = None) -> Iterator[SourceFile]:
    """The files behind folders, patterns, lists and addresses, each name once, in the order of what was named.

    A folder is searched with all folders in it, those behind links too; files and folders whose names begin with a dot
    are passed over. So is whatever lies in `out`, where a run writes pages, by whatever way it is reached. A file
    ending in `.txt` is a list of any of these, one a line; lines that are empty or begin with `#` don't count. What a
    list names and is not there is found too, as is a folder in a folder that may not be searched: that it can't be
    read is said of it in the end.

    Raises:
        SourcesError: something that was named, other than by a list, can't be found; a list names nothing; all lies in
            `out`.
    """
    seen = set()
    written = None if out is None else Path(os.path.realpath(out))
    for place in named:
        found = list(_listed(place, written) if _is_list(place) else _at(place, written))
        if not found and not _lies_in(written, place):
            raise SourcesError(
                f"There is no paper at {place}; name a folder, a pattern or an address with PDF, .txt or .md files."
            )
        for file in found:
            if file.name not in seen and not _lies_in(written, file.name):
                seen.add(file.name)
                yield file
    if not seen:
        raise SourcesError(f"All that was named lies in {out}, where results go; name papers outside of it.")


def _is_list(place: str) -> bool:
    return place.lower().endswith(".txt") and Path(place).is_file()


def _lies_in(folder: Path | None, name: str) -> bool:
    path = path_of(name)
    return folder is not None and path is not None and Path(os.path.realpath(path)).is_relative_to(folder)


def _listed(list_file: str, out: Path | None) -> Iterator[SourceFile]:
    try:
        text = Path(list_file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SourcesError(
            f"The list {list_file} can't be read as text; name a text file with a path a line."
        ) from None
    # Not `splitlines`: it takes signs for ends of lines that names may have.
    for line in map(str.strip, text.split("\n")):
        if line and not line.startswith("#"):
            try:
                found = _at(line, out)
            except SourcesError:
                found = []
            yield from found or [SourceFile(name_of(_absolute(line)))]


def _at(place: str, out: Path | None) -> list[SourceFile]:
    """The files of a folder, of a pattern, or the one file, in the order of their names.

    Raises:
        SourcesError: it is at an address that can't be searched.
    """
    here = _absolute(place)
    files = _at_address(place) if "://" in here else _on_this_machine(here, out)
    return sorted(files, key=lambda file: file.name)


def _on_this_machine(path: str, out: Path | None) -> Iterator[SourceFile]:
    searched = {str(out)}  # as if it were: its pages may be as many as the papers
    if os.path.lexists(path):
        yield from _in_folder(path, searched) if os.path.isdir(path) else [_source_file(path)]
        return
    for match in glob.glob(path, recursive=True):
        if os.path.isdir(match):
            yield from _in_folder(match, searched)
        elif _may_be_a_paper(os.path.basename(match)):
            yield _source_file(match)


def _in_folder(path: str, searched: set[str]) -> Iterator[SourceFile]:
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
    yield from (SourceFile(name_of(os.fsdecode(error.filename))) for error in closed)


def _source_file(path: str) -> SourceFile:
    try:
        status = os.stat(path)
    except OSError:  # a link to nothing
        return SourceFile(name_of(path))
    return SourceFile(name_of(path), f"{status.st_size} {status.st_mtime}")


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
            # fsspec's addresses of files of this machine are no URLs: `%` is itself in them.
            address = system.unstrip_protocol(name).removeprefix("file://")
            yield SourceFile(name_of(address), _version(found[name]))


def _may_be_a_paper(name: str) -> bool:
    """By its name, and those of the folders it is in, if it has them."""
    return name.lower().endswith(ENDINGS) and not any(part.startswith(".") for part in name.split("/"))


def _version(info: dict[str, Any]) -> str:
    """As of `SourceFile`: a size alone does not tell whether a file has changed."""
    changed = next((info[key] for key in _CHANGED if info.get(key)), None)
    return "" if changed is None else f"{info.get('size')} {changed}"


def _absolute(place: str) -> str:
    """An address as it is, a path absolute, so that every machine that sees the folder finds it."""
    path = path_of(place)
    return place if path is None else os.path.abspath(path)
