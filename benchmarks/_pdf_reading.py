"""What a PDF takes to become a Document, and what pypdf takes to extract its text."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from app import documents
from app.documents import DocumentError
from app.documents.pdf_reader import TIGHT_LIMITS
from benchmarks._job import ROOT


@dataclass(frozen=True)
class PdfTimes:
    """Median seconds of the repeats for one file."""

    pages: int
    app: float
    """From the path to the Document."""
    pypdf: float
    """A process like the app's in which pypdf extracts the text; start and import included."""
    calls: float
    """The extraction alone."""


def time_pdfs(files: Sequence[Path], repeats: int) -> dict[str, PdfTimes]:
    """The files that can be read, by name; the app and pypdf take turns."""
    times: dict[str, PdfTimes] = {}
    for file in tqdm(files, desc="PDFs", leave=False):
        app, whole, calls = [], [], []
        try:
            document = documents.read(file)
            for _ in range(repeats):
                started = time.perf_counter()
                documents.read(file)
                app.append(time.perf_counter() - started)
                started = time.perf_counter()
                calls.append(_plain(file))
                whole.append(time.perf_counter() - started)
        except (DocumentError, subprocess.CalledProcessError) as error:
            tqdm.write(f"{file.name} is left out: {error}", file=sys.stderr)
            continue
        times[file.name] = PdfTimes(len(document.pages), *map(statistics.median, (app, whole, calls)))
    return times


def _plain(file: Path) -> float:
    """Seconds that pypdf takes to extract the text."""
    limits = json.dumps(TIGHT_LIMITS)
    command = [sys.executable, "-m", "benchmarks._plain_pypdf", str(file.resolve()), limits]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
