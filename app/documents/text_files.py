"""Plain text and Markdown files: bytes to text, text to pages of lines."""

from __future__ import annotations

import re

from app.documents.page_lines import Line, Pages

_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
HEADING_CHARACTERS = 500
_HEADING = re.compile(r"(#{1,6})\s+(.*?)(?:\s+#+)?\s*")


class NotText(Exception):
    """The bytes are not text in an encoding that can be told."""


def decode(data: bytes) -> str:
    """UTF-8, UTF-16 by its mark, else Western European if the bytes look like it.

    Raises:
        NotText: they are none of these.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError:
            raise NotText from None
    if len(_CONTROLS.findall(data)) > 0.01 * len(data):
        raise NotText
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    # Any bytes can be read as Western European; text is mostly ASCII in it.
    if len(data.translate(None, bytes(range(128)))) > 0.3 * len(data):
        raise NotText
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def split_pages(text: str, *, markdown: bool) -> tuple[str | None, Pages]:
    """Title, if a Markdown heading gives one, and the lines of each page; form feeds part pages."""
    title = None
    pages = []
    for part in text.split("\f"):
        lines: list[Line] = []
        for line in re.split(r"\r\n|[\n\r\v\x85\u2028\u2029]", part):
            heading = _HEADING.fullmatch(line) if markdown and len(line) < HEADING_CHARACTERS else None
            if heading is None:
                lines.append(Line(line))
                continue
            if heading[1] == "#" and title is None:
                title = heading[2]
            # Headings stand alone, with or without empty lines around them.
            lines += [Line(""), Line(heading[2], bold=True, level=len(heading[1])), Line("")]
        pages.append(lines)
    while len(pages) > 1 and not any(line.text.strip() for line in pages[-1]):
        pages.pop()
    return title, pages
