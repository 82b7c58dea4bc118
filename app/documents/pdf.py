"""A PDF becomes pages of lines, or one sentence that says why not; what could not be read is noted.

The file itself is read by a guarded child process (`guarded_reader.py`); here its messages are understood.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from app.documents.document import DocumentError, OnPage, PasswordNeeded, Reading, ReadingLimits
from app.documents.guarded_reader import run_reader
from app.documents.legibility import is_legible, is_sound, readable
from app.documents.page_lines import Line, Pages
from app.documents.recognition import recognize_pages, tesseract
from app.documents.recognized_text import RecognizedPage, settle_sizes
from app.documents.scanned_pages import count_words, pages_without_text
from app.documents.text_cleaning import clean_characters

# A page of a book has some 3,000; a dense appendix table 20,000.
PAGE_CHARACTERS = 100_000
# A line makes work however short it is: it counts as this many characters of `max_characters`.
LINE_CHARACTERS = 20
# This share of pages without text is worth a note; a blank page or two are not.
BLANK_SHARE = 0.25
# Fewer letters that nobody can see are marks of a program or a template.
HIDDEN_CHARACTERS = 12
# Characters on pages that can't be read, against those on the others: with more, the paper can't be read.
MOST_ILLEGIBLE = 2.0
# More page numbers than this are not listed.
LISTED_PAGES = 10

_DAMAGED = "This PDF is damaged and cannot be read; try to open and save it again, or get another copy."
_NO_TEXT = "This PDF has no text, and none could be recognized on the pictures of its pages; try a sharper scan of it."
_NOT_RECOGNIZED = (
    "This PDF has no text, only pictures of pages, and recognizing it failed; "
    "run text recognition (OCR) over it and try again."
)
_INSTALL = "install Tesseract (the package tesseract-ocr) where this runs"
_NO_TESSERACT = (
    f"This PDF has no text, only pictures of pages; to have them read, {_INSTALL}, "
    "or run text recognition (OCR) over the PDF."
)
_NO_PAGES = "This PDF has no pages; get another copy of it."
_UNREADABLE = (
    "The fonts of this PDF do not say which letters they show, so its text cannot be read; "
    "try another copy, or run text recognition (OCR) over it."
)
_UNREADABLE_HERE = (
    "The fonts of this PDF do not say which letters they show; to have its pages read as pictures, "
    f"{_INSTALL}, or try another copy."
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
    "interrupted": "reading it was interrupted",
}
_REFUSALS = {
    "damaged": _DAMAGED,
    "encryption": "This PDF is protected in a way that cannot be opened here; save a copy without protection.",
    "memory": _TOO_MUCH,
    "time": _TOO_LONG,
    "limits": _TOO_COMPLEX,
    "interrupted": "Reading this file was interrupted on the server; please try again.",
}


@dataclass
class Scans:
    """What came of the pages without text so far."""

    pages: dict[int, RecognizedPage] = field(default_factory=dict)
    """Those that were recognized, by number."""
    failed: list[int] = field(default_factory=list)
    """Numbers of those that could not be drawn or that Tesseract came to a bad end on."""
    left_out: list[int] = field(default_factory=list)
    """Numbers of those that were not tried."""
    reason: str = ""
    """Why they were not."""
    installed: bool = True
    """Whether Tesseract is."""

    def notes(self, count: int) -> list[str]:
        """Sentences about them, in a PDF of `count` pages."""
        notes = []
        if self.pages:
            what = _pages_phrase(sorted(self.pages), count)
            what += (
                " was recognized from its image" if len(self.pages) == 1 else " were recognized from images"
            )
            notes.append(f"{what} (OCR); check numbers and names against the page.")
        if self.failed:
            verb = "is" if len(self.failed) == 1 else "are"
            notes.append(f"{_pages_phrase(self.failed, count)} could not be recognized and {verb} left out.")
        if self.left_out:
            verb = "was" if len(self.left_out) == 1 else "were"
            what = _pages_phrase(self.left_out, count)
            notes.append(f"{what} without text {verb} not recognized, because {self.reason}.")
        return notes


@dataclass
class PdfText:
    """What was read of a PDF so far."""

    pages: Pages = field(default_factory=list)
    """Clean lines of each page; empty for a page that could not be read."""
    title: str | None = None
    author: str | None = None
    creation_date: str | None = None
    """What the file says of itself."""
    labels: Sequence[str] | None = None
    """What it says is printed on each page."""
    count: int = 0
    """Pages of the file, read or not."""
    raw: list[str] = field(default_factory=list)
    """The lines as they came, which tell whether they are text at all."""
    illegible: dict[int, int] = field(default_factory=dict)
    """Number of a page whose letters can't be told, so that it is left out -> how many characters stand there."""
    failed: dict[int, str] = field(default_factory=dict)
    """Number of a page that could not be read -> the reason."""
    characters: int = 0
    """Of `ReadingLimits.max_characters`, used up."""
    cut: list[int] = field(default_factory=list)
    """Numbers of pages of which only the beginning was read."""
    scans: Scans = field(default_factory=Scans)
    hidden: list[int] = field(default_factory=list)
    """Numbers of pages with text that nobody can see."""
    margins: list[int] = field(default_factory=list)
    """Numbers of pages with notes in the margin."""
    end: str = "damaged"
    """Why the reading ended: "done", "time", "memory", "characters", "interrupted" or "damaged"."""

    def add(self, message: dict[str, Any]) -> None:
        """A page as the child tells it. Cleaned here and not at the end: meanwhile the child reads the next page."""
        number, lines = message["page"], message.get("lines", ())
        if "failed" in message:
            self.failed[number] = message["failed"]
        if message.get("cut"):
            self.cut.append(number)
        if message.get("hidden", 0) >= HIDDEN_CHARACTERS:
            self.hidden.append(number)
        if message.get("notes"):
            self.margins.append(number)
        raw = [text for text, *_ in lines]
        if is_legible(raw):
            self.raw += raw
            sound = [line for line in lines if is_sound(line[0])]
            self.pages.append([Line(clean_characters(text), *style) for text, *style in sound])
        else:
            self.illegible[number] = sum(map(len, raw))
            self.pages.append([])

    def use_recognized(self, *, instead: bool) -> None:
        """Takes the text of recognized pages over: `instead` of everything else, or where it is more than there is."""
        if instead and self.scans.pages:
            self.pages = [[] for _ in self.pages]
            self.raw = []
        fuller = {
            number: page
            for number, page in sorted(self.scans.pages.items())
            if count_words(page.lines) > count_words(self.pages[number - 1])
        }
        self.scans.pages = fuller
        self.illegible = {number: count for number, count in self.illegible.items() if number not in fuller}
        for number, lines in zip(fuller, settle_sizes([page.lines for page in fuller.values()]), strict=True):
            self.pages[number - 1] = lines
            self.raw += [line.text for line in lines]

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
        if self.illegible:
            pages, its = sorted(self.illegible), "its" if len(self.illegible) == 1 else "their"
            notes.append(
                f"{_pages_phrase(pages, self.count)} {'is' if len(pages) == 1 else 'are'} left out: {its} fonts do "
                "not say which letters they show."
            )
        if self.hidden:
            notes.append(
                f"{_pages_phrase(self.hidden, self.count)} {_has(self.hidden)} text that nobody can see; "
                "it is left out."
            )
        if self.margins:
            notes.append(
                f"{_pages_phrase(self.margins, self.count)} {_has(self.margins)} notes in the margin; "
                "they are left out."
            )
        lost = {*self.failed, *self.illegible, *self.scans.failed, *self.scans.left_out}
        blank = sum(not page and number not in lost for number, page in enumerate(self.pages, 1))
        if blank > 1 and blank >= BLANK_SHARE * self.count:
            advice = "" if self.scans.installed else f"; to have pictures read, {_INSTALL}"
            notes.append(
                f"{blank} of {self.count} pages have no text; they are blank or only pictures{advice}."
            )
        return (*notes, *self.scans.notes(self.count))


