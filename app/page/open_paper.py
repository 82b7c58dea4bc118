"""A paper whose pages a browser can ask for: their images, their text, where passages stand, what is at a point."""

from __future__ import annotations

import base64
import secrets
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from app.documents import (
    Document,
    DocumentError,
    Page,
    PageCharacters,
    PageImages,
    ReadingLimits,
    find_places,
    find_words,
    position_at,
)
from app.documents.reading import HEAD_BYTES

# Pixels a point. Few of them, so that images are found in the cache; the last one is sharp at twice the usual width.
SCALES = (1.0, 1.5, 2.0, 3.0)
MOST_HITS = 500
MOST_RANGES = 600
Json = dict[str, Any]


class NoSuchPlace(HTTPException, ValueError):
    """A page or position was asked for that there is not, or it was no number at all; a browser gets status 400."""

    def __init__(self, sentence: str) -> None:
        super().__init__(400, sentence)


@dataclass(frozen=True)
class Range:
    """A half-open range of `Document.text`."""

    start: int
    end: int


class OpenPaper:
    """The pages of a paper, for whoever has its `key`, which nobody can guess. For any number of threads.

    What it answers are objects of JSON for the browser's side, `assets/paper.js`.
    """

    def __init__(self, document: Document, images: PageImages | None = None) -> None:
        """Opens it; `images` is None where there is only text."""
        self.document = document
        self.key = secrets.token_urlsafe(24)
        self._images = images
        self._problem = ""
        _OPEN[self.key] = self

    def close(self) -> None:
        """Ends the drawing of pages; what is asked afterwards has no answer."""
        _OPEN.pop(self.key, None)
        if self._images is not None:
            self._images.close()

    def layout(self) -> Json:
        """What the view of it starts from: every page with its label and its size in points, None for text."""
        sizes = self._sizes()
        pages = []
        for page in self.document.pages:
            size = sizes[page.number - 1] if page.number <= len(sizes) else None
            known = {"number": page.number, "label": page.label, "start": page.start, "end": page.end}
            pages.append({**known, "size": size})
        return {"key": self.key, "pages": pages, "drawn": bool(sizes), "problem": self._problem}

    def page(self, number: int, scale: float) -> Json:
        """A page: `image` as a data URI, or, where there is none, `problem` (a sentence) and `text`."""
        page = self._page(number)
        if self._images is None or self._problem:
            return self.text(number)
        fitting = next((each for each in SCALES if each >= scale), SCALES[-1])
        try:
            image = self._images.image(page.number, fitting)
        except DocumentError as error:
            return {**self.text(number), "problem": str(error)}
        return {"image": "data:image/jpeg;base64," + base64.b64encode(image.jpeg).decode("ascii")}

    def text(self, number: int) -> Json:
        """The text of a page, and where in that of the document it starts."""
        page = self._page(number)
        return {"text": self.document.text[page.start : page.end], "start": page.start}

    def places(self, ranges: Iterable[Range]) -> list[list[Json]]:
        """For each range the pages that hold some of it, each with rectangles as fractions of its image.

        A page without a rectangle does not show it, as far as can be found.
        """
        answer = []
        for asked in ranges:
            found = {
                place.page: place
                for place in find_places(self.document, asked.start, asked.end, self._characters)
            }
            answer.append(
                [
                    {
                        "page": page.number,
                        "rectangles": found[page.number].rectangles if page.number in found else [],
                    }
                    for page in self.document.pages
                    if max(asked.start, page.start) < min(asked.end, page.end)
                ]
            )
        return answer

    def search(self, words: str) -> Json:
        """Where words stand: `hits` as start, end and page of each, and whether there may be `more`."""
        found = find_words(self.document, words, MOST_HITS)
        hits = [(start, end, self.document.page_of(start)) for start, end in found]
        return {"hits": hits, "more": len(hits) == MOST_HITS}

    def position(self, number: int, x: float, y: float) -> int | None:
        """The position in the text of what is at a point of a page's image, in fractions of it."""
        characters = self._characters(self._page(number).number)
        return None if characters is None else position_at(self.document, number, x, y, characters)

    def _page(self, number: int) -> Page:
        if not 1 <= number <= len(self.document.pages):
            raise NoSuchPlace(f"There is no page {number}.")
        return self.document.pages[number - 1]

    def _sizes(self) -> list[tuple[float, float]]:
        if self._images is None:
            return []
        try:
            sizes = [(size.width, size.height) for size in self._images.sizes()]
        except DocumentError as error:
            self._problem = str(error)
            return []
        self._problem = ""  # there may have been one, of a moment in which the machine had no room
        return sizes

    def _characters(self, number: int) -> PageCharacters | None:
        seen = self.document.recognized.get(number)
        if seen is not None or self._images is None:
            return seen
        try:
            return self._images.characters(number)
        except DocumentError:
            return None


def open_paper(
    document: Document, file: Path | None, limits: ReadingLimits, password: str | None
) -> OpenPaper:
    """A document with the pages of its file, if that is a PDF and still there."""
    try:
        with open(file or "", "rb") as opened:
            is_pdf = b"%PDF-" in opened.read(HEAD_BYTES)
    except OSError:
        is_pdf = False
    images = PageImages(str(file), password=password, limits=limits) if is_pdf else None
    return OpenPaper(document, images)


_OPEN: weakref.WeakValueDictionary[str, OpenPaper] = weakref.WeakValueDictionary()


def find_open(key: object) -> OpenPaper | None:
    """The open paper of that key, as long as somebody keeps it."""
    return _OPEN.get(key) if isinstance(key, str) else None
