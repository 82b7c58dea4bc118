"""A stranger's file becomes a `Document`.

What a file is depends on its content, never on its name. Whatever is wrong with it ends in a `DocumentError` of one
sentence.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import BinaryIO

from app.documents.authors import names_in, year_in
from app.documents.document import (
    Document,
    DocumentError,
    MiB,
    OnPage,
    Page,
    Reading,
    ReadingLimits,
)
from app.documents.languages import language_of
from app.documents.legibility import readable
from app.documents.page_labels import page_labels
from app.documents.page_lines import Pages
from app.documents.pdf import LINE_CHARACTERS, read_pdf, too_many_pages
from app.documents.running_text import run_together
from app.documents.text_cleaning import clean_characters
from app.documents.text_files import NotText, count_lines, count_pages, decode, split_pages
from app.work import check

NAME_CHARACTERS = 120
# Enough of a file to tell what it is.
HEAD_BYTES = 1024

_LIMITS = ReadingLimits()
_BUSY = "The server has too much to do to read this file now; try it again in a minute."
_EMPTY = "This file is empty; choose another one, or download it again."
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
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?"
    rb"<(?:!doctype\s+html|html|head|body)[\s>]",
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
    """Reads a PDF, text or Markdown file.

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
    try:
        with _open(path) as file:
            return _read_file(file, shown, password, limits, on_page, stop)
    except OSError:  # no more descriptors, processes or memory for a process that reads
        raise DocumentError(_BUSY) from None


def _read_file(
    file: BinaryIO,
    shown: str,
    password: str | None,
    limits: ReadingLimits,
    on_page: OnPage,
    stop: threading.Event | None,
) -> Document:
    size = os.fstat(file.fileno()).st_size
    if size > limits.max_bytes:
        raise DocumentError(
            f"This file has {_megabytes(size)}, and {_megabytes(limits.max_bytes)} is the most that is read here; "
            "choose a smaller one."
        )
    head = file.read(HEAD_BYTES)
    if b"%PDF-" in head:
        file.seek(0)
        pdf = read_pdf(file, password, limits, on_page, stop)
        document = _document(shown, pdf.title, pdf.all_pages, pdf.labels, pdf.notes, stop)
        recognized = {number: page.characters for number, page in pdf.scans.pages.items()}
        authors, year = names_in(pdf.author), year_in(pdf.creation_date)
        return replace(document, recognized=recognized, authors=authors, year=year)
    data = head + file.read()
    if not data.strip():
        raise DocumentError(_EMPTY)
    _refuse_other_kinds(data.lstrip()[:HEAD_BYTES])
    return _read_text(data, shown, limits, on_page, stop)


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
    name = display_name(os.fspath(path))
    try:
        # Not blocking: a pipe or a device would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise DocumentError(f"There is no file “{name}”; check its name.") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise DocumentError(_BUSY) from None
        raise DocumentError(f"The file “{name}” cannot be opened; check that you may read it.") from None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise DocumentError(f"“{name}” is not a file; choose a PDF, .txt or .md file.")


def _megabytes(size: int) -> str:
    return f"{size / MiB:.0f} MB" if size >= 10 * MiB else f"{size / MiB:.1f} MB"


def _refuse_other_kinds(head: bytes) -> None:
    for magic, sentence in _KINDS:
        if head.startswith(magic):
            raise DocumentError(sentence)
    if _HTML.match(head.replace(b"\0", b"")):  # which UTF-16 puts beside every letter
        raise DocumentError(_WEB_PAGE)


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
    # Before anything is made of each.
    if (count := count_pages(text)) > limits.max_pages:
        raise DocumentError(too_many_pages(f"file has {count:,} pages", limits))
    if count_lines(text) > limits.max_characters // LINE_CHARACTERS:
        raise DocumentError("This file has far too many lines for a paper; choose a shorter one.")
    title, pages = split_pages(text, markdown=name.lower().endswith((".md", ".markdown")))
    if not readable([line.text for page in pages for line in page]):
        raise DocumentError(_UNSUPPORTED)
    for number in range(1, len(pages) + 1):
        on_page(Reading(number, len(pages)))
    for page in pages:
        for number, line in enumerate(page):
            check(stop)
            page[number] = replace(line, text=clean_characters(line.text))
    return _document(name, None, pages, None, notes, stop, title=title)


def _document(
    name: str,
    stated_title: str | None,
    pages: Pages,
    labels: Sequence[str] | None,
    notes: Sequence[str],
    stop: threading.Event | None,
    *,
    title: str | None = None,
) -> Document:
    labels = page_labels(labels, pages)
    result = run_together(pages, stated_title, title=title, fallback_title=name, check=partial(check, stop))
    document = Document(
        name,
        result.title,
        result.text,
        tuple(
            Page(number, start, end, label)
            for number, ((start, end), label) in enumerate(zip(result.page_ranges, labels, strict=True), 1)
        ),
        result.sections,
        tuple(notes),
    )
    return replace(document, language=language_of(document.text, document.body_ranges))
