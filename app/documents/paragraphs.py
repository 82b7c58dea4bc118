"""Lines to paragraphs: where one ends and the next begins, and which of them are headings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from app.documents.page_lines import Line, Pages, line_spacing
from app.documents.text_cleaning import ends_with_hyphen, join_lines

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
_CAPTION = re.compile(
    r"(?:figure|fig\.|table|algorithm|listing|scheme|abbildung|tabelle)\s*\S*\d", re.IGNORECASE
)
# Headings are short; longer bold or large text is a title page, a caption or shouting.
HEADING_CHARACTERS = 120
LABEL_CHARACTERS = 30
# A figure and its labels come to fewer paragraphs than this.
INTERRUPTIONS = 60


@dataclass(frozen=True)
class Paragraph:
    """A run of lines joined into one; `size` and `bold` are those of its first line."""

    text: str
    heading: bool
    size: float
    bold: bool


@dataclass(frozen=True)
class Style:
    """A size in points and a font; both empty where there is no layout."""

    size: float
    font: str


def body_style(pages: Pages) -> Style:
    """What most characters are set in."""
    styles: Counter[tuple[float, str]] = Counter()
    for page in pages:
        for line in page:
            styles[line.size, line.font] += len(line.text)
    # Lines of several fonts say nothing about the usual one.
    named = [style for style in styles if style[1]] or list(styles)
    return Style(*max(named, key=lambda style: styles[style])) if named else Style(0.0, "")


def split_paragraphs(
    page: list[Line], body: Style, words: Counter[str], *, check: Callable[[], None]
) -> list[Paragraph]:
    """The paragraphs of one page, in reading order; empty lines end a paragraph.

    `body` is the document's `body_style`, `words` its `count_words`, which decides about hyphens at line ends;
    `check` is called often and may raise to stop the work.
    """
    spacing = line_spacing(page)
    width = _usual_width(page)
    groups: list[list[Line]] = []
    fresh = True
    for place, line in enumerate(page):
        check()
        if not line.text:
            fresh = True
            continue
        following = page[place + 1] if place + 1 < len(page) else None
        if fresh or _begins_paragraph(groups[-1], line, following, body, spacing, width):
            groups.append([line])
        else:
            groups[-1].append(line)
        fresh = False
    if spacing:
        groups = mend_interruptions(gather_labels(groups, body), body, width)
    paragraphs = []
    for group in groups:
        check()
        paragraphs.append(_paragraph(group, body, words))
    return paragraphs


def _paragraph(group: list[Line], body: Style, words: Counter[str]) -> Paragraph:
    text = join_lines((line.text for line in group), words)
    first = group[0]
    heading = is_heading(text, first, body) or (len(group) == 1 and _is_quiet_heading(first, body))
    return Paragraph(text, heading, first.size, first.bold)


def _usual_width(page: list[Line]) -> float:
    """A full line's length in characters: most lines of running text come near it."""
    lengths = sorted(len(line.text) for line in page if len(line.text) > 20)
    return lengths[int(0.7 * len(lengths))] if lengths else 0.0


def is_heading(text: str, line: Line, body: Style) -> bool:
    """Whether a line (or a few, joined) in the style of `line` is a heading."""
    if len(text) > HEADING_CHARACTERS or not any(character.isalpha() for character in text):
        return False
    if _NAMED_HEADING.fullmatch(text):
        return True
    if line.bold or (body.size > 0 and line.size > 1.08 * body.size):
        return not text.endswith((".", ",", ";")) and len(text) > 2
    # Without a layout the pattern has to do; with one, ordinary lines that start with a number are common.
    return (
        len(text) < 80 and (not body.size or text.isupper()) and _NUMBERED_HEADING.fullmatch(text) is not None
    )


def _is_quiet_heading(line: Line, body: Style) -> bool:
    """A short line in a font of its own, as italic or small-capital headings are; formulas look much like it."""
    if not line.font or not body.font or line.font == body.font or line.size < 0.9 * body.size:
        return False
    text = line.text
    return (
        len(text) < 80
        and (text[0].isupper() or text[0].isdigit())
        and text[-1].isalnum()
        and len(text) - sum(map(str.isalpha, text)) < 0.3 * len(text)
        and any(len(word) > 3 for word in text.split())
    )


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
    group: list[Line], line: Line, following: Line | None, body: Style, spacing: float, width: float
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
        ends_with_hyphen(last.text)
        and line.text[0].islower()
        and abs(line.size - last.size) < 0.3 * last.size
    ):
        return False
    if min(len(line.text), len(last.text)) > 3:  # shorter pieces are parts of formulas
        if abs(line.size - last.size) > 0.12 * max(line.size, last.size):
            return True
        if last.bold != line.bold:
            return not goes_on
    if _is_quiet_heading(line, body) and line.font != last.font and _SENTENCE_END.search(last.text):
        return True
    if (
        len(group) == 1
        and _is_quiet_heading(last, body)
        and line.font != last.font
        and line.text[0].isupper()
    ):
        return True
    if down < 0:  # the next column, or a box elsewhere on the page
        return not goes_on and bool(
            _SENTENCE_END.search(last.text) or len(last.text) < 0.6 * width or _ITEM.match(line.text)
        )
    if down > 1.45 * max(spacing, 1.2 * line.size):
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
    if step < indent < 6 * line.size and ended and not goes_on:
        # A first line is indented and the next one is not; in a hanging entry both are.
        return following is None or following.x < line.x - 1 or following.y > line.y
    if indent < -step and len(group) > 1 and abs(group[1].x - last.x) < 1 and group[0].x < last.x - 1:
        return True  # back to the left after the indented lines of a hanging entry
    return bool(_FULL_STOP.search(last.text)) and len(last.text) < 0.7 * width and abs(indent) < 6 * line.size


