"""The second stage: what was read is summarized, by a model that stays loaded."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any

from app import export
from app.allocator import give_back
from app.corpus.between import DeskClient, done, passed
from app.corpus.rows import failure_row, summary_row
from app.corpus.sources import SourceFile
from app.documents import Document
from app.models import ModelStore
from app.settings import Settings
from app.summarizing.settings import SummaryError, SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Summary


class Summarizer:
    """Summarizes what was read, as page and terminal do, with one model that stays loaded."""

    def __init__(
        self,
        desk: DeskClient,
        installation: Settings,
        settings: SummarySettings,
        pages: tuple[str, ...] = (),
    ) -> None:
        """
        Args:
            pages: endings of `export.FORMATS` in which a page for each paper is asked for.

        Raises:
            SummaryError: the model can't be loaded; the desk is told.
        """
        self._desk, self._settings, self._pages = desk, settings, pages
        self._store = ModelStore.for_many_papers(installation)
        try:
            with self._store.use(settings.model):  # the time to load it is no paper's
                pass
        except SummaryError as error:
            desk.fail(str(error))
            raise

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        """The row behind one of the reader's."""
        if item["state"] != "read":
            return {key: item[key] for key in ("state", "name", "version", "sha256", "row", "pages")}
        file, sha256 = SourceFile(item["name"], item["version"]), item["sha256"]
        answer = self._desk.begin(sha256)
        if answer != "go":
            return passed(file, answer, sha256)
        started = time.monotonic() - item["seconds"]
        try:
            summary = self.summarize(pickle.loads(item["document"]))
        except SummaryError as error:
            row, pages = failure_row(file, sha256, str(error), time.monotonic() - started), {}
        else:
            row = summary_row(file, sha256, summary, time.monotonic() - started)
            pages = {kind: export.FORMATS[kind].write(summary) for kind in self._pages}
        give_back()
        self._desk.end(sha256)
        return done(row, json.dumps(pages))

    def summarize(self, document: Document) -> Summary:
        """The summary of one document.

        Raises:
            SummaryError: there is none; `str(error)` is one sentence.
        """
        for event in summarize(document, self._settings, self._store):
            if isinstance(event, Done):
                return event.summary
        raise AssertionError("summarize ends with Done")