def read_pdf(
    file: BinaryIO,
    password: str | None,
    limits: ReadingLimits,
    on_page: OnPage,
    stop: threading.Event | None,
) -> PdfText:
    """Reads an open PDF, recognizes its pages that are pictures, and calls `on_page` for every page of either.

    Raises:
        PasswordNeeded: it is encrypted, and `password` does not open it.
        DocumentError: it can't be read, or there is no text in it.
        app.work.Stopped: `stop` was set.
    """
    found = _read_text(file, password, limits, on_page, stop)
    numbers = pages_without_text(found.pages, found.failed)
    garbled = not readable(found.raw)
    if garbled:  # then what the pages show is text perhaps, even if what they say is none
        numbers = [number for number in range(1, len(found.pages) + 1) if number not in found.failed]
    _recognize(found, numbers, file, password, limits, on_page, stop)
    found.use_recognized(instead=garbled)

    unreadable = DocumentError(_UNREADABLE if found.scans.installed else _UNREADABLE_HERE)
    if sum(found.illegible.values()) > MOST_ILLEGIBLE * sum(map(len, found.raw)):
        raise unreadable
    if not any(map(str.strip, found.raw)):
        raise DocumentError(_why_nothing(found))
    if not readable(found.raw):
        raise unreadable
    return found