def mend_interruptions(groups: list[list[Line]], body: Style, width: float) -> list[list[Line]]:
    """Put paragraphs that a figure, a footnote or a side box cut in two together again; those come after them.

    A paragraph that begins the page in mid-sentence goes before the figure over it, and one that ends it in
    mid-sentence after the footnotes under it, so that it can go on across the page break.
    """
    rest = list(groups)
    start = _count_interruptions(rest, body)
    if (
        0 < start < min(len(rest), INTERRUPTIONS)
        and rest[start][0].text[0].islower()
        and _is_body(rest[start], body)
    ):
        rest.insert(0, rest.pop(start))
    result: list[list[Line]] = []
    while rest:
        group = rest.pop(0)
        while _is_body(group, body) and len(group) > 1 and _is_open(group, width):
            between = _count_interruptions(rest, body)
            if between == len(rest):
                result += rest
                rest = []
                break
            if (
                between in (0, INTERRUPTIONS)
                or not rest[between][0].text[0].islower()
                or not _is_body(rest[between], body)
            ):
                break
            group = group + rest.pop(between)
        result.append(group)
    return result


def _count_interruptions(groups: list[list[Line]], body: Style) -> int:
    """How many paragraphs at the start are no running text, counted up to `INTERRUPTIONS`."""
    near = groups[:INTERRUPTIONS]
    return next((place for place, group in enumerate(near) if not _interrupts(group, body)), len(near))


def _is_body(group: list[Line], body: Style) -> bool:
    first = group[0]
    return abs(first.size - body.size) <= 0.06 * body.size and (
        first.font in ("", body.font) or len(group) > 2
    )


def _is_open(group: list[Line], width: float) -> bool:
    """Whether the last line is a full one and no sentence ends with it."""
    last = group[-1].text
    return ends_with_hyphen(last) or (_SENTENCE_END.search(last) is None and len(last) > 0.6 * width)


def _interrupts(group: list[Line], body: Style) -> bool:
    """Whether this is something other than running text or a heading: a label, a caption, a footnote."""
    if len(group) > 3 and all(len(line.text) <= LABEL_CHARACTERS for line in group):
        return True
    if is_heading(group[0].text, group[0], body):
        return False
    short = len(group) == 1 and len(group[0].text) <= LABEL_CHARACTERS and not _ITEM.match(group[0].text)
    return short or _CAPTION.match(group[0].text) is not None or not _is_body(group, body)


def gather_labels(groups: list[list[Line]], body: Style) -> list[list[Line]]:
    """Join the many short lines that a figure or a table leaves into one paragraph."""
    result: list[list[Line]] = []
    labels: list[list[Line]] = []
    for group in [*groups, []]:
        is_label = bool(group) and _is_label(group)
        if is_label and (not labels or _go_together(labels[-1][-1], group[0], body)):
            labels.append(group)
            continue
        result += [[line for label in labels for line in label]] if len(labels) > 3 else labels
        labels = [group] if is_label else []
        if group and not is_label:
            result.append(group)
    return result + labels


def _is_label(group: list[Line]) -> bool:
    return (
        len(group) <= 2
        and all(len(line.text) <= LABEL_CHARACTERS for line in group)
        and not _ITEM.match(group[0].text)
        and not _NAMED_HEADING.fullmatch(group[0].text)
        and not _NUMBERED_HEADING.fullmatch(group[0].text)
        and (not _FULL_STOP.search(group[-1].text) or len(group[-1].text) == 1)
    )


def _go_together(last: Line, line: Line, body: Style) -> bool:
    """Labels in large or bold type look like headings; only a run of them in one style is labels."""
    if not is_heading(last.text, last, body) and not is_heading(line.text, line, body):
        return True
    return last.size == line.size and last.bold == line.bold


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
    if _ITEM.match(line.text) or line.text.startswith(("- ", "+ ")):
        return True
    if goes_on:
        return False
    return width > 140 or (bool(_SENTENCE_END.search(last.text)) and len(last.text) < 0.8 * width)
