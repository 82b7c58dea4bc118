"""A stranger's file becomes a `Document`: its title, its text, and the page of every character.

PDFs are read by a guarded child process (`guarded_reader.py`), plain text and Markdown here. What a file is depends on
its content, never on its name. Whatever is wrong with it ends in a `DocumentError` of one sentence.
"""

from __future__ import annotations

import bisect
import os
import re
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from app.documents.guarded_reader import run_reader
from app.documents.page_lines import Line, Pages
from app.documents.paper_structure import readable
from app.documents.running_text import run_together
from app.documents.text_cleaning import clean_characters
from app.documents.text_files import NotText, decode, split_pages
from app.work import check

MiB = 2**20
NAME_CHARACTERS = 120
# A page of a book has some 3,000; a dense appendix table 20,000.
PAGE_CHARACTERS = 100_000
# A line makes work however short it is: it counts as this many characters of `max_characters`.
LINE_CHARACTERS = 20


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
    """Processor time for opening the file, for one page, and for all failing pages together; four times that is the
    longest wait for a sign of life from the reader."""
    memory_bytes: int = 1024 * MiB


@dataclass(frozen=True)
class Page:
    """A page and its text, `Document.text[start:end]`; the ranges of the pages follow each other without gaps."""

    number: int
    """From 1."""
    start: int
    end: int


@dataclass(frozen=True)
class Document:
    """A file that was read."""

    name: str
    """File name that is safe to show: no folders, no control or direction characters."""
    title: str
    text: str
    """Paragraphs and headings, one a line."""
    pages: tuple[Page, ...]
    references: tuple[int, int] | None
    """Range of `text` that is the reference list."""
    notes: tuple[str, ...]
    """Sentences to show: what could not be read, or only in part."""

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
        place = bisect.bisect_right(self.pages, character, key=lambda page: page.start) - 1
        return self.pages[place].number

    @property
    def body_ranges(self) -> tuple[tuple[int, int], ...]:
        """Ranges of `text` without the reference list, in order; none of them is empty."""
        start, end = self.references or (len(self.text), len(self.text))
        return tuple(part for part in ((0, start), (end, len(self.text))) if part[0] < part[1])


@dataclass(frozen=True)
class PageRead:
    """Page `page` was read, of `pages` (None while that is not known)."""

    page: int
    pages: int | None


OnPage = Callable[[PageRead], None]

_LIMITS = ReadingLimits()
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
_EMPTY = "This file is empty; choose another one, or download it again."
_REFUSALS = {
    "damaged": _DAMAGED,
    "encryption": "This PDF is protected in a way that cannot be opened here; save a copy without protection.",
    "memory": _TOO_MUCH,
    "time": _TOO_LONG,
    "limits": _TOO_COMPLEX,
}
# What people choose by mistake, by the first bytes.
_KINDS = (
    (b"PK\x03\x04", "This is a Word, EPUB or ZIP file; save it as PDF and choose that."),
    (b"\xd0\xcf\x11\xe0", "This is an old Office file; save it as PDF and choose that."),
    (b"{\\rtf", "This is an RTF file; save it as PDF or plain text and choose that."),
    (b"%!PS", "This is a PostScript file; convert it to PDF and choose that."),
    (b"\x89PNG", "This is a picture; choose the paper as PDF or as plain text."),
    (b"\xff\xd8\xff", "This is a picture; choose the paper as PDF or as plain text."),
    (b"GIF8", "This is a picture; choose the paper as PDF or as plain text."),
    (b"\x1f\x8b", "This is a compressed file; unpack it and choose the PDF or text inside."),
)
_UNSUPPORTED = "This is neither a PDF nor a text file; choose the paper as PDF, .txt or .md."
_WEB_PAGE = "This is a web page, not the paper; open the link in a browser and download the PDF itself."
_HTML = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)[\s>]",
    re.IGNORECASE | re.DOTALL,
)


