"""Lines to paragraphs: where one ends and the next begins, and which of them are headings."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from app.page_lines import Line, Pages, line_spacing
from app.text_cleaning import ends_with_hyphen, join_lines

_SENTENCE_END = re.compile(r"[.!?:;。！？：；][\"'’”)\]»]*$")
_FULL_STOP = re.compile(r"[.!?。！？][\"'’”)\]»]*$")
_ITEM = re.compile(r"(?:[•▪‣◦●■◆–—*]|\[\d{1,3}\]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5})[.)])\s+\S")
_NUMBERED_HEADING = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[A-Z](?:\.\d{1,2}){1,3}\.?|[A-Z]\.|[IVX]{1,5}\.)\s+[A-Z][^.]*[^.,;:]"
)
_NAMED_HEADING = re.compile(
    r"(?:\d{1,2}\.?\s+|[IVX]{1,5}\.\s+)?(?:abstract|summary|introduction|background|related work|methods?|"
    r"materials and methods|methodology|experiments?|experimental (?:setup|results)|evaluation|results|"
    r"results and discussion|discussion|limitations|conclusions?|conclusions? and future work|future work|"
    r"acknowledge?ments?|references|bibliography|appendix|keywords|contents|author contributions|"
    r"supporting information|competing interests|funding)\s*:?",
    re.IGNORECASE,
)
# Headings are short; longer bold or large text is a title page, a caption or shouting.
HEADING_CHARACTERS = 120


@dataclass(frozen=True)
class Paragraph:
    """A run of lines joined into one; `size` and `bold` are those of its first line."""

    text: str
    heading: bool
    size: float
    bold: bool
    x: float


def body_size(pages: Pages) -> float:
    """The size most characters are set in, in points; 0 without a layout."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page:
            sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def split_paragraphs(page: list[Line], body: float, words: Counter[str]) -> list[Paragraph]:
    """The paragraphs of one page, in the order of its lines; empty lines end a paragraph.

    `body` is the document's `body_size`, `words` its `count_words`, which decides about hyphens at line ends.
    """
    spacing = line_spacing(page)
    width = _usual_width(page)
    groups: list[list[Line]] = []
    fresh = True
    for place, line in enumerate(page):
        if not line.text:
            fresh = True
            continue
        following = page[place + 1] if place + 1 < len(page) else None
        if fresh or _begins_paragraph(groups[-1], line, following, body, spacing, width):
            groups.append([line])
        else:
            groups[-1].append(line)
        fresh = False
    return [_paragraph(group, body, words) for group in groups]


def _paragraph(group: list[Line], body: float, words: Counter[str]) -> Paragraph:
    text = ""
    for line in group:
        text = join_lines(text, line.text, words)
    first = group[0]
    return Paragraph(text, is_heading(text, first, body), first.size, first.bold, first.x)


def _usual_width(page: list[Line]) -> float:
    """A full line's length in characters: most lines of running text come near it."""
    lengths = sorted(len(line.text) for line in page if len(line.text) > 20)
    return lengths[int(0.7 * len(lengths))] if lengths else 0.0


def is_heading(text: str, line: Line, body: float) -> bool:
    """Whether a line (or a few, joined) in the style of `line` is a heading."""
    if len(text) > HEADING_CHARACTERS or not any(character.isalpha() for character in text):
        return False
    if _NAMED_HEADING.fullmatch(text):
        return True
    stands_out = line.bold or (body > 0 and line.size > 1.08 * body)
    if stands_out and not text.endswith((".", ",", ";")) and len(text) > 2:
        return True
    if _NUMBERED_HEADING.fullmatch(text) is None or len(text) > 80:
        return False
    # Without a layout the pattern has to do; with one, an ordinary line that starts with a number is one.
    return stands_out or body == 0 or line.size >= body


def goes_on_after(last: Paragraph, following: Paragraph) -> bool:
    """Whether a page's first paragraph is the second half of the last one of the page before."""
    if last.heading or following.heading or last.bold != following.bold:
        return False
    if abs(last.size - following.size) > 0.12 * max(last.size, following.size):
        return False
    return ends_with_hyphen(last.text) or (
        following.text[0].islower() and _FULL_STOP.search(last.text) is None
    )


def _begins_paragraph(
    group: list[Line], line: Line, following: Line | None, body: float, spacing: float, width: float
) -> bool:
    last = group[-1]
    if is_heading(line.text, line, body) or is_heading(last.text, last, body):
        return not _same_heading(last, line, spacing)
    goes_on = ends_with_hyphen(last.text) or (line.text[0].islower() and not _FULL_STOP.search(last.text))
    if not spacing or not (line.size and last.size):
        return _begins_plain(last, line, width, goes_on)
    down = last.y - line.y
    if abs(down) < 0.6 * spacing and line.x >= last.x - 1:
        return False  # pieces of one line: formulas, table cells
    if (
        abs(line.size - last.size) > 0.12 * max(line.size, last.size)
        and min(len(line.text), len(last.text)) > 3
    ):
        return True
    if last.bold != line.bold and (last.bold or line.bold) and min(len(line.text), len(last.text)) > 3:
        return not goes_on
    if down < 0:  # the next column, or a box elsewhere on the page
        return not goes_on and bool(
            _SENTENCE_END.search(last.text) or len(last.text) < 0.6 * width or _ITEM.match(line.text)
        )
    if down > 1.45 * spacing * max(1.0, line.size / body if body else 1.0):
        return not (goes_on and down < 2.6 * spacing)
    if ends_with_hyphen(last.text):
        return False
    indent = line.x - last.x
    if _ITEM.match(line.text) and (
        _SENTENCE_END.search(last.text) or indent < -1 or _ITEM.match(group[0].text)
    ):
        return True
    ended = bool(_SENTENCE_END.search(last.text))
    step = 0.5 * line.size
    if step < indent < 6 * line.size and ended:
        # A first line is indented and the next one is not; in a hanging entry both are.
        return following is None or following.x < line.x - 1 or following.y > line.y
    if indent < -step and len(group) > 1 and abs(group[1].x - last.x) < 1 and group[0].x < last.x - 1:
        return True  # back to the left after the indented lines of a hanging entry
    return bool(_FULL_STOP.search(last.text)) and len(last.text) < 0.7 * width and abs(indent) < 6 * line.size


def _same_heading(last: Line, line: Line, spacing: float) -> bool:
    """Whether two lines that look like headings are one heading of two lines."""
    if last.bold != line.bold or abs(last.size - line.size) > 0.1 or not line.size:
        return False
    if (
        _NAMED_HEADING.fullmatch(last.text)
        or _NAMED_HEADING.fullmatch(line.text)
        or _NUMBERED_HEADING.match(line.text)
    ):
        return False
    return 0 <= last.y - line.y < 1.6 * max(spacing, line.size)


def _begins_plain(last: Line, line: Line, width: float, goes_on: bool) -> bool:
    """The same question without a layout: hard-wrapped text, or a paragraph a line."""
    if goes_on and not _ITEM.match(line.text):
        return False
    if _ITEM.match(line.text):
        return True
    return width > 140 or (bool(_SENTENCE_END.search(last.text)) and len(last.text) < 0.8 * width)
