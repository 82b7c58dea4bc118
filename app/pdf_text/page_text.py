"""A page becomes lines in reading order, with what is left out of them told apart."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from app.pdf_text.columns import reading_order
from app.pdf_text.drawing import Drawing, FontCache, Run, draw
from app.pdf_text.rows import Segment, row_text, segments, without_overprints

# Bold faces as fonts are really named: Times-Bold, NimbusRomNo9L-Medi, CMBX10, AdvOT3b30f6db.B, Arial-Black.
BOLD_FONT = re.compile(r"bold|black|heavy|demi|medi(?![a-z])|cmbx|cmssbx|sfbx|\.b$", re.IGNORECASE)
# A line is bold, or in a font, if this much of it is.
PURE = 0.9
# Text turned against most of its page is a margin stamp or an axis label as long as there is little of it.
MINORITY = 0.1
# Pictures that cover this much of a page make it a scan, whose invisible text is what was recognised on it.
SCAN = 0.5
# Notes come to less than this against the text beside them.
MOST_NOTES = 0.3


@dataclass(frozen=True)
class TextLine:
    """A line as it stands on the page."""

    text: str
    x: float
    y: float
    size: float
    bold: bool
    font: str
    """Its name; empty where the line has several."""


@dataclass(frozen=True)
class PageText:
    """What was read of a page."""

    lines: list[TextLine]
    hidden: int
    """Letters that are left out because nobody can see them."""
    notes: int
    """Letters of notes in the margin, which are left out too: they would stand in the middle of sentences."""
    cut: bool
    """Whether there were more characters than a page may have."""


def read_page(page: Any, fonts: FontCache, most_characters: int) -> PageText:
    """Reads a page (of pypdf); `fonts` is kept from page to page.

    Raises:
        whatever pypdf raises at damaged and at hostile pages.
    """
    drawing = draw(page, fonts, most_characters)
    runs, hidden = _visible(drawing)
    runs = without_overprints(runs)
    lines: list[TextLine] = []
    notes: list[TextLine] = []
    for turn in _main_turns(runs):
        order = reading_order(segments([run for run in runs if run.turn == turn]))
        lines += map(_line, order.lines)
        notes += map(_line, order.notes)
    noted = sum(len(line.text) for line in notes)
    if noted > MOST_NOTES * sum(len(line.text) for line in lines):
        return PageText(lines + notes, hidden, 0, drawing.cut)
    return PageText(lines, hidden, noted, drawing.cut)


def _visible(drawing: Drawing) -> tuple[list[Run], int]:
    """The runs that are read, and how many letters are hidden among the others."""
    if drawing.image_area >= SCAN * drawing.page_area:
        return drawing.runs, 0
    hidden = sum(_letters(run) for run in drawing.runs if run.hidden)
    return [run for run in drawing.runs if not run.hidden], hidden


def _letters(run: Run) -> int:
    return sum(len(glyph.letters) for glyph in run.glyphs)


def _main_turns(runs: list[Run]) -> list[int]:
    """Quarter turns, without those of the few letters that run against the page."""
    lengths: Counter[int] = Counter()
    for run in runs:
        lengths[run.turn] += _letters(run)
    # Slanted text is a stamp, unless the whole page lies aslant.
    most = sum(lengths.values())
    return [
        turn
        for turn in sorted(lengths)
        if lengths[turn] >= MINORITY * most and (turn < 4 or lengths[turn] > 0.5 * most)
    ]


def _line(pieces: list[Segment]) -> TextLine:
    runs = sorted((run for piece in pieces for run in piece.runs), key=lambda run: run.start)
    sizes: Counter[float] = Counter()
    fonts: Counter[str] = Counter()
    for run in runs:
        letters = _letters(run)
        sizes[round(run.size, 1)] += letters
        fonts[run.font] += letters
    visible = sum(fonts.values())
    size = max(sizes, key=lambda size: sizes[size])
    bold = sum(count for name, count in fonts.items() if BOLD_FONT.search(name)) >= PURE * visible
    font = next((name for name, count in fonts.items() if count >= PURE * visible), "")
    first = max(pieces, key=lambda piece: piece.size)
    return TextLine(row_text(runs), round(runs[0].start, 1), round(first.y, 1), size, bold, font)
