"""The tokens written from one window as sentences, and the sentences of all windows as one summary."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from longt5.text.sentences import split_sentences

# Share of words in common, of all words in either, from which two sentences say the same.
SAME_WORDS = 0.7


@dataclass(frozen=True)
class DraftSentence:
    """A sentence with the half-open range of the written tokens it was made of."""

    text: str
    token_start: int
    token_end: int


def decoded(tokenizer: Any, token_ids: Sequence[int]) -> str:
    """The text of written tokens, special ones left out."""
    return tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def draft_sentences(tokenizer: Any, token_ids: Sequence[int]) -> list[DraftSentence]:
    """The sentences of the text of `token_ids`, in order."""
    text = decoded(tokenizer, token_ids)
    # A token's end in the text is the length of the text up to it. Bytes of an unfinished character decode
    # to a replacement sign, maybe longer than what it becomes: hence the running maximum and the cap.
    lengths = (len(decoded(tokenizer, token_ids[: i + 1])) for i in range(len(token_ids)))
    ends = [min(end, len(text)) for end in accumulate(lengths, max)]
    return [
        DraftSentence(text[start:end], bisect_right(ends, start), bisect_left(ends, end) + 1)
        for start, end in split_sentences(text)
    ]


def without_repeats(
    sentences: Sequence[DraftSentence], earlier: Sequence[str]
) -> tuple[list[DraftSentence], int]:
    """The sentences that none of the `earlier` ones said already, and how many were dropped."""
    said = [_words(sentence) for sentence in earlier]

    def is_repeat(words: frozenset[str]) -> bool:
        return any(len(words & others) / max(1, len(words | others)) >= SAME_WORDS for others in said)

    fresh = [sentence for sentence in sentences if not is_repeat(_words(sentence.text))]
    return fresh, len(sentences) - len(fresh)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))