def _read_text(
    file: BinaryIO,
    password: str | None,
    limits: ReadingLimits,
    on_page: OnPage,
    stop: threading.Event | None,
) -> PdfText:
    """What the pages say by themselves."""
    orders = {
        "password": password,
        "max_pages": limits.max_pages,
        "page_characters": PAGE_CHARACTERS,
        "page_seconds": limits.page_seconds,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": int(limits.seconds) + 1,
    }
    found = PdfText()
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
                found.author, found.creation_date = message["author"], message["creation_date"]
            else:
                found.characters += _cost(text for text, *_ in message.get("lines", ()))
                if found.characters > limits.max_characters:
                    found.end = "characters"
                    break
                found.add(message)
                on_page(Reading(message["page"], found.count))
    finally:
        messages.close()
    return found


def _recognize(
    found: PdfText,
    numbers: Sequence[int],
    file: BinaryIO,
    password: str | None,
    limits: ReadingLimits,
    on_page: OnPage,
    stop: threading.Event | None,
) -> None:
    """Recognizes the pages with these numbers, as many as may be, into `found.scans`."""
    scans = found.scans
    program = tesseract()
    if not numbers or program is None:
        scans.installed = program is not None
        return
    tried = numbers[: limits.max_recognized_pages]
    waiting = set(tried)
    results = recognize_pages(file.fileno(), tried, program, password, limits, stop)
    try:
        for number, result in results:
            waiting.discard(number)
            if isinstance(result, RecognizedPage):
                found.characters += _cost(line.text for line in result.lines)
                if found.characters > limits.max_characters:
                    waiting.add(number)
                    break
                scans.pages[number] = result
            elif result != "blank":
                scans.failed.append(number)
            on_page(Reading(len(tried) - len(waiting), len(tried), recognizing=True))
    finally:
        results.close()
    scans.failed.sort()
    scans.reason = "it takes too long" if waiting else f"{limits.max_recognized_pages} pages are the most"
    scans.left_out = sorted([*waiting, *numbers[len(tried) :]])


def _cost(lines: Iterable[str]) -> int:
    """How much of `ReadingLimits.max_characters` they use up."""
    return sum(max(len(line), LINE_CHARACTERS) for line in lines)


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
    if found.end == "interrupted" or (found.end in _REFUSALS and not found.pages):
        return _REFUSALS[found.end]
    if found.end == "done" and not found.failed and not found.unread:
        if not found.scans.installed:
            return _NO_TESSERACT
        return _NOT_RECOGNIZED if found.scans.failed else _NO_TEXT
    reasons = [*found.failed.values(), *([found.end] if found.end in _REFUSALS else [])]
    return _REFUSALS[max(sorted(set(reasons)), key=reasons.count)] if reasons else _DAMAGED


def _has(numbers: Sequence[int]) -> str:
    return "has" if len(numbers) == 1 else "have"


def _pages_phrase(numbers: Sequence[int], count: int) -> str:
    """`Page 3 of 19`, `3 of 19 pages (2, 12, 13)` or `All 19 pages`."""
    if len(numbers) == count > 1:
        return f"All {count} pages"
    if len(numbers) == 1:
        return f"Page {numbers[0]} of {count}"
    listed = ", ".join(map(str, numbers[:LISTED_PAGES])) + (
        " and more" if len(numbers) > LISTED_PAGES else ""
    )
    return f"{len(numbers)} of {count} pages ({listed})"
