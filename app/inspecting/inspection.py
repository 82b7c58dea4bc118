"""What the attention tab of one page shows: the question its controls ask, the answer kept for it, its drawing."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from app.documents.page_numbers import page_list
from app.inspecting.drawing import Drawing, Heatmap, Panel, Scale
from app.inspecting.figures import difference
from app.inspecting.inspector import Outline, encoded_window, gpu_seconds
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY, Question
from app.inspecting.views import VIEWS, Answer
from app.models import ModelStore
from app.summarizing.summary import Summary

CLOSEST = 32  # tokens: nearer, there is nothing more to see
ZOOM = 6  # a click shows a window so many times smaller
PAGE_OF_WORDS = 480  # tokens that the text shows at once
CAUTION = (
    "Attention shows where a model took information from in one step, not why it wrote what it wrote: "
    "attention is not an explanation."
)


@dataclass(frozen=True)
class Pinned:
    """A map that stays beside the ones that are asked for after it."""

    title: str
    panel: Heatmap


@dataclass
class Inspection:
    """One window of a summary under inspection."""

    summary: Summary
    outline: Outline
    overviews: dict[str, Any]
    """By stack, as far as they were asked for, and what else several answers need (`EncodedWindow.kept`)."""
    question: Question
    answered: Answer | None = None
    """The answer to `question`."""
    pinned: Pinned | None = field(default=None)


def first_question(outline: Outline, window: int = 0) -> Question:
    """What an inspection begins with: all heads at a glance."""
    asked = Question(window, next(iter(VIEWS)), 0, 0, WHOLE_SUMMARY, 0, outline.tokens)
    return within(outline, asked)


def within(outline: Outline, question: Question) -> Question:
    """The nearest question that has an answer: a view, layers, heads, sentences and tokens that exist."""
    view = VIEWS.get(question.view)
    if view is None or not view.exists(outline):
        view = next(iter(VIEWS.values()))
    start = min(max(question.start, 0), outline.tokens - 1)
    options = [name for _, name in view.options]
    return replace(
        question,
        view=view.name,
        layer=min(max(question.layer, 0), view.layers(outline) - 1),
        head=min(max(question.head, ALL_HEADS), outline.heads - 1),
        sentence=question.sentence if question.sentence in outline.sentences else WHOLE_SUMMARY,
        start=start,
        count=min(max(question.count, 1), outline.tokens - start),
        option=question.option if question.option in options else options[0],
    )


def around(outline: Outline, question: Question, middle: int, count: int) -> Question:
    """The same question of `count` tokens around one, moved inwards at the ends of the text."""
    count = min(max(count, CLOSEST), outline.tokens)
    start = min(max(middle - count // 2, 0), outline.tokens - count)
    return replace(question, start=start, count=count)


def answer(
    store: ModelStore,
    held: Inspection,
    question: Question,
    stop: threading.Event | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Answer:
    """What a question is answered with.

    Args:
        progress: told how much of an answer that takes long is done.
    Raises:
        SummaryError: there is no answer, in one sentence.
        Stopped: `stop` was set.
    """
    summary, kept = held.summary, held.overviews
    if store.gpu is None:
        return _answer(store, progress, stop, summary, question, kept)
    seconds = gpu_seconds(summary, question.window)
    found, made = store.gpu.call(
        _answer_on_gpu, summary, question, kept, seconds=seconds, report=progress, stop=stop
    )
    kept.update(made)
    return found


def _answer(
    store: ModelStore,
    progress: Callable[[float], None],
    stop: threading.Event | None,
    summary: Summary,
    question: Question,
    kept: dict[str, Any],
) -> Answer:
    with encoded_window(store, summary, question.window, stop, kept, progress) as window:
        return VIEWS[question.view].answer(window, question)


def _answer_on_gpu(
    store: ModelStore,
    progress: Callable[[float], None],
    stop: threading.Event,
    summary: Summary,
    question: Question,
    kept: dict[str, Any],
) -> tuple[Answer, dict[str, Any]]:
    """In a process that was lent a GPU; with all that is kept now."""
    return _answer(store, progress, stop, summary, question, kept), kept


def title(question: Question) -> str:
    """What a figure shows, in a few words."""
    view = VIEWS[question.view]
    option = next((text for text, name in view.options if name == question.option), "")
    parts = [view.label + (f" ({option})" if option else "")]
    if "layer" in view.controls:
        head = "mean of all heads" if question.head == ALL_HEADS else f"head {question.head}"
        parts.append(f"{view.stack} layer {question.layer}, {head}")
    return " \u00b7 ".join(parts)


def shown_range(held: Inspection) -> str:
    """Which tokens, pages and sentence a figure shows; empty where it is of the whole text."""
    asked, view, parts = held.question, VIEWS[held.question.view], []
    if "range" in view.controls:
        pages = [page for page, first, last in held.outline.pages if first < asked.end and last > asked.start]
        where = f", {page_list(pages)}" if pages else ""
        parts.append(f"Tokens {asked.start:,}\u2013{asked.end - 1:,} of {held.outline.tokens:,}{where}")
    if "sentence" in view.controls:
        whole = asked.sentence == WHOLE_SUMMARY
        parts.append("All of the summary" if whole else f"Sentence {asked.sentence + 1} of the summary")
    return ". ".join(parts)


def extent(held: Inspection) -> str:
    """Which part a figure shows, and how many tokens share a cell."""
    assert held.answered is not None
    return " ".join(f"{part}." for part in (shown_range(held), held.answered.note.rstrip(".")) if part)


def drawing(held: Inspection, scale: Scale) -> Drawing:
    """The figure of the answer, beside the pinned one where there is one."""
    assert held.answered is not None
    view, document = VIEWS[held.question.view], held.summary.document
    model = held.summary.settings.model
    caption = " ".join(
        part
        for part in (
            f"{title(held.question)}.",
            extent(held),
            f"\u201c{document.title or document.name}\u201d read by {model}.",
            view.caption,
            f"Defined in {view.source}. {CAUTION}",
        )
        if part
    )
    return Drawing(title(held.question), held.answered.says, caption, _panels(held), scale)


def _panels(held: Inspection) -> tuple[Panel, ...]:
    """The answer's panels; of a heat map beside a pinned one both, and their difference if they have the same sides."""
    assert held.answered is not None
    panels = held.answered.panels
    if held.pinned is None or not isinstance(panels[0], Heatmap):
        return panels
    left = replace(held.pinned.panel, title=held.pinned.title)
    right = replace(panels[0], title=title(held.question))
    gap = difference(left, right)
    return (left, right) if gap is None else (left, right, gap)


