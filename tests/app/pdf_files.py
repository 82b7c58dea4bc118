"""PDF files written byte by byte, good and bad, so that a bare checkout can test the reading of them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# What the parent asks of the child that reads a PDF.
ORDERS: dict[str, Any] = {
    "password": None,
    "max_pages": 100,
    "page_characters": 100_000,
    "page_seconds": 5.0,
    "memory_bytes": 1 << 30,
    "cpu_seconds": 30,
}
LOREM = "The quick brown fox jumps over the lazy dog and then goes home to write a long paper about it."


def pdf(objects: dict[int, bytes], *, trailer: bytes = b"") -> bytes:
    """A PDF of numbered objects (1 is the catalog) with a right cross-reference table."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    size = max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        out += b"%010d 00000 %s \n" % (offsets.get(number, 0), b"n" if number in offsets else b"f")
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, start)
    return bytes(out)


def stream(data: bytes, extra: bytes = b"") -> bytes:
    deflated = zlib.compress(data, 9)
    return b"<< /Length %d /Filter /FlateDecode %s >>\nstream\n%s\nendstream" % (
        len(deflated),
        extra,
        deflated,
    )


def show(text: str, x: float, y: float, *, size: float = 10, font: str = "F1") -> bytes:
    """One line of text at a position."""
    escaped = text.encode("cp1252").replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
    return b"BT /%s %g Tf 1 0 0 1 %g %g Tm (%s) Tj ET\n" % (font.encode(), size, x, y, escaped)


def lines(*texts: str, x: float = 72, top: float = 700, step: float = 12, size: float = 10) -> bytes:
    """Lines of one column, from the top down."""
    return b"".join(show(text, x, top - step * number, size=size) for number, text in enumerate(texts))


def pdf_of(contents: Sequence[bytes], *, info: bytes = b"", page: bytes = b"") -> bytes:
    """A PDF with a page for each content stream; font F1 is Times, F2 its bold, F3 its italic.

    What stands in `page` is said of every page: `/Rotate 90`.
    """
    count = len(contents)
    kids = b" ".join(b"%d 0 R" % (10 + 2 * number) for number in range(count))
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count),
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding >>",
        4: b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Bold /Encoding /WinAnsiEncoding >>",
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Italic /Encoding /WinAnsiEncoding >>",
        6: b"<< %s >>" % info,
    }
    streams = {content: stream(content) for content in set(contents)}  # hundreds of slow pages are alike
    for number, content in enumerate(contents):
        objects[10 + 2 * number] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R /F2 4 0 R /F3 5 0 R >> >> %s >>" % (11 + 2 * number, page)
        )
        objects[11 + 2 * number] = streams[content]
    return pdf(objects, trailer=b"/Info 6 0 R")


def write(folder: Path, data: bytes, name: str = "paper.pdf") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def page_tree_cycle() -> bytes:
    return pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Pages /Kids [2 0 R] /Count 1 /Parent 2 0 R >>",
        }
    )


def zip_bomb() -> bytes:
    """200 MB of spaces in 200 KB."""
    return pdf_of([b" " * 200_000_000])


def memory_bomb() -> bytes:
    """29 MB of one string: within the limits of size, but not in a small memory."""
    return pdf_of([b"BT /F1 9 Tf (" + b"\\(" * 14_500_000 + b") Tj ET"])


def endless_forms(*, good_pages: int = 0) -> bytes:
    """Forms that draw forms: ten to the tenth power drawings of one line on the first page; good pages follow it."""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R %s] /Count %d >>" % (b"6 0 R " * good_pages, 1 + good_pages),
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /XObject << /X 10 0 R >> >> >>",
        4: stream(b"/X Do"),
        6: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 7 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        7: stream(lines(LOREM)),
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>",
    }
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << "
    for level in range(10):
        objects[10 + level] = stream(b"/X Do " * 10, form + b"/XObject << /X %d 0 R >> >>" % (11 + level))
    objects[20] = stream(lines(LOREM), form + b"/Font << /F1 5 0 R >> >>")
    return pdf(objects)


def font_bomb(pages: int = 1) -> bytes:
    """A font whose every two-byte code stands for 250 letters, and 800,000 codes: 200 MB of text."""
    cmap = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        b"1 begincodespacerange <0000> <ffff> endcodespacerange\n"
        b"1 beginbfchar <0041> <" + b"0061" * 250 + b"> endbfchar\nendcmap end end"
    )
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b"3 0 R " * pages, pages),
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        4: stream(b"BT /F1 9 Tf <" + b"0041" * 800_000 + b"> Tj ET"),
        5: b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H"
        b" /DescendantFonts [6 0 R] /ToUnicode 7 0 R >>",
        6: b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X"
        b" /CIDSystemInfo << /Registry (A) /Ordering (I) /Supplement 0 >> >>",
        7: stream(cmap),
    }
    return pdf(objects)


def slow_page() -> bytes:
    """A page that is within every limit of size and takes seconds: operators that move text about."""
    return b"BT /F1 9 Tf " + b"1 0 0 1 9 9 Tm " * 500_000 + b"(some words) Tj ET"
