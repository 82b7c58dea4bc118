"""What will be read of a document and what will be written about it, before any of it is done."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from app.documents import Document, Section
from app.documents.page_numbers import page_list, pages_of
from app.summarizing.progress import WRITING_COST
from app.summarizing.settings import LENGTHS, TOKENS_PER_WORD, SummaryError, SummarySettings
from app.summarizing.windows import TokenizedText, Window, shorten, tokenize, truncate, windows_at_sections

# The setting that has a kind of section read which is not the paper itself.
INCLUDING = {
    "front": "include_front_and_back",
    "references": "include_references",
    "back": "include_front_and_back",
}
CHARACTERS_PER_TOKEN = 4.5  # about, in English
# Less than two sentences: a summary would be longer, and made up.
LEAST_TOKENS = 24
# Words about each part of a paper that is read in parts: enough for the second pass to choose from.
PART_WORDS = 120
# Words about a section: a word for so many tokens of it, within these bounds; about one to three sentences.
TOKENS_PER_SECTION_WORD = 25
SECTION_WORDS = (22, 45)
# Shorter ones, as a heading with a line or two, are as quickly read themselves.
LEAST_SECTION_TOKENS = 150
# What a paper says of itself in short needs no summary of its own.
_SELF_SUMMARY = re.compile(
    r"\W*(?:\d+\W+)?(?:abstract|summary|synopsis|highlights|key ?words|zusammenfassung|résumé)\W*", re.I
)


Kind: TypeAlias = Literal["summary", "part", "section"]


@dataclass(frozen=True)
class Piece:
    """Something to be written about a stretch of a window."""

    kind: Kind
    name: str
    """What the stretch is, in words."""
    start: int
    end: int
    """Half-open range of the plan's `text`."""
    words: int | None
    """How long it is to be; None leaves that to the model."""
    max_tokens: int
    """The most that is quoted, or written at the usual length."""
    heading: str = ""
    """Of the section, as printed."""
    position: int = 0
    """Where the section begins in `Document.text`."""


@dataclass(frozen=True)
class PlannedWindow:
    """What is read at once, and what is written about it."""

    window: Window
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Plan:
    """What will be read and written. Positions of tokens are those of `text`."""

    whole: TokenizedText
    """All that belongs to the paper."""
    text: TokenizedText
    """What is read of it."""
    windows: tuple[PlannedWindow, ...]
    merged: Piece | None
    """The summary of the parts' summaries, where the paper is read in parts."""
    surroundings: int
    """Tokens of what surrounds the paper and is not read: references, front and back matter."""


def make_plan(
    document: Document,
    settings: SummarySettings,
    tokenizer: Any,
    prefix_tokens: int,
    stop: threading.Event | None = None,
) -> Plan:
    """Divides a document into windows, and says what is written about each.

    Raises:
        SummaryError: there is no text in it, or too little.
        app.work.Stopped: `stop` was set.
    """
    ranges = ranges_to_read(document, settings)
    whole = tokenize(tokenizer, document, ranges, stop)
    if not len(whole):
        raise SummaryError(f"There is no text to summarize in {document.name}.")
    if len(whole) < LEAST_TOKENS:
        raise SummaryError(f"There is too little text to summarize in {document.name}: choose a longer one.")
    room = settings.max_input_tokens - prefix_tokens - 1
    text = shorten(whole, room) if settings.long_papers == "beginning and end" else whole
    sections = _token_ranges(document, text)
    if settings.long_papers == "windows":
        windows = windows_at_sections(text, room, [start for _, start, _ in sections])
    else:
        windows = truncate(text, room)
    words_read = sum(len(document.text[start:end].split()) for start, end in ranges)

    def piece(kind: Kind, name: str, window: Window, words: int | None) -> Piece:
        most = _most_tokens(words, settings, whole, words_read)
        return Piece(kind, name, window.start, window.end, words, most)

    words = LENGTHS.get(settings.length)
    planned = []
    for window in windows:
        if len(windows) == 1:
            first = piece("summary", "the paper", window, words)
        else:  # no more about a part than about the whole
            name = page_list(pages_of(document, text.offsets[window.start : window.end]))
            first = piece("part", name, window, min(PART_WORDS, round(settings.words)))
        about_sections = _section_pieces(window, sections) if settings.sections else ()
        planned.append(PlannedWindow(window, (first, *about_sections)))
    merged = piece("summary", "the parts’ summaries", Window(0, 0), words) if len(windows) > 1 else None
    others = [(part.start, part.end) for part in document.sections if (part.start, part.end) not in ranges]
    return Plan(
        whole,
        text,
        tuple(planned),
        merged,
        surroundings=len(tokenize(tokenizer, document, others, stop)),
    )