def read(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    password: str | None = None,
    limits: ReadingLimits = _LIMITS,
    on_page: OnPage | None = None,
    stop: threading.Event | None = None,
) -> Document:
    """Read a PDF, text or Markdown file.

    Args:
        name: the file's name for people, if it is not that of `path`.
        on_page: called for every page; what it raises ends the reading.

    Raises:
        PasswordNeeded: the PDF is encrypted; ask for a password and call again with it.
        DocumentError: the file can't be read.
        app.work.Stopped: `stop` was set, noticed well within a second.
    """
    shown = display_name(os.fspath(path) if name is None else name)
    on_page = on_page or (lambda page: None)
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.max_bytes:
            raise DocumentError(
                f"This file has {_megabytes(size)}, and {_megabytes(limits.max_bytes)} is the most that is read here; "
                "choose a smaller one."
            )
        head = file.read(1024)
        if not head.strip():
            raise DocumentError(_EMPTY)
        if b"%PDF-" in head:
            file.seek(0)
            return _read_pdf(file, shown, password, limits, on_page, stop)
        _refuse_other_kinds(head)
        return _read_text(head + file.read(), shown, limits, on_page, stop)


def display_name(path: str) -> str:
    """A file's name that is safe to show: without folders, control, direction and unpaired characters, not too long."""
    name = path.rstrip("/\\")
    name = clean_characters(re.split(r"[/\\]", name)[-1])
    if len(name) > NAME_CHARACTERS:
        stem, dot, suffix = name.rpartition(".")
        suffix = dot + suffix if stem and len(suffix) <= 10 else ""
        name = name[: NAME_CHARACTERS - len(suffix) - 1] + "…" + suffix
    return name if name.strip(". ") else "document"


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        # Not blocking: a pipe or a device would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise DocumentError(f"There is no file “{display_name(os.fspath(path))}”; check its name.") from None
    except (OSError, ValueError):
        raise DocumentError(
            f"The file “{display_name(os.fspath(path))}” cannot be opened; check that you may read it."
        ) from None
    file = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if file is None:
        os.close(descriptor)
        raise DocumentError(
            f"“{display_name(os.fspath(path))}” is not a file; choose a PDF, .txt or .md file."
        )
    return file


def _megabytes(size: int) -> str:
    return f"{size / MiB:.0f} MB" if size >= 10 * MiB else f"{size / MiB:.1f} MB"


def _refuse_other_kinds(head: bytes) -> None:
    for magic, sentence in _KINDS:
        if head.startswith(magic):
            raise DocumentError(sentence)
    if _HTML.match(head):
        raise DocumentError(_WEB_PAGE)


def _read_pdf(
    file: BinaryIO,
    name: str,
    password: str | None,
    limits: ReadingLimits,
    on_page: OnPage,
    stop: threading.Event | None,
) -> Document:
    orders = {
        "password": password,
        "max_pages": limits.max_pages,
        "page_characters": PAGE_CHARACTERS,
        "page_seconds": limits.page_seconds,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": int(limits.seconds) + 1,
    }
    pages: Pages = []
    raw: list[str] = []
    failed: dict[int, str] = {}
    cut: list[int] = []
    title = None
    count = characters = 0
    end = "damaged"
    messages = run_reader(
        file.fileno(), orders, seconds=limits.seconds, stall_seconds=4 * limits.page_seconds, stop=stop
    )
    try:
        for message in messages:
            if "refused" in message:
                raise _refusal(message, password, limits)
            if "end" in message:
                end = message["end"]
            elif "page" not in message:
                count, title = message["pages"], message["title"]
            else:
                lines = message.get("lines", ())
                if "failed" in message:
                    failed[message["page"]] = message["failed"]
                if message.get("cut"):
                    cut.append(message["page"])
                characters += sum(max(len(text), LINE_CHARACTERS) for text, *_ in lines)
                if characters > limits.max_characters:
                    end = "characters"
                    break
                raw.extend(text for text, *_ in lines)
                # Here and not at the end: meanwhile the child reads the next page.
                pages.append([Line(clean_characters(text), *style) for text, *style in lines])
                on_page(PageRead(message["page"], count))
    finally:
        messages.close()

    unread = count - len(pages)
    if not any(map(str.strip, raw)):
        raise DocumentError(_why_nothing(end, failed, count, unread))
    if not readable(raw):
        raise DocumentError(_UNREADABLE)
    notes = _notes(end, count, len(pages), failed, cut, [not page for page in pages])
    pages += [[] for _ in range(unread)]
    return _document(name, title, pages, notes, stop)


