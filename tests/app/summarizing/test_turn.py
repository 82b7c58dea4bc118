"""A long summary and those who wait behind it."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from app.documents import Document, Page, undivided
from app.models import ModelStore
from app.settings import Settings
from app.summarizing.settings import SummaryError, SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Queued
from app.turns import Caller
from tests.app.factories import paragraphs


def document(count: int) -> Document:
    text = "\n".join(paragraphs(count))
    return Document("x.txt", "X", text, (Page(1, 0, len(text)),), undivided(text), ())


@pytest.fixture
def fast(store: ModelStore) -> SummarySettings:
    return SummarySettings(store.choices[0], max_new_tokens=16, num_beams=1, sections=False)


class Long(threading.Thread):
    """Somebody's summary of a paper in many parts, begun where this is made."""

    def __init__(self, store: ModelStore, settings: SummarySettings) -> None:
        super().__init__()
        self.settings = replace(settings, max_input_tokens=128)
        self.store = store
        self.began, self.ended = threading.Event(), 0.0
        self.queued = 0
        self.error: Exception | None = None
        self.start()
        assert self.began.wait(60)

    def run(self) -> None:
        try:
            for event in summarize(document(2), self.settings, self.store, caller=Caller("long")):
                self.queued += isinstance(event, Queued)
                if "Working" in type(event).__name__:
                    self.began.set()
        except SummaryError as error:
            self.error = error
        self.ended = time.monotonic()
        self.began.set()


def test_a_long_summary_lets_others_go_first_between_its_windows(
    store: ModelStore, fast: SummarySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.turns, "given_up_after", 0.0)
    long = Long(store, fast)
    *_, done = summarize(document(1), fast, store, caller=Caller("short"))
    ended = time.monotonic()
    long.join()
    assert isinstance(done, Done)
    assert long.error is None
    assert ended < long.ended
    assert long.queued


def test_one_part_does_not_keep_others_waiting_without_end(model_folder: Path, fast: SummarySettings) -> None:
    store = ModelStore(Settings(models=(str(model_folder),), turn_seconds=0))
    with ExitStack() as waiting:
        for caller in (None, Caller("long")):  # a program of our own is nobody's guest
            events = summarize(document(1), fast, store, caller=caller)
            for event in events:
                if "Loading" in type(event).__name__ or caller:
                    break
            waiting.enter_context(store.turns.join(Caller("short")))
            if caller is None:
                *_, done = events
                assert isinstance(done, Done)
                waiting.close()
            else:
                with pytest.raises(SummaryError, match="Others are waiting"):
                    list(events)
