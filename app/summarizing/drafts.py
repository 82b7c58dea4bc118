"""The tokens written of a piece as sentences."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from longt5.text.citations import without_citations
from longt5.text.sentences import may_end_text, split_sentences

# Share of words in common, of all words in either, from which two sentences say the same.
SAME_WORDS = 0.7
# Words said twice in a row: "P. mirabilis (Pisauridae) mirabilis (Pisauridae)".
_STUTTER = re.compile(r"(?<!\S)(\S+(?: \S+){1,7})(?: \1)+(?!\S)")


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
    """The sentences of the text of `token_ids`, in order, without the citations copied with them."""
    text = decoded(tokenizer, token_ids)
    # A token's end in the text is the length of the text up to it. Bytes of an unfinished character decode
    # to a replacement sign, maybe longer than what it becomes: hence the running maximum and the cap.
    lengths = (len(decoded(tokenizer, token_ids[: i + 1])) for i in range(len(token_ids)))
    ends = [min(end, len(text)) for end in accumulate(lengths, max)]
    return [
        DraftSentence(sentence, bisect_right(ends, start), bisect_left(ends, end) + 1)
        for start, end in split_sentences(text)
        if (sentence := _STUTTER.sub(r"\1", without_citations(text[start:end])))
    ]


def finished_sentences(tokenizer: Any, token_ids: Sequence[int]) -> list[DraftSentence]:
    """The same of a text that may break off within its last sentence, which is left out then."""
    drafts = draft_sentences(tokenizer, token_ids)
    return [
        draft for number, draft in enumerate(drafts, 1) if number < len(drafts) or may_end_text(draft.text)
    ]


def nearest_count(words: int, texts: Iterable[str]) -> int:
    """How many of the texts, from the first one on, come nearest to a number of words; one at least."""
    totals = list(accumulate(len(text.split()) for text in texts))
    return 1 + min(range(len(totals)), key=lambda last: abs(totals[last] - words), default=-1)


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