def _refusal(message: dict[str, object], password: str | None, limits: ReadingLimits) -> DocumentError:
    reason = str(message["refused"])
    if reason == "password":
        return PasswordNeeded("This PDF is encrypted; type its password to open it.")
    if reason == "wrong-password":
        return PasswordNeeded("This password does not open the PDF; check it and type it again.")
    if reason == "pages":
        counted = f"has {message['pages']:,} pages" if "pages" in message else "has thousands of pages"
        return DocumentError(_too_many_pages(counted, limits, "PDF"))
    return DocumentError(_REFUSALS.get(reason, _DAMAGED))


def _too_many_pages(counted: str, limits: ReadingLimits, kind: str) -> str:
    return (
        f"This {kind} {counted}, and {limits.max_pages:,} is the most that is read here; choose a part of it."
    )


def _why_nothing(end: str, failed: dict[int, str], count: int, unread: int) -> str:
    """The sentence for a PDF that opened and gave no text at all."""
    if end == "done" and not count:
        return _NO_PAGES
    if failed or unread:
        reasons = list(failed.values()) + ([end] if end in _REFUSALS else [])
        return _REFUSALS[max(sorted(set(reasons)), key=reasons.count)] if reasons else _DAMAGED
    return _NO_TEXT


def _notes(
    end: str, count: int, read_pages: int, failed: dict[int, str], cut: list[int], empty: list[bool]
) -> tuple[str, ...]:
    notes = []
    if failed:
        notes.append(
            f"{_pages_phrase(sorted(failed), count)} could not be read and "
            f"{'is' if len(failed) == 1 else 'are'} left out."
        )
    if read_pages < count:
        reason = {
            "time": "reading it took too long",
            "memory": "reading it took too much memory",
            "characters": "it is too long",
        }.get(end, "it is damaged")
        notes.append(f"Only the first {read_pages} of {count} pages were read, because {reason}.")
    if cut:
        notes.append(
            f"{_pages_phrase(cut, count)} had far too much text for a page; only its beginning was read."
        )
    blank = [number for number, is_empty in enumerate(empty, 1) if is_empty and number not in failed]
    if len(blank) > 1 and len(blank) >= 0.25 * count:
        notes.append(f"{len(blank)} of {count} pages have no text; they are blank or only pictures.")
    return tuple(notes)


def _pages_phrase(numbers: Sequence[int], count: int) -> str:
    """`Page 3` or `3 of 19 pages (2, 12, 13)`."""
    if len(numbers) == 1:
        return f"Page {numbers[0]} of {count}"
    listed = ", ".join(map(str, numbers[:10])) + (" and more" if len(numbers) > 10 else "")
    return f"{len(numbers)} of {count} pages ({listed})"


def _read_text(
    data: bytes, name: str, limits: ReadingLimits, on_page: OnPage, stop: threading.Event | None
) -> Document:
    try:
        text = decode(data)
    except NotText:
        raise DocumentError(_UNSUPPORTED) from None
    if not text.strip():
        raise DocumentError(_EMPTY)
    notes = []
    if len(text) > limits.max_characters:
        text = text[: limits.max_characters]
        notes.append(
            f"Only the first {limits.max_characters:,} characters were read, because it is too long."
        )
    if text.count("\n") > limits.max_characters // LINE_CHARACTERS:
        raise DocumentError("This file has far too many lines for a paper; choose a shorter one.")
    title, pages = split_pages(text, markdown=name.lower().endswith((".md", ".markdown")))
    if len(pages) > limits.max_pages:
        raise DocumentError(_too_many_pages(f"has {len(pages):,} pages", limits, "file"))
    if not readable([line.text for page in pages for line in page]):
        raise DocumentError(_UNSUPPORTED)
    for number in range(1, len(pages) + 1):
        on_page(PageRead(number, len(pages)))
    for page in pages:
        for place, line in enumerate(page):
            check(stop)
            page[place] = replace(line, text=clean_characters(line.text))
    return _document(name, title, pages, notes, stop)


def _document(
    name: str, title: str | None, pages: Pages, notes: Sequence[str], stop: threading.Event | None
) -> Document:
    result = run_together(pages, title, fallback_title=name, check=partial(check, stop))
    ranges = tuple(Page(number, start, end) for number, (start, end) in enumerate(result.page_ranges, 1))
    return Document(name, result.title, result.text, ranges, result.references, tuple(notes))
