"""What pages are set in: the usual size and font of their text, the usual distance and length of its lines."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from app.documents.page_lines import Line, Pages

# Headings and titles are larger than the text around them by this factor or more.
LARGER = 1.08
# Sizes that differ by less, in points, are one size: they come rounded from many a matrix product.
SAME_SIZE = 0.3
# Lines of fewer characters are labels, numbers or formulas, and say nothing of the column's width.
TEXT_LINE_CHARACTERS = 20
# So much of the text lines are no longer than a full one; what is longer spans two columns.
FULL_LINE_QUANTILE = 0.7


@dataclass(frozen=True)
class Style:
    """A size in points and a font; both empty where there is no layout."""

    size: float
    font: str


@dataclass(frozen=True)
class PageStyle:
    """What rules about the lines of one page are measured against."""

    body: Style
    """Of the whole document's text."""
    spacing: float
    """The usual distance between two lines of a paragraph, in points; 0 if the page has no layout."""
    width: float
    """Characters in a full line."""


def body_style(pages: Pages) -> Style:
    """What most characters are set in."""
    styles: Counter[tuple[float, str]] = Counter()
    for page in pages:
        for line in page:
            styles[line.size, line.font] += len(line.text)
    # Lines of several fonts say nothing about the usual one.
    named = [style for style in styles if style[1]] or list(styles)
    return Style(*max(named, key=lambda style: styles[style])) if named else Style(0.0, "")


def page_style(page: list[Line], body: Style) -> PageStyle:
    """The style of a page in a document whose `body_style` is `body`."""
    return PageStyle(body, line_spacing(page), _usual_width(page))


def line_spacing(page: list[Line]) -> float:
    """The usual distance between two lines of a paragraph, in points; 0 if the page has no layout."""
    by_size: defaultdict[float, list[float]] = defaultdict(list)
    for first, second in pairwise(page):
        down = first.y - second.y
        # Four lines down is another paragraph, up is another column.
        if 0 < down < 4 * max(first.size, 1) and abs(first.size - second.size) < SAME_SIZE:
            by_size[second.size].append(down)
    if not by_size:
        return 0.0
    usual = max(by_size, key=lambda size: len(by_size[size]))
    return median(by_size[usual])


def _usual_width(page: list[Line]) -> float:
    """A full line's length in characters: most lines of running text come near it."""
    lengths = sorted(len(line.text) for line in page if len(line.text) > TEXT_LINE_CHARACTERS)
    return lengths[int(FULL_LINE_QUANTILE * len(lengths))] if lengths else 0.0
