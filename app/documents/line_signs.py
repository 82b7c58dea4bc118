"""What a line tells: a sentence ends, a word goes on, an item, a caption or a heading begins."""

from __future__ import annotations

import re

from app.documents.page_lines import Line
from app.documents.type_styles import LARGER, Style

_SENTENCE_END = re.compile(r"[.!?:;。！？：；][\"'’”)\]»]*$")
_FULL_STOP = re.compile(r"[.!?。！？][\"'’”)\]»]*$")
_LINE_END_HYPHEN = re.compile(r"[^\W\d_][-\u2010]")
_ITEM = re.compile(r"(?:[•▪‣◦●■◆–—*]|\[\d{1,3}\]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5})[.)])\s+\S")
_CAPTION = re.compile(
    r"(?:figure|fig\.|table|algorithm|listing|scheme|abbildung|tabelle)\s*\S*\d", re.IGNORECASE
)
_NUMBERED = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[A-Z](?:\.\d{1,2}){1,3}\.?|[A-Z]\.|[IVX]{1,5}\.)\s+[A-Z][^.]*[^.,;:]"
)
_NAMED = re.compile(
    r"(?:\d{1,2}\.?\s+|[IVX]{1,5}\.\s+)?(?:abstract|summary|introduction|background|related work|methods?|"
    r"materials and methods|methodology|experiments?|experimental (?:setup|results)|evaluation|results|"
    r"results and discussion|discussion|limitations|conclusions?|conclusions? and future work|future work|"
    r"acknowledge?ments?|references|bibliography|appendix|keywords|contents|author contributions|"
    r"supporting information|competing interests|funding)\s*:?",
    re.IGNORECASE,
)
# Headings are short; longer bold or large text is a title page, a caption or shouting.
HEADING_CHARACTERS = 120
# Without bold or large type a heading has to be shorter still, or it is a line of text that looks like one.
PLAIN_HEADING_CHARACTERS = 80
# The two lines of one heading are set in the same size, but for rounding, in points ...
_ROUNDING = 0.1
# ... and are no further apart than this many lines.
_HEADING_SPACING = 1.6


def ends_sentence(text: str) -> bool:
    """Whether a sentence, or a part of one that may stand alone (colon, semicolon), ends with it."""
    return _SENTENCE_END.search(text) is not None


def ends_with_full_stop(text: str) -> bool:
    """Whether a whole sentence ends with it."""
    return _FULL_STOP.search(text) is not None


def ends_with_hyphen(text: str) -> bool:
    """Whether a word may go on in the next line."""
    return _LINE_END_HYPHEN.fullmatch(text[-2:]) is not None


def goes_on(text: str, following: str) -> bool:
    """Whether a word or a sentence of `text` is cut in two, and `following` may be its second half."""
    return ends_with_hyphen(text) or (following[0].islower() and not ends_with_full_stop(text))


def begins_item(text: str) -> bool:
    """Whether an item of a list begins, with a bullet, a number or a letter."""
    return _ITEM.match(text) is not None


def begins_caption(text: str) -> bool:
    """Whether it is the number of a figure, table or algorithm, and what that shows."""
    return _CAPTION.match(text) is not None


def is_heading(text: str, line: Line, body: Style) -> bool:
    """Whether a line (or a few, joined) in the style of `line` is a heading."""
    if len(text) > HEADING_CHARACTERS or not any(character.isalpha() for character in text):
        return False
    if _NAMED.fullmatch(text):
        return True
    if line.bold or (body.size > 0 and line.size > LARGER * body.size):
        return not text.endswith((".", ",", ";")) and len(text) > 2
    # Without a layout the pattern has to do; with one, ordinary lines that start with a number are common.
    short = len(text) < PLAIN_HEADING_CHARACTERS
    return short and (not body.size or text.isupper()) and _NUMBERED.fullmatch(text) is not None


def is_quiet_heading(line: Line, body: Style) -> bool:
    """Whether it is a short line in a font of its own, as italic or small-capital headings are.

    Formulas look much like it: so it begins with a capital or a number, ends with a letter or a number, is mostly
    letters and has a word.
    """
    # Smaller type is a footnote or an index of a formula.
    if not line.font or not body.font or line.font == body.font or line.size < 0.9 * body.size:
        return False
    text = line.text
    return (
        len(text) < PLAIN_HEADING_CHARACTERS
        and (text[0].isupper() or text[0].isdigit())
        and text[-1].isalnum()
        and len(text) - sum(map(str.isalpha, text)) < 0.3 * len(text)
        and any(len(word) > 3 for word in text.split())
    )


def says_heading(text: str) -> bool:
    """Whether the words alone make a heading: a usual name, or a number and a capital."""
    return _NAMED.fullmatch(text) is not None or _NUMBERED.fullmatch(text) is not None


def is_one_heading(first: Line, second: Line, spacing: float) -> bool:
    """Whether two lines that look like headings are one heading of two lines."""
    if first.bold != second.bold or abs(first.size - second.size) > _ROUNDING or not second.size:
        return False
    # A heading in capitals, set like the text under it otherwise.
    if first.text.isupper() and not second.text.isupper():
        return False
    if _NAMED.fullmatch(first.text) or _NAMED.fullmatch(second.text) or _NUMBERED.match(second.text):
        return False
    return 0 <= first.y - second.y < _HEADING_SPACING * max(spacing, second.size)
