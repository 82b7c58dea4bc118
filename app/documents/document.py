"""What a file becomes: a `Document`, its text with the page of every character, or a sentence that says why not."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.documents.page_characters import PageCharacters

MiB = 2**20


class DocumentError(Exception):
    """A file can't be read; `str(error)` is one sentence for the person that says what to do."""


class PasswordNeeded(DocumentError):
    """The file is encrypted, and no password was given or it was not the right one."""


@dataclass(frozen=True)
class ReadingLimits:
    """How much of the machine one file may take."""

    max_bytes: int = 50 * MiB
    max_pages: int = 500
    max_characters: int = 3_000_000
    """Longer text is cut after the last page that fits, with a note."""
    seconds: float = 300.0
    """Wall clock for the whole file; what was read by then is kept, with a note."""
    page_seconds: float = 10.0
    """Processor time for opening the file and for one page; three times that for all failing pages together, and four
    times is the longest wait for a sign of life from the reader."""
    memory_bytes: int = 1024 * MiB
    max_recognized_pages: int = 100
    """Pages without text that are recognized on their pictures; `seconds` counts for them once more."""
    recognition_seconds: float = 30.0
    """Processor time for recognizing one page."""


@dataclass(frozen=True)
class Page:
    """A page and its text, `Document.text[start:end]`; the ranges of the pages follow each other without gaps."""

    number: int
    """From 1."""
    start: int
    end: int
    label: str = ""
    """The number printed on it, as `iv` or `498`; if it has none, `number`."""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", str(self.number))


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, `Document.text[start:end]`; the sections follow each other without gaps."""

    heading: str
    """As printed, with its number. Empty for what stands before the first heading, for a piece of another kind inside a
    section (an author's address at the foot of the introduction), and for the rest of that section behind it."""
    start: int
    """Where its heading begins."""
    end: int
    kind: Literal["front", "body", "references", "back"] = "body"
    """"front" and "back" are what surrounds a paper and is none of it: affiliations, contents, thanks, funding ..."""


def undivided(text: str, references: tuple[int, int] | None = None) -> tuple[Section, ...]:
    """The sections of a text of which nothing is known but, perhaps, where its reference list stands."""
    start, end = references or (len(text), len(text))
    parts = (Section("", 0, start), Section("", start, end, "references"), Section("", end, len(text)))
    return tuple(part for part in parts if part.start < part.end) or parts[:1]


@dataclass(frozen=True)
class Document:
    """A file that was read."""

    name: str
    """File name that is safe to show: no folders, no control or direction characters."""
    title: str
    text: str
    """Paragraphs and headings, one a line."""
    pages: tuple[Page, ...]
    sections: tuple[Section, ...]
    """All of the text, in order; a text without headings is one section."""
    notes: tuple[str, ...]
    """Sentences to show: what could not be read, or only in part."""
    authors: tuple[str, ...] = ()
    """What the file says of itself; empty where it says nothing that could be names."""
    year: int | None = None
    """When the file was made, as it says itself."""
    language: str | None = None
    """ISO 639-1 code of the language that most of the text is in; None where that can't be told."""
    recognized: Mapping[int, PageCharacters] = field(default_factory=dict)
    """Numbers of the pages whose text was recognized on their pictures, with what was seen on each, and where."""

    def page_of(self, character: int) -> int:
        """Number of the page that holds position `character` of the text; the end of the text is on the last page.

        Raises:
            IndexError: the text has no such position.
        """
        if not 0 <= character <= len(self.text):
            raise IndexError(f"The text has {len(self.text)} characters; there is none at {character}.")
        if character == len(self.text) > 0:
            character -= 1
        # Empty pages start where the next one does, so the last page that starts here is the one with the text.
        after = bisect.bisect_right(self.pages, character, key=lambda page: page.start)
        return self.pages[after - 1].number

    def section_of(self, character: int) -> Section:
        """The section that holds position `character` of the text; the end of the text is in the last one."""
        after = bisect.bisect_right(self.sections, character, key=lambda section: section.start)
        return self.sections[max(0, after - 1)]

    @property
    def references(self) -> tuple[int, int] | None:
        """Range of `text` that is the reference list; the last one where each chapter has its own."""
        found = [section for section in self.sections if section.kind == "references"]
        return (found[-1].start, found[-1].end) if found else None

    @property
    def body_ranges(self) -> tuple[tuple[int, int], ...]:
        """Ranges of `text` that are the paper itself, in order, neighbours joined; none of them is empty."""
        ranges: list[tuple[int, int]] = []
        for section in self.sections:
            if section.kind != "body" or section.start == section.end:
                continue
            if ranges and ranges[-1][1] == section.start:
                ranges[-1] = ranges[-1][0], section.end
            else:
                ranges.append((section.start, section.end))
        return tuple(ranges)


@dataclass(frozen=True)
class Reading:
    """Page `page` was read, of `pages` (None while that is not known); 0 when the file has been opened at most."""

    page: int
    pages: int | None
    recognizing: bool = False
    """Then it is the how manieth of those without text that is done: their text is recognized on their pictures."""


OnPage = Callable[[Reading], None]
"""Called for every page while a file is read."""
