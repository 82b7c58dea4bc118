"""What is done: finished rows in Parquet files, the newest in a journal, so that a run that is killed can go on.

The folder of a run:

    papers/part-00000.parquet   finished rows, each file whole or not there
    journal.jsonl               rows of the part that is not full yet, written as soon as they are there
    run.json                    model and settings
    lock                        held while a run writes
"""

from __future__ import annotations

import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from app.corpus.files import write_text, write_whole
from app.corpus.rows import Row, key_of, table_of
from app.corpus.sources import SourceFile

PART_ROWS = 1_000


class LedgerError(Exception):
    """The folder can't be written, or not with these settings; `str(error)` is one sentence that says what to do."""


class _Known(NamedTuple):
    """What is known of the file of a name."""

    key: str
    """Of the row that it stands in."""
    version: str


class Ledger:
    """The rows of a folder. A context: at its end what is in the journal becomes a part. Not for several threads."""

    def __init__(
        self, folder: Path, run: dict[str, Any], *, resume: bool, part_rows: int = PART_ROWS
    ) -> None:
        """Opens the folder, and makes it if need be.

        Args:
            run: what has an effect on the rows; all of a folder have the same.
            resume: whether to go on with what is there.

        Raises:
            LedgerError: there are rows already and `resume` is False, they were made otherwise, or another run is
                writing.
        """
        self.folder = folder
        self._part_rows = part_rows
        self._parts: dict[str, Path | None] = {}  # by key; None: in the journal
        self._known: dict[str, _Known] = {}  # by name
        # Names that came before their paper's row, by its key.
        self._early: dict[str, list[SourceFile]] = defaultdict(list)
        # Rows whose names or versions are others than were written, by key, with the names to be added.
        self._renamed: dict[str, list[str]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("w")
        except OSError as error:
            raise LedgerError(
                f"{folder} can't be written ({error.strerror}); choose another --out."
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(
                f"Another run is writing to {folder}; wait for its end, or choose another --out."
            ) from None
        self._check_run(run, resume)
        for path in parts_of(self.folder):
            self._remember(path)
        self._fresh = [
            row for row in self._read_journal() if row["sha256"] and row["sha256"] not in self._parts
        ]
        for row in self._fresh:
            self._note(row, None)
        # Written anew: a run that was killed may have left half a line at its end.
        self._write_journal()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self._finish_part()
        self._write_names()
        self._journal.close()
        self._lock.close()

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._parts)

    def __contains__(self, key: str) -> bool:
        """Whether there is a row of this key."""
        return key in self._parts

    @property
    def keys(self) -> list[str]:
        """Of all rows."""
        return list(self._parts)

    def knows(self, file: SourceFile) -> bool:
        """Whether a row has this file under this name, unchanged since."""
        known = self._known.get(file.name)
        return bool(file.version) and known is not None and known.version == file.version

    def add(self, row: Row) -> None:
        """Keeps a row; one whose paper is there already only adds its name.

        A file that can't be opened keeps the row of what it held when it could: a storage may have a bad day.
        """
        key = key_of(row)
        if key in self._parts:
            self.add_name(key, SourceFile(row["file"], row["versions"][0]))
            return
        if not row["sha256"] and row["file"] in self._known:
            return
        self._fresh.append(row)
        self._note(row, None)
        self._append(row)
        for file in self._early.pop(key, ()):
            self.add_name(key, file)
        if len(self._fresh) >= self._part_rows:
            self._finish_part()

    def add_name(self, key: str, file: SourceFile) -> bool:
        """Keeps that a file holds this paper, and nothing else any more; it may come before the paper's row.

        Returns:
            Whether the name is new to the paper; if not, only its version may be.
        """
        if key not in self._parts:
            self._early[key].append(file)
            return True
        before = self._known.get(file.name)
        if before != _Known(key, file.version):
            self._know(file.name, _Known(key, file.version))
            self._renamed.setdefault(key, []).append(file.name)
        return before is None or before.key != key

    def _check_run(self, run: dict[str, Any], resume: bool) -> None:
        path = self.folder / "run.json"
        started = bool(parts_of(self.folder)) or (self.folder / "journal.jsonl").exists()
        if started and not resume:
            raise LedgerError(
                f"There is a run in {self.folder} already; go on with it by --resume, or choose another --out."
            )
        if started and path.exists() and (before := json.loads(path.read_text(encoding="utf-8"))) != run:
            changed = ", ".join(sorted(key for key in {*run, *before} if run.get(key) != before.get(key)))
            raise LedgerError(
                f"The run in {self.folder} was started with other settings ({changed}); give the same, or choose "
                "another --out."
            )
        write_text(path, json.dumps(run, indent=2, ensure_ascii=False) + "\n")

    def _remember(self, path: Path) -> None:
        """Takes note of a part's rows, and drops those of files that could not be opened: they get another try."""
        rows = pq.read_table(path, columns=["file", "other_files", "versions", "sha256"])
        if rows["sha256"].null_count:
            _write_part(path, [row for row in pq.read_table(path).to_pylist() if row["sha256"]])
        for row in rows.to_pylist():
            if row["sha256"]:
                self._note(row, path)

    def _note(self, row: Row, path: Path | None) -> None:
        key = key_of(row)
        self._parts[key] = path
        for name, version in zip([row["file"], *row["other_files"]], row["versions"]):
            self._know(name, _Known(key, version))

    def _know(self, name: str, known: _Known) -> None:
        """A name stands in one row: that of what the file held when it was last read."""
        before = self._known.get(name)
        if before is not None and before.key != known.key:
            self._renamed.setdefault(before.key, [])
        self._known[name] = known

    def _read_journal(self) -> Iterator[Row]:
        path = self.folder / "journal.jsonl"
        for line in path.read_bytes().split(b"\n") if path.exists() else ():
            try:
                row = json.loads(line)
            except ValueError:  # the run was killed while it wrote this line
                continue
            yield row

    def _write_journal(self) -> None:
        lines = "".join(_line(row) for row in self._fresh)
        path = self.folder / "journal.jsonl"
        write_text(path, lines)
        self._journal = path.open("a", encoding="utf-8", errors="replace")

    def _append(self, row: Row) -> None:
        self._journal.write(_line(row))
        self._journal.flush()
        os.fsync(self._journal.fileno())

    def _finish_part(self) -> None:
        """Makes a part of the journal. A run that is killed in between finds the rows in both, and takes them once."""
        if not self._fresh:
            return
        # Rows that have lost all their names stay until the end: their papers may be found under others yet.
        rows = [self._with_names(row) or row for row in self._fresh]
        last = max((int(path.stem.rpartition("-")[2]) for path in parts_of(self.folder)), default=-1)
        path = self.folder / "papers" / f"part-{last + 1:05}.parquet"
        _write_part(path, rows)
        self._parts.update(dict.fromkeys(map(key_of, rows), path))
        self._fresh = []
        self._journal.close()
        self._write_journal()

    def _write_names(self) -> None:
        """Gives rows the names and versions that were found after their part was finished; drops those without any."""
        for path in {self._parts[key] for key in self._renamed}:
            assert path is not None, "the journal has become a part"
            rows = map(self._with_names, pq.read_table(path).to_pylist())
            _write_part(path, [row for row in rows if row is not None])

    def _with_names(self, row: Row) -> Row | None:
        """A row under all names that stand in it now; None where there are none."""
        key = key_of(row)
        noted = dict.fromkeys([row["file"], *row["other_files"], *self._renamed.get(key, ())])
        names = [name for name in noted if self._known[name].key == key]
        if not names:
            return None
        self._renamed.pop(key, None)
        versions = [self._known[name].version for name in names]
        return {**row, "file": names[0], "other_files": names[1:], "versions": versions}


def parts_of(folder: Path) -> list[Path]:
    """The finished files of a run's folder, in order."""
    return sorted((folder / "papers").glob("part-*.parquet"))


def _write_part(path: Path, rows: list[Row]) -> None:
    write_whole(path, lambda unfinished: pq.write_table(table_of(rows), unfinished, compression="zstd"))


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
