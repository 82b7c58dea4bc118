"""Words that Tesseract saw on a page become lines as a PDF's text gives them, with the place of every character."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import median
from typing import NamedTuple

import numpy as np

from app.documents.page_characters import PageCharacters
from app.documents.page_lines import Line, Pages
from app.documents.text_cleaning import clean_characters

# What a letter reaches above and below the baseline, as a share of the type's size: Times, and near enough for others.
_X_HEIGHT, _TALL, _BRACKET = 0.45, 0.68, 0.76
_DEEP, _BRACKET_DEPTH, _COMMA_DEPTH = 0.21, 0.25, 0.14
_LOW_LETTERS = frozenset("acemnorsuvwxzgpqy.,:;-–—~+=<>")
_DEEP_LETTERS = frozenset("gjpqyQ")
_BRACKETS, _COMMAS = frozenset("()[]{}|"), frozenset(",;")
# Sizes are measured to a few per cent, from the few words of headings not as well: those that differ by less are one.
SIZE_NOISE, OTHER_SIZE_NOISE = 0.07, 0.12
# Strokes of bold type are a quarter heavier than those of the text around it; those of small type seem so.
BOLD_INK = 1.2
# At the ends of a line, dirt and rules are read as signs and words of few letters; of real ones Tesseract is surer ...
DOUBTFUL_SIGN, DOUBTFUL_WORD, FEW_LETTERS = 60.0, 50.0, 3
# ... and of lines that are text: formulas and pictures that were read as letters are below this, by character.
DOUBTFUL_LINE = 40.0


class Box(NamedTuple):
    """In pixels, from the upper left corner."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Word:
    """A word on the picture of a page."""

    line: int
    """Number of its line on the page."""
    box: Box
    ink: int
    """Dark pixels in the box."""
    confidence: float
    """0..100."""
    text: str


@dataclass(frozen=True)
class RecognizedPage:
    """The text of a page that was recognized on its picture."""

    lines: list[Line]
    characters: PageCharacters


def recognized_page(width: int, height: int, scale: float, words: Iterable[Word]) -> RecognizedPage:
    """A page from what was seen on its picture of `width` times `height` pixels, `scale` pixels a point.

    Args:
        words: in reading order. On a page that lies on its side, or on its head, their lines run that way.
    """
    cleaned = (replace(word, text=clean_characters(word.text)) for word in words)
    rows = [_without_dirt(list(row)) for _, row in groupby(cleaned, key=lambda word: word.line)]
    rows = [row for row in rows if row]
    turn = _turn(rows)
    upright = [[replace(word, box=_upright(word.box, turn, width, height)) for word in row] for row in rows]
    lines = _lines(upright, width if turn % 2 else height, scale)
    return RecognizedPage(lines, _characters(rows, turn, width, height))


def settle_sizes(pages: Pages) -> Pages:
    """The pages with sizes that differ by no more than the noise of measuring made one, as `body_style` wants them."""
    weights = Counter[float]()
    for page in pages:
        for line in page:
            weights[line.size] += len(line.text)
    settled: dict[float, float] = {}
    noise = SIZE_NOISE
    while weights:
        near = {size: [other for other in weights if abs(other - size) <= noise * size] for size in weights}
        heaviest = max(near, key=lambda size: sum(weights[other] for other in near[size]))
        for size in near[heaviest]:
            settled[size] = heaviest
            del weights[size]
        noise = OTHER_SIZE_NOISE
    return [[replace(line, size=settled[line.size]) for line in page] for page in pages]


def _without_dirt(row: list[Word]) -> list[Word]:
    """A line without what is no text at its ends; empty if all of it looks like none."""
    start, end = 0, len(row)
    while start < end and _is_dirt(row[start]):
        start += 1
    while start < end and _is_dirt(row[end - 1]):
        end -= 1
    row = [word for word in row[start:end] if word.text]
    characters = sum(len(word.text) for word in row)
    confidence = sum(len(word.text) * word.confidence for word in row)
    return row if confidence >= DOUBTFUL_LINE * characters else []


def _is_dirt(word: Word) -> bool:
    letters = sum(map(str.isalnum, word.text))
    return letters <= FEW_LETTERS and word.confidence < (DOUBTFUL_WORD if letters else DOUBTFUL_SIGN)


