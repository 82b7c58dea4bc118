"""The order in which the pieces of a page are read: columns from left to right, each from the top down.

The page is cut into bands from the top down, as long as some white strip runs through all rows of a band; a band with
text on both sides of such a strip has columns, which are ordered in the same way, one after the other.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from app.pdf_text.rows import Segment

# A white strip between columns is this many type sizes wide; in a band of few rows, more.
GUTTER, WIDE_GUTTER = 0.7, 1.2
FEW_ROWS = 6
# Text of a column is at least this many type sizes wide in most of its rows; narrower are cells and labels.
COLUMN_WIDTH = 7.0
LEAST_ROWS = 3
# Type of notes in the margin is smaller than this against the text.
NOTE_SIZE = 0.93
# Or so few of their baselines are those of the text beside them.
SHARED_ROWS = 0.5
# A row with more white space below it than this many type sizes is no row of the columns there.
HEAD_DISTANCE = 0.8
# Title, heads and feet may reach into the margin.
MOST_ROWS_IN_MARGIN = 4
DEEPEST = 8

Interval = tuple[float, float]


@dataclass
class Order:
    """What is read of a page: lines, each of its pieces from left to right."""

    page: list[Segment]
    """All pieces of the page."""
    lines: list[list[Segment]] = field(default_factory=list)
    """In reading order."""
    notes: list[list[Segment]] = field(default_factory=list)
    """Those of notes in the margin."""


def reading_order(segments: list[Segment]) -> Order:
    """The lines of a page whose pieces are `segments`."""
    order = Order(segments)
    _read(segments, order, DEEPEST)
    return order


def _read(segments: list[Segment], order: Order, depth: int) -> None:
    for band in _bands(segments):
        columns = _columns(band, order) if depth else [band]
        if len(columns) == 1:
            order.lines += _lines(columns[0])
        else:
            for column in columns:
                _read(column, order, depth - 1)


def _lines(segments: list[Segment]) -> list[list[Segment]]:
    rows: defaultdict[int, list[Segment]] = defaultdict(list)
    for segment in segments:
        rows[segment.row].append(segment)
    return [sorted(rows[row], key=lambda segment: segment.start) for row in sorted(rows)]


def _bands(segments: list[Segment]) -> list[list[Segment]]:
    """From the top down, as many rows at a time as leave a white strip open between them."""
    if not segments:
        return []
    everywhere = (min(segment.start for segment in segments), max(segment.end for segment in segments))
    bands: list[list[Segment]] = []
    free = [everywhere]
    parted = False
    for slab in _slabs(segments):
        still_free = _free_strips(free, slab)
        # A head stands by itself: it crosses the strip between the columns below.
        near = bool(bands) and (parted or _distance(bands[-1], slab) < HEAD_DISTANCE)
        if near and _has_inner(still_free, bands[-1] + slab):
            parted = True
        elif parted or not near or _has_inner(_free_strips([everywhere], slab), slab):
            bands.append([])
            still_free = _free_strips([everywhere], slab)
            parted = _has_inner(still_free, slab)
        bands[-1] += slab
        free = still_free
    return bands


def _distance(above: list[Segment], below: list[Segment]) -> float:
    """The white space from pieces down to others, in type sizes of the latter."""
    space = min(segment.bottom for segment in above) - max(segment.top for segment in below)
    return space / max(segment.size for segment in below)


def _has_inner(strips: list[Interval], segments: list[Segment]) -> bool:
    """Whether one of the white strips has some of the pieces on both its sides."""
    if not strips:
        return False
    start, end = min(segment.start for segment in segments), max(segment.end for segment in segments)
    return any(left > start and right < end for left, right in strips)


def _slabs(segments: list[Segment]) -> list[list[Segment]]:
    """Pieces that overlap in height, from the top down."""
    slabs: list[list[Segment]] = []
    bottom = math.inf
    for segment in sorted(segments, key=lambda segment: -segment.top):
        if slabs and segment.top > bottom:
            slabs[-1].append(segment)
            bottom = min(bottom, segment.bottom)
        else:
            slabs.append([segment])
            bottom = segment.bottom
    return slabs


def _free_strips(free: list[Interval], segments: list[Segment]) -> list[Interval]:
    """What pieces leave of white strips."""
    narrow = GUTTER * median(segment.size for segment in segments)
    for segment in segments:
        if not free:
            break
        parts = []
        for left, right in free:
            if segment.end <= left or segment.start >= right:
                parts.append((left, right))
                continue
            if segment.start - left >= narrow:
                parts.append((left, segment.start))
            if right - segment.end >= narrow:
                parts.append((segment.end, right))
        free = parts
    return free


def _columns(band: list[Segment], order: Order) -> list[list[Segment]]:
    """The columns of a band, from left to right; the whole band if it has none. Notes beside them go to `order`."""
    whole = (min(segment.start for segment in band), max(segment.end for segment in band))
    columns = [band]
    for left, right in _free_strips([whole], band):
        middle = (left + right) / 2
        last = columns[-1]
        before = [segment for segment in last if segment.end <= middle]
        after = [segment for segment in last if segment.end > middle]
        if not before or not after or not _are_apart(before, after, right - left):
            continue
        if _are_wide(before) and _are_wide(after):
            columns[-1:] = [before, after]
        elif _are_notes(before, after, order.page):
            order.notes += _lines(before)
            columns[-1] = after
        elif _are_notes(after, before, order.page):
            order.notes += _lines(after)
            columns[-1] = before
    return columns


def _are_apart(before: list[Segment], after: list[Segment], gutter: float) -> bool:
    """Whether a white strip is wide enough, and runs through enough rows, to part what stands on its sides."""
    few, many = sorted((len(_rows(before)), len(_rows(after))))
    if many < LEAST_ROWS or few < 2:
        return False
    return many >= FEW_ROWS or gutter >= WIDE_GUTTER * median(segment.size for segment in before + after)


def _are_wide(side: list[Segment]) -> bool:
    """Whether most rows are as wide as those of a column of text; narrower ones are cells, labels and notes."""
    return median(_rows(side).values()) >= COLUMN_WIDTH * median(segment.size for segment in side)


def _rows(segments: list[Segment]) -> dict[int, float]:
    """The width of the glyphs of each row."""
    widths: defaultdict[int, float] = defaultdict(float)
    for segment in segments:
        widths[segment.row] += segment.width
    return widths


def _are_notes(side: list[Segment], text: list[Segment], page: list[Segment]) -> bool:
    """Whether a narrow side holds notes beside a text: words in smaller type, or on lines of their own.

    They stand in a margin, where nothing else on the page does but heads and feet.
    """
    own, others = _rows(side), _rows(text)
    size = median(segment.size for segment in text)
    if median(others.values()) < 2 * COLUMN_WIDTH * size:
        return False
    letters = [glyph.letters for segment in side for run in segment.runs for glyph in run.glyphs]
    if sum(letter.isalpha() for letter in letters) < 0.5 * len(letters):
        return False
    left, right = min(segment.start for segment in side), max(segment.end for segment in side)
    beside = {segment.row for segment in page if segment.end > left and segment.start < right}
    body = {segment.row for segment in page if segment.size >= NOTE_SIZE * size}
    if len((beside - own.keys()) & body) > MOST_ROWS_IN_MARGIN:
        return False
    smaller = median(segment.size for segment in side) < NOTE_SIZE * size
    return smaller or sum(row in others for row in own) < SHARED_ROWS * len(own)