def pin(held: Inspection) -> None:
    """Keeps the map that is shown beside those that are asked for after it; a second time lets it go."""
    panel = held.answered.panels[0] if held.answered else None
    if held.pinned is not None:
        held.pinned = None
    elif isinstance(panel, Heatmap):
        held.pinned = Pinned(f"{title(held.question)} \u00b7 {held.summary.settings.model}", panel)


def file_arrays(held: Inspection) -> dict[str, np.ndarray]:
    """The numbers of the answer, with the exact question, the paper and the model."""
    assert held.answered is not None
    about = {
        "question": held.question.to_json(),
        "paper": held.summary.document.title or held.summary.document.name,
        "model": held.summary.settings.model,
        "says": held.answered.says,
    }
    return {**held.answered.arrays, **{name: np.array(text) for name, text in about.items()}}


def file_stem(held: Inspection) -> str:
    """Name of a file without its ending: paper, model, view, layer and head."""
    asked, view = held.question, VIEWS[held.question.view]
    model = held.summary.settings.model.rsplit("/", 1)[-1]
    parts = [Path(held.summary.document.name).stem or "paper", model, asked.view]
    parts += [asked.option] if asked.option else []
    if "layer" in view.controls:
        parts += [f"layer{asked.layer}", "all-heads" if asked.head == ALL_HEADS else f"head{asked.head}"]
    if "range" in view.controls:
        parts.append(f"tokens{asked.start}-{asked.end - 1}")
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-.")
