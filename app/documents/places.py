"""Where a passage of the text stands on the images of the pages, and what of the text stands at a point of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from app.documents.document import Document, Page
from app.documents.page_characters import Boxes, PageCharacters
from app.documents.text_alignment import Alignment, Integers, align, fold, letters_of

Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom as fractions of the page's image, from its upper left corner."""

# Fewer of a passage's letters and digits than this share are no place to lead anybody to.
FOUND_SHARE = 0.3
# Letters of a line stand closer than this many times their width.
SPACE = 4.0
# A point this far from a letter, in fractions of the page, still means it.
NEAR = 0.02

CharactersOf = Callable[[int], PageCharacters | None]
"""The characters of a page by its number, None where they are not known."""


@dataclass(frozen=True)
class Place:
    """Where a passage, or the part of it that one page holds, stands."""

    page: int
    """From 1."""
    rectangles: tuple[Rectangle, ...]
    """One for each line of text, in reading order."""
    exact: bool
    """Whether every letter and digit of it was found, not only some of them."""


def find_places(document: Document, start: int, end: int, characters_of: CharactersOf) -> tuple[Place, ...]:
    """The places of `document.text[start:end]`, one for each page that holds a part of it.

    A page whose characters are not known, or do not show the passage, has none.
    """
    places = []
    for page in document.pages:
        first, last = max(start, page.start), min(end, page.end)
        if first >= last:
            continue
        characters = characters_of(page.number)
        place = characters and _find_on_page(document, page, first, last, characters)
        if place:
            places.append(place)
    return tuple(places)


def position_at(document: Document, page: int, x: float, y: float, characters: PageCharacters) -> int | None:
    """The position in `document.text` of what stands at a point of a page's image.

    Args:
        x: from the left edge, as a fraction of the width.
        y: from the upper edge, as a fraction of the height.

    Returns:
        None where nothing stands, or nothing that became part of the text (a page number, a figure).
    """
    character = _character_at(characters.boxes, x, y)
    if character is None or not 1 <= page <= len(document.pages):
        return None
    owner = document.pages[page - 1]
    alignment = _aligned(document, owner, characters)
    letters = np.flatnonzero(alignment.to_other >= 0)
    if not len(letters):
        return None
    # A sign belongs to the letter beside it; of two to the one before.
    distances = alignment.other.origins[alignment.to_other[letters]] - character
    nearest = int(np.argmin(np.abs(distances) + 0.5 * (distances > 0)))
    box = characters.boxes[character + distances[nearest]]
    if _distances(box[None], x, y)[0] > NEAR:
        return None
    return owner.start + int(alignment.text.origins[letters[nearest]])


_ALIGNMENTS: WeakKeyDictionary[PageCharacters, tuple[str, Alignment]] = WeakKeyDictionary()
"""With the text of the page; kept as long as somebody keeps the characters."""


def _aligned(document: Document, page: Page, characters: PageCharacters) -> Alignment:
    text = document.text[page.start : page.end]
    known_text, alignment = _ALIGNMENTS.get(characters, (None, None))
    if alignment is None or known_text != text:
        alignment = align(fold(text), fold(characters.text))
        _ALIGNMENTS[characters] = text, alignment
    return alignment


def _find_on_page(
    document: Document, page: Page, start: int, end: int, characters: PageCharacters
) -> Place | None:
    alignment = _aligned(document, page, characters)
    origins = alignment.text.origins
    first, last = np.searchsorted(origins, [start - page.start, end - page.start])
    letters = alignment.to_other[first:last]
    found = letters[letters >= 0]
    if not len(found) or len(found) < FOUND_SHARE * len(letters):
        return None
    signs_before = int(origins[first]) - (start - page.start)
    signs_after = end - page.start - int(origins[last - 1]) - 1
    shown = _with_signs(characters.text, alignment.other.origins, found, signs_before, signs_after)
    rectangles = _rectangles(characters.boxes[shown])
    return Place(page.number, rectangles, len(found) == len(letters)) if rectangles else None


def _with_signs(text: str, origins: Integers, found: Integers, before: int, after: int) -> Integers:
    """The characters of a page that show found letters, and the signs and spaces between and around those.

    Args:
        origins: of the page's letters in its text.
        found: letters of the page, in the order of the passage.
        before: how many signs the passage has before its first letter.
        after: and behind its last one.
    """
    breaks = np.flatnonzero(np.diff(found) != 1) + 1
    runs = [[int(origins[run[0]]), int(origins[run[-1]]) + 1] for run in np.split(found, breaks)]
    while before and runs[0][0] and _is_sign(text[runs[0][0] - 1]):
        before, runs[0][0] = before - 1, runs[0][0] - 1
    while after and runs[-1][1] < len(text) and _is_sign(text[runs[-1][1]]):
        after, runs[-1][1] = after - 1, runs[-1][1] + 1
    return np.concatenate([np.arange(start, end) for start, end in runs])


def _is_sign(character: str) -> bool:
    return not character.isspace() and not letters_of(character)


def _rectangles(boxes: Boxes) -> tuple[Rectangle, ...]:
    """One rectangle around the characters of each line, in the order of the characters."""
    boxes = boxes[(boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])]
    if not len(boxes):
        return ()
    # Text that runs up or down the page is looked at from its side.
    steps = np.abs(np.diff(boxes[:, :2], axis=0))
    turned = len(steps) > 0 and np.median(steps[:, 0]) < np.median(steps[:, 1])
    if turned:
        boxes = boxes[:, [1, 0, 3, 2]]
    space = SPACE * float(np.median(boxes[:, 2] - boxes[:, 0]))
    lines: list[list[float]] = []
    for box in boxes.tolist():
        if lines and _continues(lines[-1], box, space):
            _widen(lines[-1], box)
        else:
            lines.append(box)
    merged: list[list[float]] = []
    for line in lines:
        same = next((other for other in merged if _continues(other, line, space)), None)
        if same is None:
            merged.append(line)
        else:
            _widen(same, line)
    if turned:
        merged = [[left, top, right, bottom] for top, left, bottom, right in merged]
    return tuple((left, top, right, bottom) for left, top, right, bottom in merged)


def _continues(line: list[float], box: list[float], space: float) -> bool:
    """Whether a box stands on a line and close to what is there of it."""
    overlap = min(line[3], box[3]) - max(line[1], box[1])
    lower = min(line[3] - line[1], box[3] - box[1])
    return overlap > lower / 2 and box[0] < line[2] + space and line[0] < box[2] + space


def _widen(line: list[float], box: list[float]) -> None:
    line[:] = min(line[0], box[0]), min(line[1], box[1]), max(line[2], box[2]), max(line[3], box[3])


def _character_at(boxes: Boxes, x: float, y: float) -> int | None:
    """The character whose box holds a point, or is nearest to it within reach."""
    drawn = np.flatnonzero((boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3]))
    if not len(drawn):
        return None
    distances = _distances(boxes[drawn], x, y)
    nearest = int(np.argmin(distances))
    return int(drawn[nearest]) if distances[nearest] <= NEAR else None


def _distances(boxes: Boxes, x: float, y: float) -> NDArray[np.float32]:
    """How far each box is from a point, along the edges of the page."""
    left, top, right, bottom = boxes.T
    across = np.maximum(np.maximum(left - x, x - right), 0)
    return across + np.maximum(np.maximum(top - y, y - bottom), 0)
