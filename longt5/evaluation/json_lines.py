"""A file of JSON records, one a line, that outlives interruptions and that several processes add to.

The first process adds to the file itself, the others each to a part beside it (`NAME.part1`, ...), so that no two
write to one file, on no file system. `gather` puts the parts into the file.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class JsonLines:
    """Records kept at `path`, by one of the processes that may keep some there."""

    def __init__(self, path: Path, process_index: int = 0) -> None:
        """`process_index`: which process this is, from 0."""
        self.path = path
        self._own = path.with_name(f"{path.name}.part{process_index}") if process_index else path

    def append(self, record: dict[str, Any]) -> None:
        """Adds a record; it is in the file when this returns."""
        self._own.parent.mkdir(parents=True, exist_ok=True)
        with self._own.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def gather(self) -> None:
        """Puts the parts into the file and drops lines cut short. For one process, while the others wait."""
        parts = [Path(part) for part in sorted(glob.glob(f"{glob.escape(str(self.path))}.part*"))]
        if not parts and not self.path.exists():
            return
        lines = [line for file in (self.path, *parts) for line in _whole_lines(file)]
        written = self.path.with_name(f"{self.path.name}.new")
        written.write_text("".join(lines), encoding="utf-8")
        os.replace(written, self.path)
        for part in parts:
            part.unlink()

    def read(self) -> list[dict[str, Any]]:
        """The gathered records, in the order they were added; none if there is no file."""
        return [json.loads(line) for line in _whole_lines(self.path)]


def _whole_lines(path: Path) -> Iterator[str]:
    """Lines up to their ends; the last one may have been interrupted."""
    if path.exists():
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from (line for line in file if line.endswith("\n"))
