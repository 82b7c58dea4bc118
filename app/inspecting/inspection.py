"""What the attention tab of one page shows: the question its controls ask, and the answer kept for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from app.inspecting import inspector

if TYPE_CHECKING:
    import threading

    from app.inspecting.inspector import LabelledMap, Outline
    from app.models import ModelStore
    from app.summarizing.summary import Summary
    from longt5.maps import HeadStatistics

ALL_HEADS = -1
CLOSEST = 32  # tokens: nearer, there is nothing more to see
ZOOM = 6  # a click shows a window so many times smaller

View = Literal["band", "global", "cross"]


@dataclass(frozen=True)
class Question:
    """Which attention to show.

    Attributes:
        window: index into `Summary.windows`.
        head: ALL_HEADS for the mean of all.
        sentence: index into `Summary.sentences`; of the cross-attention only.
        start: first token of the paper that is shown.
        count: how many tokens from there.
    """

    window: int
    view: View
    layer: int
    head: int
    sentence: int
    start: int
    count: int


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
    layers = outline.decoder_layers if question.view == "cross" else outline.encoder_layers
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
    heads = tuple(range(held.outline.heads)) if question.head == ALL_HEADS else (question.head,)
    start, end = question.start, question.start + question.count
    if question.view == "cross":
        return inspector.cross(
            store, held.summary, question.sentence, question.layer, heads, start, end, stop
        )
    ask = inspector.band if question.view == "band" else inspector.globals_
    return ask(store, held.summary, question.window, question.layer, heads, start, end, stop)


def title(question: Question) -> str:
    """What a map shows, in a few words."""
    what = {"band": "Local band", "global": "Global blocks", "cross": "Cross-attention"}[question.view]
    stack = "decoder" if question.view == "cross" else "encoder"
    head = "mean of all heads" if question.head == ALL_HEADS else f"head {question.head}"
    return f"{what} \u00b7 {stack} layer {question.layer}, {head}"


def place(held: Inspection) -> str:
    """Which tokens and pages a map shows."""
    start, end = held.question.start, held.question.start + held.question.count
    pages = [page for page, first, last in held.outline.pages if first < end and last > start]
    where = ""
    if pages:
        where = f", page {pages[0]}" if len(pages) == 1 else f", pages {pages[0]}\u2013{pages[-1]}"
    return f"Tokens {start:,}\u2013{end - 1:,} of {held.outline.tokens:,}{where}"
