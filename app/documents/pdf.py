"""A PDF becomes pages of lines, or one sentence that says why not; what could not be read is noted.

The file itself is read by a guarded child process (`guarded_reader.py`); here its messages are understood.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from app.documents.document import DocumentError, OnPage, PasswordNeeded, Reading, ReadingLimits
from app.documents.guarded_reader import run_reader
from app.documents.page_lines import Line, Pages
from app.documents.paper_structure import readable
from app.documents.text_cleaning import clean_characters

# A page of a book has some 3,000; a dense appendix table 20,000.
PAGE_CHARACTERS = 100_000
# A line makes work however short it is: it counts as this many characters of `max_characters`.
LINE_CHARACTERS = 20
# This share of pages without text is worth a note; a blank page or two are not.
BLANK_SHARE = 0.25
# More page numbers than this are not listed.
LISTED_PAGES = 10

_DAMAGED = "This PDF is damaged and cannot be read; try to open and save it again, or get another copy."
_NO_TEXT = "This PDF has no text, only pictures of pages; run text recognition (OCR) over it and try again."
_NO_PAGES = "This PDF has no pages; get another copy of it."
_UNREADABLE = (
    "The fonts of this PDF do not say which letters they show, so its text cannot be read; "
    "try another copy, or run text recognition (OCR) over it."
)
_TOO_LONG = "Reading this file took too long and was stopped; try a smaller or simpler PDF of it."
_TOO_MUCH = "Reading this file needs more memory than is allowed here; try a smaller or simpler PDF of it."
_TOO_COMPLEX = (
    "The pages of this PDF hold far more than pages do, so they were not read; try a simpler PDF of it."
)
_PASSWORDS = {
    "password": "This PDF is encrypted; type its password to open it.",
    "wrong-password": "This password does not open the PDF; check it and type it again.",
}
_EARLY_ENDS = {
    "time": "reading it took too long",
    "memory": "reading it took too much memory",
    "characters": "it is too long",
}
_REFUSALS = {
    "damaged": _DAMAGED,
    "encryption": "This PDF is protected in a way that cannot be opened here; save a copy without protection.",
    "memory": _TOO_MUCH,
    "time": _TOO_LONG,
    "limits": _TOO_COMPLEX,
}


@dataclass
class PdfText:
    """What was read of a PDF so far."""

    pages: Pages = field(default_factory=list)
    """Clean lines of each page; empty for a page that could not be read."""
    title: str | None = None
    """What the file says of itself."""
    labels: Sequence[str] | None = None
    """What it says is printed on each page."""
    count: int = 0
    """Pages of the file, read or not."""
    raw: list[str] = field(default_factory=list)
    """The lines as they came, which tell whether they are text at all."""
    failed: dict[int, str] = field(default_factory=dict)
    """Number of a page that could not be read -> the reason."""
    cut: list[int] = field(default_factory=list)
    """Numbers of pages of which only the beginning was read."""
    end: str = "damaged"
    """Why the reading ended: "done", "time", "memory", "characters" or "damaged"."""

    def add(self, message: dict[str, Any]) -> None:
        """A page as the child tells it. Cleaned here and not at the end: meanwhile the child reads the next page."""
        number, lines = message["page"], message.get("lines", ())
        if "failed" in message:
            self.failed[number] = message["failed"]
        if message.get("cut"):
            self.cut.append(number)
        self.raw.extend(text for text, *_ in lines)
        self.pages.append([Line(clean_characters(text), *style) for text, *style in lines])

    @property
    def all_pages(self) -> Pages:
        """The lines of every page of the file, none for those that were not reached."""
        return self.pages + [[] for _ in range(self.unread)]

    @property
    def unread(self) -> int:
        """How many pages were not reached."""
        return self.count - len(self.pages)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences to show: what could not be read, or only in part."""
        notes = []
        if self.failed:
            notes.append(
                f"{_pages_phrase(sorted(self.failed), self.count)} could not be read and "
                f"{'is' if len(self.failed) == 1 else 'are'} left out."
            )
        if self.unread:
            reason = _EARLY_ENDS.get(self.end, "it is damaged")
            notes.append(
                f"Only the first {len(self.pages)} of {self.count} pages were read, because {reason}."
            )
        if self.cut:
            notes.append(
                f"{_pages_phrase(self.cut, self.count)} had far too much text for a page; "
                "only its beginning was read."
            )
        blank = sum(not page and number not in self.failed for number, page in enumerate(self.pages, 1))
        if blank > 1 and blank >= BLANK_SHARE * self.count:
            notes.append(f"{blank} of {self.count} pages have no text; they are blank or only pictures.")
        return tuple(notes)


