"""A summary of two windows, and the map that a view of it shows."""

from __future__ import annotations

import pytest

from app.documents import Document, Page, undivided
from app.inspecting.inspector import LabelledMap, encoded_window
from app.inspecting.views import VIEWS, Question
from app.models import ModelStore
from app.summarizing.settings import SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Summary
from tests.app.factories import paragraphs


@pytest.fixture(scope="module")
def summary(store: ModelStore) -> Summary:
    text = "\n".join(paragraphs(8))
    middle = text.index("\n", len(text) // 2) + 1
    document = Document(
        "x.txt", "X", text, (Page(1, 0, middle), Page(2, middle, len(text))), undivided(text), ()
    )
    settings = SummarySettings(model="tiny", max_new_tokens=40, num_beams=1, max_input_tokens=700)
    *_, done = summarize(document, settings, store)
    assert isinstance(done, Done)
    return done.summary


def shown(
    store: ModelStore,
    summary: Summary,
    view: str,
    *,
    window: int = 0,
    layer: int = 0,
    head: int = 0,
    sentence: int = 0,
    start: int = 0,
    end: int | None = None,
) -> LabelledMap:
    """The map of a view, by default of all the window's text."""
    end = len(summary.windows[window].input_ids) if end is None else end
    with encoded_window(store, summary, window) as held:
        return VIEWS[view].answer(held, Question(window, view, layer, head, sentence, start, end - start))
