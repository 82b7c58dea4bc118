"""The kinds of work on a paper, for `Desk.start`: reading its file, fetching it first, summarizing it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from functools import partial

import httpx

from app.documents.downloads import download
from app.models import ModelStore
from app.page.desk import Work
from app.page.papers import Paper, Progress
from app.summarizing.settings import SummarySettings
from app.summarizing.summarizer import read, summarize
from app.work import follow


def reading(paper: Paper, store: ModelStore, password: str | None = None) -> Work:
    """Reads the file."""
    assert paper.file is not None
    return partial(
        read, paper.file, store, name=paper.name, password=password or None, caller=paper.brought_by
    )


def fetching(paper: Paper, address: httpx.URL, store: ModelStore) -> Work:
    """Fetches the file and reads it."""

    def work(stop: threading.Event) -> Generator[Progress, None, None]:
        assert paper.file is not None
        file = paper.file

        def fetch(report: Callable[[Progress], None]) -> None:
            limits = store.settings.reading_limits
            paper.name = download(address, file, limits=limits, on_progress=report, stop=stop)
            paper.file_bytes = file.stat().st_size

        yield from follow(fetch, stop)
        yield from reading(paper, store)(stop=stop)

    return work


def summarizing(paper: Paper, settings: SummarySettings, store: ModelStore) -> Work:
    """Summarizes the paper, which it reads first if need be. What was written when it is stopped is kept."""
    source = paper.document or paper.file
    assert source is not None
    keep = partial(setattr, paper, "summary")
    return partial(summarize, source, settings, store, name=paper.name, caller=paper.brought_by, keep=keep)