def ranges_to_read(document: Document, settings: SummarySettings) -> list[tuple[int, int]]:
    """Ranges of `document.text` that belong to the paper, or that the settings put back."""
    kinds = {"body", *(kind for kind, setting in INCLUDING.items() if getattr(settings, setting))}
    return [
        (part.start, part.end) for part in document.sections if part.kind in kinds and part.start < part.end
    ]


def estimated_cost(document: Document, settings: SummarySettings) -> float:
    """What a summary is going to cost, in tokens read, before there is a tokenizer to count them."""
    ranges = ranges_to_read(document, settings)
    tokens = max(1.0, sum(end - start for start, end in ranges) / CHARACTERS_PER_TOKEN)
    share = 1.0 if settings.long_papers == "windows" else min(1.0, settings.max_input_tokens / tokens)
    windows = math.ceil(share * tokens / settings.max_input_tokens)
    words = settings.words
    if windows > 1:
        words += windows * min(PART_WORDS, settings.words)
    if settings.sections:
        lengths = [(one.end - one.start) / CHARACTERS_PER_TOKEN for one in document.sections if one.heading]
        words += share * sum(_section_words(length) for length in lengths if length >= LEAST_SECTION_TOKENS)
    return share * tokens + WRITING_COST * TOKENS_PER_WORD * words


def _token_ranges(document: Document, text: TokenizedText) -> list[tuple[Section, int, int]]:
    """The sections with a heading that are read, each with its half-open range of tokens.

    A section that something else interrupts, as a footnote, goes on after it.
    """
    found: list[tuple[Section, int, int]] = []
    for section in document.sections:
        start, end = np.searchsorted(text.offsets[:, 0], [section.start, section.end]).tolist()
        if section.heading and section.kind == "body":
            found.append((section, start, end))
        elif section.kind == "body" and found:
            found[-1] = (found[-1][0], found[-1][1], end)
    return [one for one in found if one[1] < one[2]]


def _section_pieces(window: Window, sections: Sequence[tuple[Section, int, int]]) -> Iterator[Piece]:
    """What is to be written about the sections in a window; one that goes on in the next is in both."""
    for section, first, after in sections:
        start, end = max(first, window.start), min(after, window.end)
        if end - start < LEAST_SECTION_TOKENS or _SELF_SUMMARY.fullmatch(section.heading):
            continue
        words = _section_words(end - start)
        tokens = round(words * TOKENS_PER_WORD)
        yield Piece("section", section.heading, start, end, words, tokens, section.heading, section.start)


def _section_words(tokens: float) -> int:
    """About how many words are written about a section of so many tokens."""
    least, most = SECTION_WORDS
    return min(max(least, round(tokens / TOKENS_PER_SECTION_WORD)), most)


def _most_tokens(words: int | None, settings: SummarySettings, text: TokenizedText, words_read: int) -> int:
    """How many tokens so many words of a text have, about; None are as many as the model's usual summary may have."""
    if words is None:
        return settings.max_new_tokens
    tokens = words * len(text) / max(1, words_read)
    if settings.writing == "quotes":  # a sentence more: as many are kept as come nearest to the length
        tokens += len(text) / len(text.sentence_starts)
    return round(tokens)
