"""How long the page's attention views take after a long paper was summarized, from the question to the figure."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import astuple, dataclass, replace
from typing import Any

from tqdm import tqdm

from app.documents import Document, Page, undivided
from app.inspecting import inspector
from app.inspecting.inspection import CLOSEST, Inspection, answer, drawing, first_question, within
from app.inspecting.page_figure import to_fragment
from app.inspecting.questions import ALL_HEADS, Question
from app.inspecting.views import VIEWS
from app.models import ModelStore
from app.settings import from_environment
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done
from benchmarks._job import EXAMPLE_TEXT

PAGE_CHARACTERS = 3000


@dataclass(frozen=True)
class Views:
    """Seconds."""

    tokens: int
    """Of the paper, as the model read it."""
    summary: float
    opening: float
    """The outline and the overview of every head, when the tab is opened."""
    views: dict[str, list[float]]
    """Name -> for each layer, head and window asked for, the median of its repeats."""


def time_views(tokens: int, repeats: int) -> Views:
    """Summarizes the example paper, repeated to more than `tokens`, with the first model of the environment."""
    store = ModelStore(from_environment())
    defaults = store.profile(store.choices[0]).defaults
    settings = replace(defaults, max_input_tokens=tokens, long_papers="truncate")
    with store.use(settings.model) as loaded:
        document = _long_document(loaded.tokenizer, tokens)
    started = time.perf_counter()
    *_, done = summarize(document, settings, store)
    summarized = time.perf_counter() - started
    assert isinstance(done, Done)

    started = time.perf_counter()
    outline = inspector.outline(store, done.summary, 0)
    overview = inspector.overview(store, done.summary, 0)
    opening = time.perf_counter() - started
    held = Inspection(done.summary, outline, {"encoder": overview}, first_question(outline))

    asked = questions(held)
    seconds: dict[Question, list[float]] = {question: [] for question in asked}
    for question in tqdm(asked * repeats, desc="attention views", leave=False):
        started = time.perf_counter()
        _draw(store, held, question)
        seconds[question].append(time.perf_counter() - started)
    views: dict[str, list[float]] = {}
    for question, repeated in seconds.items():
        views.setdefault(question.view, []).append(statistics.median(repeated))
    return Views(outline.tokens, summarized, opening, views)


def questions(held: Inspection) -> list[Question]:
    """First and last layer, first head, last head and all; the whole text, a page, and close up at both ends."""
    outline = held.outline
    _, first, after = outline.pages[len(outline.pages) // 2]
    windows = {
        (0, outline.tokens),
        (first, after - first),
        (0, CLOSEST),
        (outline.tokens // 2, CLOSEST),
        (outline.tokens - CLOSEST, CLOSEST),
    }
    # What says that it takes long is not what anybody switches heads in.
    views = [view for view in VIEWS.values() if view.exists(outline) and not view.cost]
    asked = {
        within(outline, Question(0, view.name, layer, head, outline.sentences[0], start, count, option))
        for view, head, (start, count) in itertools.product(views, {0, outline.heads - 1, ALL_HEADS}, windows)
        for layer in {0, view.layers(outline) - 1}
        for _, option in view.options
    }
    return sorted(asked, key=astuple)


def _draw(store: ModelStore, held: Inspection, question: Question) -> None:
    """What the page does for a question, up to the figure that it hands to Gradio."""
    held.answered = answer(store, held, question)
    held.question = question
    to_fragment(drawing(held, "log"), "map-figure")


def _long_document(tokenizer: Any, tokens: int) -> Document:
    """The example paper over and over, of more than `tokens` tokens, on pages of an ordinary size."""
    text = EXAMPLE_TEXT.read_text(encoding="utf-8")
    text *= tokens // len(tokenizer(text, verbose=False).input_ids) + 1
    starts = range(0, len(text), PAGE_CHARACTERS)
    pages = [
        Page(number, start, min(start + PAGE_CHARACTERS, len(text))) for number, start in enumerate(starts, 1)
    ]
    return Document("long.md", "The example paper, repeated", text, tuple(pages), undivided(text), ())