def read_pdf(
    file: BinaryIO,
    password: str | None,
    limits: ReadingLimits,
    on_page: OnPage,
    stop: threading.Event | None,
) -> PdfText:
    """Reads an open PDF and calls `on_page` for every page.

    Raises:
        PasswordNeeded: it is encrypted, and `password` does not open it.
        DocumentError: it can't be read, or there is no text in it.
        app.work.Stopped: `stop` was set.
    """
    orders = {
        "password": password,
        "max_pages": limits.max_pages,
        "page_characters": PAGE_CHARACTERS,
        "page_seconds": limits.page_seconds,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": int(limits.seconds) + 1,
    }
    found = PdfText()
    characters = 0
    messages = run_reader(
        file.fileno(), orders, seconds=limits.seconds, stall_seconds=4 * limits.page_seconds, stop=stop
    )
    try:
        for message in messages:
            if "refused" in message:
                raise _refusal(message, limits)
            if "end" in message:
                found.end = message["end"]
            elif "page" not in message:
                found.count, found.title, found.labels = message["pages"], message["title"], message["labels"]
            else:
                characters += sum(max(len(text), LINE_CHARACTERS) for text, *_ in message.get("lines", ()))
                if characters > limits.max_characters:
                    found.end = "characters"
                    break
                found.add(message)
                on_page(Reading(message["page"], found.count))
    finally:
        messages.close()

    if not any(map(str.strip, found.raw)):
        raise DocumentError(_why_nothing(found))
    if not readable(found.raw):
        raise DocumentError(_UNREADABLE)
    return found


def _refusal(message: dict[str, Any], limits: ReadingLimits) -> DocumentError:
    reason = message["refused"]
    if reason in _PASSWORDS:
        return PasswordNeeded(_PASSWORDS[reason])
    if reason == "pages":
        counted = f"has {message['pages']:,} pages" if "pages" in message else "has thousands of pages"
        return DocumentError(too_many_pages(f"PDF {counted}", limits))
    return DocumentError(_REFUSALS.get(reason, _DAMAGED))


def too_many_pages(what: str, limits: ReadingLimits) -> str:
    """The sentence for a file that has too many, as in "PDF has 1,200 pages"."""
    return f"This {what}, and {limits.max_pages:,} is the most that is read here; choose a part of it."


def _why_nothing(found: PdfText) -> str:
    """The sentence for a PDF that opened and gave no text at all."""
    if found.end == "done" and not found.count:
        return _NO_PAGES
    if not found.failed and not found.unread:
        return _NO_TEXT
    reasons = [*found.failed.values(), *([found.end] if found.end in _REFUSALS else [])]
    return _REFUSALS[max(sorted(set(reasons)), key=reasons.count)] if reasons else _DAMAGED


def _pages_phrase(numbers: Sequence[int], count: int) -> str:
    """`Page 3 of 19` or `3 of 19 pages (2, 12, 13)`."""
    if len(numbers) == 1:
        return f"Page {numbers[0]} of {count}"
    listed = ", ".join(map(str, numbers[:LISTED_PAGES])) + (
        " and more" if len(numbers) > LISTED_PAGES else ""
    )
    return f"{len(numbers)} of {count} pages ({listed})"
