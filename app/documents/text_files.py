"""Plain text and Markdown files: bytes to text, text to pages of lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.documents.heading_names import named_kind
from app.documents.headings import heading_label
from app.documents.page_lines import Line, Pages

_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_LINE_END = re.compile(r"\r\n|[\n\r\v\x85\u2028\u2029]")
HEADING_CHARACTERS = 500
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*")
# Of Pandoc and its kin: `# References {.unnumbered}`.
_ATTRIBUTES = re.compile(r"\s*\{(?:[#.][^{}]*|-|[\w-]+=[^{}]*)\}\s*$")
_UNDERLINE = re.compile(r" {0,3}(={3,}|-{3,})\s*")
# What a line underlined so is no heading of: an item, a quotation, a table's row.
_NO_HEADING = re.compile(r"\s*(?:[-*+]\s|[>|])")
_FENCE = re.compile(r"\s*(`{3,}(?=[^`]*$)|~{3,})(.*)")
# What a file says of itself stands before the paper, between these lines.
_BLOCK_BEGINS, _BLOCK_ENDS = re.compile(r"---\s*"), re.compile(r"(?:---|\.\.\.)\s*")
BLOCK_LINES = 500
_KEY = re.compile(r"[\w-]+\s*:(?:\s|$)")
_TITLE_KEY = re.compile(r"title\s*:\s*(.*)", re.IGNORECASE)


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


def count_pages(text: str) -> int:
    """The pages that `split_pages` makes of a text."""
    return 1 + text.rstrip().count("\f")


def count_lines(text: str) -> int:
    """The lines that `split_pages` makes of a text, about."""
    return sum(map(text.count, "\n\r\v\f\x85\u2028\u2029")) - text.count("\r\n")


def split_pages(text: str, *, markdown: bool) -> tuple[str | None, Pages]:
    """Title, if Markdown gives one, and the lines of each page; form feeds part pages."""
    pages = [_LINE_END.split(part) for part in text.split("\f")]
    while len(pages) > 1 and not any(line.strip() for line in pages[-1]):
        pages.pop()
    if not markdown:
        return None, [[Line(line) for line in page] for page in pages]
    title, after = _front_block(pages[0])
    pages[0] = pages[0][after:]
    found = _with_headings(pages)
    return title or _first_title([line for page in found for line in page if line.level]), found


def _front_block(lines: Sequence[str]) -> tuple[str | None, int]:
    """The title in a block of YAML before the paper, and where the paper begins."""
    if len(lines) < 2 or not _BLOCK_BEGINS.fullmatch(lines[0]) or not _KEY.match(lines[1]):
        return None, 0
    ends = (
        number for number in range(1, min(len(lines), BLOCK_LINES)) if _BLOCK_ENDS.fullmatch(lines[number])
    )
    end = next(ends, 0)
    for number, line in enumerate(lines[:end]):
        if found := _TITLE_KEY.match(line):
            words = [found[1]]
            for following in lines[number + 1 : end]:
                if not following[:1].isspace():
                    break
                words.append(following)
            return _unquoted(" ".join(" ".join(words).split())) or None, end + 1
    return None, end + 1 if end else 0


def _unquoted(value: str) -> str:
    """A value of YAML without its quotation marks, or the sign that it stands in the lines below."""
    value = re.sub(r"^[|>][+-]?\s+", "", value)
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'").strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1]).strip()
    return value


def _first_title(headings: Sequence[Line]) -> str | None:
    """The first of the headings of the highest level, unless the sections begin with it."""
    for heading in headings:
        if heading.level > 1 or (kind := named_kind(heading.text)) == "front":
            continue
        label = heading_label(heading.text)
        # A letter is rather an article: `A survey of surveys`.
        numbered = label is not None and label.style != "letter"
        return None if kind or numbered else heading.text
    return None


def _with_headings(pages: Sequence[Sequence[str]]) -> Pages:
    """Lines of Markdown, its headings marked as such; what stands in a fence of code is none."""
    found: Pages = []
    fences = _fences(pages)
    for number, page in enumerate(pages):
        lines: list[Line] = []
        block = 0  # lines since the last that was empty, a heading or code
        for position, line in enumerate(page):
            code = (number, position) in fences
            heading = None if code else _heading(line, lines[-block:] if block in (1, 2) else ())
            if heading is None:
                lines.append(Line(line))
                block = 0 if code or not line.strip() else block + 1
                continue
            words, level, underlined = heading
            del lines[len(lines) - underlined :]
            # Headings stand alone, with or without empty lines around them.
            lines += [Line(""), Line(_ATTRIBUTES.sub("", words), bold=True, level=level), Line("")]
            block = 0
        found.append(lines)
    return found


def _heading(line: str, before: Sequence[Line]) -> tuple[str, int, int] | None:
    """Words and level of a heading that ends with a line, and how many of the lines before are underlined by it."""
    if len(line) >= HEADING_CHARACTERS:
        return None
    if found := _HEADING.fullmatch(line):
        return found[2], len(found[1]), 0
    underline = _UNDERLINE.fullmatch(line)
    if underline is None or not before or _NO_HEADING.match(before[0].text):
        return None
    words = " ".join(each.text.strip() for each in before)
    if len(words) >= HEADING_CHARACTERS:
        return None
    return words, 1 if underline[1][0] == "=" else 2, len(before)


def _fences(pages: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """Page and line of all that stands in fences of code; one that nothing closes would take the rest of the paper."""
    found: set[tuple[int, int]] = set()
    inside: list[tuple[int, int]] = []
    mark = ""
    for number, page in enumerate(pages):
        for position, line in enumerate(page):
            fence = _FENCE.fullmatch(line) if len(line) < HEADING_CHARACTERS else None
            if mark:
                inside.append((number, position))
                if fence and fence[1].startswith(mark) and not fence[2].strip():
                    found.update(inside)
                    mark = ""
            elif fence:
                mark, inside = fence[1], [(number, position)]
    return found
