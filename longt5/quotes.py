"""What of a text may be quoted: whole sentences of running text, with their characters and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from longt5.text.sentences import is_whole_sentence

MOST_TOKENS = 120  # more are lists, or what was left of a table


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
    cased = not text.islower()
    for first, after in pairwise([*starts, len(ids)]):
        if 0 < after - first <= MOST_TOKENS:
            begin = int(offsets[first, 0])
            piece = text[begin : int(offsets[after - 1, 1])]  # tokens may hold the white space around
            start = begin + len(piece) - len(piece.lstrip())
            sentence = piece.strip()
            if is_whole_sentence(sentence, cased):
                found.append(QuotableSentence(start, start + len(sentence), tuple(ids[first:after].tolist())))
    return found
