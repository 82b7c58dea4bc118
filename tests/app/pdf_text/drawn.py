"""Pages drawn for tests, and what is read of them."""

from __future__ import annotations

import io
from typing import Any

import pypdf

from app.pdf_text.page_text import PageText, read_page
from tests.app import pdf_files
from tests.app.pdf_files import stream

TIMES = b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding >>"


def read(content: bytes, font: bytes = TIMES, objects: dict[int, bytes] | None = None) -> PageText:
    """What is read of a page with one font, F1, whose objects are numbered from 20; object 30 may be a form, X1."""
    data = pdf_files.pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> /ExtGState << /G1 << /ca 0 >> >>"
            b" /XObject << /X1 30 0 R >> >> >>",
            4: stream(content),
            5: font,
            **(objects or {}),
        }
    )
    page: Any = pypdf.PdfReader(io.BytesIO(data)).pages[0]
    return read_page(page, {}, 100_000)


def texts(content: bytes, font: bytes = TIMES, objects: dict[int, bytes] | None = None) -> list[str]:
    """The lines that are read of a page."""
    return [line.text for line in read(content, font, objects).lines]


def tj(array: bytes, x: float = 72, y: float = 700, size: float = 10) -> bytes:
    """A line of strings and the gaps between them."""
    return b"BT /F1 %g Tf %g %g Td [%s] TJ ET\n" % (size, x, y, array)
