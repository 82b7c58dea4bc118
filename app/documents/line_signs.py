"""What the first and last characters of a line tell: a sentence ends, a word goes on, an item begins."""

from __future__ import annotations

import re

_SENTENCE_END = re.compile(r"[.!?:;。！？：；][\"'’”)\]»]*$")
_FULL_STOP = re.compile(r"[.!?。！？][\"'’”)\]»]*$")
_LINE_END_HYPHEN = re.compile(r"[^\W\d_][-\u2010]")
_ITEM = re.compile(r"(?:[•▪‣◦●■◆–—*]|\[\d{1,3}\]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5})[.)])\s+\S")
_CAPTION = re.compile(
    r"(?:figure|fig\.|table|algorithm|listing|scheme|abbildung|tabelle)\s*\S*\d", re.IGNORECASE
)


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
