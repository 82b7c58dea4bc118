"""A summary of two windows, and the answer that a view of it shows."""

from __future__ import annotations

import pytest

from app.documents import Document, Page, undivided
from app.inspecting.inspector import encoded_window
from app.inspecting.questions import Question
from app.inspecting.views import VIEWS, Answer
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
    option: str | None = None,
) -> Answer:
    """The answer of a view, by default about all the window's text."""
    end = len(summary.windows[window].input_ids) if end is None else end
    option = VIEWS[view].options[0][1] if option is None else option
    with encoded_window(store, summary, window) as held:
        asked = Question(window, view, layer, head, sentence, start, end - start, option)
        return VIEWS[view].answer(held, asked)
