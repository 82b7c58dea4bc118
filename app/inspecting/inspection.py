"""What the attention tab of one page shows: the question its controls ask, the answer kept for it, its figure."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import plotly.graph_objects as go

from app.documents.page_numbers import page_list
from app.inspecting.figures import Scale, map_figure, pooling_note
from app.inspecting.inspector import LabelledMap, Outline, encoded_window
from app.inspecting.views import ALL_HEADS, VIEWS, Question
from app.models import ModelStore
from app.summarizing.summary import Summary
from longt5.maps import HeadStatistics

CLOSEST = 32  # tokens: nearer, there is nothing more to see
ZOOM = 6  # a click shows a window so many times smaller


@dataclass
class Inspection:
    """One window of a summary under inspection."""

    summary: Summary
    outline: Outline
    statistics: HeadStatistics
    question: Question
    labelled: LabelledMap | None = None
    """The answer to `question`."""


def within(outline: Outline, question: Question) -> Question:
    """The nearest question that has an answer: layers, heads and tokens that exist."""
    layers = VIEWS[question.view].layers(outline)
    start = min(max(question.start, 0), outline.tokens - 1)
    sentence = question.sentence
    if sentence not in outline.sentences and outline.sentences:
        sentence = outline.sentences[0]
    return replace(
        question,
        layer=min(max(question.layer, 0), layers - 1),
        head=min(max(question.head, ALL_HEADS), outline.heads - 1),
        sentence=sentence,
        start=start,
        count=min(max(question.count, 1), outline.tokens - start),
    )


def around(outline: Outline, question: Question, middle: int, count: int) -> Question:
    """The same question of `count` tokens around one, moved inwards at the ends of the text."""
    count = min(max(count, CLOSEST), outline.tokens)
    start = min(max(middle - count // 2, 0), outline.tokens - count)
    return replace(question, start=start, count=count)


def answer(
    store: ModelStore, held: Inspection, question: Question, stop: threading.Event | None = None
) -> LabelledMap:
    """The map that a question asks for.

    Raises:
        SummaryError: there is none, in one sentence.
        Stopped: `stop` was set.
    """
    with encoded_window(store, held.summary, question.window, stop) as window:
        return VIEWS[question.view].answer(window, question)


def title(question: Question) -> str:
    """What a map shows, in a few words."""
    view = VIEWS[question.view]
    head = "mean of all heads" if question.head == ALL_HEADS else f"head {question.head}"
    return f"{view.label} \u00b7 {view.stack} layer {question.layer}, {head}"


def shown_range(held: Inspection) -> str:
    """Which tokens and pages a map shows."""
    start, end = held.question.start, held.question.end
    pages = [page for page, first, last in held.outline.pages if first < end and last > start]
    where = f", {page_list(pages)}" if pages else ""
    return f"Tokens {start:,}\u2013{end - 1:,} of {held.outline.tokens:,}{where}"


def extent(held: Inspection) -> str:
    """Which tokens and pages the map shows, and how many of them share a cell."""
    assert held.labelled is not None
    note = pooling_note(held.labelled, VIEWS[held.question.view].sides, held.outline.global_block_size)
    return f"{shown_range(held)}. {note}".strip()


def figure(held: Inspection, scale: Scale) -> go.Figure:
    """The map as it is drawn."""
    assert held.labelled is not None
    sides = VIEWS[held.question.view].sides
    return map_figure(held.labelled, sides, title=title(held.question), subtitle=extent(held), scale=scale)
