"""What of a text may be quoted: whole sentences of running text, with their characters and tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LEAST_WORDS = 6  # fewer are headings, captions and the debris of formulas
MOST_TOKENS = 120  # more are lists, or what was left of a table
# From a capital, digit or opening mark to a full stop, maybe with references after it. Public sets of papers are
# split into words, so a space may stand before the full stop.
_WHOLE_SENTENCE = re.compile(
    r"[\"“‘(\[]?\s?[A-Z0-9].*[a-zA-Z0-9)\]”’\"%]\s?[.!?]\s?[\"”’)\]]*(\s*\[[\d,;–\s-]+\])?", re.S
)


@dataclass(frozen=True)
class QuotableSentence:
    """A sentence: `text[start:end]`, and its tokens."""

    start: int
    end: int
    tokens: tuple[int, ...]


def quotable_sentences(
    text: str, ids: np.ndarray, offsets: np.ndarray, starts: Sequence[int]
) -> list[QuotableSentence]:
    """The sentences of a tokenized text that may be quoted, in order.

    Args:
        ids: `(tokens,)`.
        offsets: `(tokens, 2)` the half-open range of characters of each token.
        starts: the first token of each sentence, ascending; a sentence goes on to the next one or the last token.
    """
    found = []
    cased = not text.islower()  # public sets of papers are not
    for first, after in pairwise([*starts, len(ids)]):
        if 0 < after - first <= MOST_TOKENS:
            begin = int(offsets[first, 0])
            piece = text[begin : int(offsets[after - 1, 1])]  # tokens may hold the white space around
            start = begin + len(piece) - len(piece.lstrip())
            sentence = piece.strip()
            if is_quotable(sentence if cased else sentence.upper()):
                found.append(QuotableSentence(start, start + len(sentence), tuple(ids[first:after].tolist())))
    return found


def is_quotable(sentence: str) -> bool:
    """Whether it looks like a whole sentence of running text."""
    words = sentence.split()
    letters = sum(character.isalpha() for character in sentence)
    return (
        len(words) >= LEAST_WORDS
        and letters >= 0.6 * len("".join(words))
        and _WHOLE_SENTENCE.fullmatch(sentence.strip()) is not None
    )