# ------------------------------------------------------------------------------------ pages on their side


def _turn(rows: list[list[Word]]) -> int:
    """Where most lines run: 0 to the right, 1 down the picture, 2 to the left, 3 up."""
    right = down = 0
    for row in rows:
        for first, second in pairwise(word.box for word in row):
            right += second.left + second.right - first.left - first.right
            down += second.top + second.bottom - first.top - first.bottom
    if abs(right) >= abs(down):
        return 0 if right >= 0 else 2
    return 1 if down > 0 else 3


def _upright(box: Box, turn: int, width: int, height: int) -> Box:
    """The box on a picture turned so that its lines run to the right."""
    left, top, right, bottom = box
    return (
        box,
        Box(top, width - right, bottom, width - left),
        Box(width - right, height - bottom, width - left, height - top),
        Box(height - bottom, left, height - top, right),
    )[turn]


def _characters(rows: list[list[Word]], turn: int, width: int, height: int) -> PageCharacters:
    """Every character with its share of its word's box; the spaces and line ends between words have no area."""
    text = ""
    boxes: list[Sequence[float]] = []
    for row in rows:
        for word in row:
            text += word.text + " "
            boxes += _shares(word.box, len(word.text), turn)
            boxes.append((0, 0, 0, 0))
        text = text[:-1] + "\n"
    fractions = np.array(boxes).reshape(-1, 4) / [width, height, width, height]
    return PageCharacters(text, fractions.astype(np.float32))


def _shares(box: Box, count: int, turn: int) -> list[Sequence[float]]:
    """A box cut into equal parts along its line, in reading order."""
    left, top, right, bottom = box
    start, end = (top, bottom) if turn % 2 else (left, right)
    edges = [start + (end - start) * number / count for number in range(count + 1)]
    parts: list[Sequence[float]] = [
        (left, first, right, second) if turn % 2 else (first, top, second, bottom)
        for first, second in pairwise(edges)
    ]
    return parts if turn < 2 else parts[::-1]


# --------------------------------------------------------------------------------------- size and weight


@dataclass(frozen=True)
class _Row:
    """A line as measured, in pixels."""

    text: str
    left: int
    size: float
    baseline: float
    """From the top."""
    weight: float
    """Ink on an area as wide as the words and as high as the size."""


def _lines(rows: list[list[Word]], height: int, scale: float) -> list[Line]:
    """The lines of an upright page, in points from its lower left corner."""
    measured = [_measured(row) for row in rows]
    sizes = [row.size for row in measured for _ in row.text]
    weights = [row.weight for row in measured for _ in row.text]
    return [
        Line(
            row.text,
            round(row.left / scale, 1),
            round((height - row.baseline) / scale, 1),
            round(row.size / scale, 1),
            bold=row.weight > BOLD_INK * median(weights) and row.size > (1 - SIZE_NOISE) * median(sizes),
        )
        for row in measured
    ]


def _measured(row: list[Word]) -> _Row:
    sizes: list[float] = []
    baselines: list[float] = []
    for word in row:
        above, below = _reach(word.text)
        size = (word.box.bottom - word.box.top) / (above + below)
        # Each letter counts, and those of words without any hardly do.
        count = max(1, 10 * sum(map(str.isalnum, word.text)))
        sizes += [size] * count
        baselines += [word.box.bottom - below * size] * count
    size = max(median(sizes), 1.0)
    length = sum(word.box.right - word.box.left for word in row)
    weight = sum(word.ink for word in row) / (max(length, 1) * size)
    return _Row(" ".join(word.text for word in row), row[0].box.left, size, median(baselines), weight)


def _reach(text: str) -> tuple[float, float]:
    """How far the letters of a word reach above and below their baseline, in sizes."""
    letters = set(text)
    if letters & _BRACKETS:
        return _BRACKET, _BRACKET_DEPTH
    above = _X_HEIGHT if letters <= _LOW_LETTERS else _TALL
    if letters & _DEEP_LETTERS:
        return above, _DEEP
    return above, _COMMA_DEPTH if letters & _COMMAS else 0.0
