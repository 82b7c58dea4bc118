"""Runs of the command in a process of its own, and what they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from app.corpus.ledger import parts_of
from tests.app.factories import make_pdf, paragraphs, wrapped

ROOT = Path(__file__).parents[3]
PATIENCE = 600.0  # seconds, for a busy machine


def write_papers(folder: Path, count: int) -> Path:
    """PDFs of a page, each with a text of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        make_pdf(folder / f"paper-{number}.pdf", [wrapped(paragraphs(3, seed=number))])
    return folder


def start(
    places: list[Path], out: Path, model: Path, *options: str, module: str = "tests.app.corpus.mortal"
) -> subprocess.Popen[str]:
    """The command at work."""
    command = [
        sys.executable,
        "-m",
        module,
        *map(str, places),
        "--out",
        str(out),
        "--model",
        str(model),
        *options,
    ]
    environment = {**os.environ, "LONGT5_THREADS": "1"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(run: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and what it said."""
    try:
        said = run.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        run.kill()
        raise
    return run.returncode, said


def wait_for(what: Callable[[], object], run: subprocess.Popen[str]) -> None:
    """Waits until something is so while a run is at work."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        if run.poll() is not None or time.monotonic() > deadline:
            run.kill()
            raise AssertionError(f"It did not come to that:\n{run.communicate()[0]}")
        time.sleep(0.05)


def finished(out: Path) -> int:
    """How many rows a run at work has written."""
    journal = out / "journal.jsonl"
    return len(journal.read_bytes().splitlines()) if journal.exists() else 0


def rows_of(out: Path) -> dict[str, dict[str, Any]]:
    """The finished rows by the name of their file; there may be one for each paper, and one for each file."""
    rows = [row for path in parts_of(out) for row in pq.read_table(path).to_pylist()]
    assert len({row["sha256"] or row["file"] for row in rows}) == len(rows)
    names = [Path(name).name for row in rows for name in (row["file"], *row["other_files"])]
    assert len(set(names)) == len(names)
    return {Path(row["file"]).name: row for row in rows}


def settings_of(out: Path) -> dict[str, Any]:
    """What the run was started with."""
    return json.loads((out / "run.json").read_text(encoding="utf-8"))
