"""Writing in quotes: which sentences of a window may be quoted, and where those that were come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from app.documents import Document
from app.summarizing.drafts import DraftSentence, nearest_count
from app.summarizing.summary import Evidence
from app.summarizing.windows import TokenizedText, Window
from longt5.quote_search import Quoted
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


class Quotes:
    """The sentences of one window that may be quoted; `sentences` are their tokens."""

    def __init__(self, document: Document, text: TokenizedText, window: Window) -> None:
        starts = text.sentence_starts
        inside = starts[(starts >= window.start) & (starts < window.end)] - window.start
        self._document = document
        self._sources = quotable_sentences(
            document.text,
            text.ids[window.start : window.end],
            text.offsets[window.start : window.end],
            inside.tolist(),
        )
        self.sentences = [source.tokens for source in self._sources]

    def chosen(self, token_ids: Sequence[int]) -> Quoted:
        """The sentences of which a row of tokens is made, as far as it is."""
        numbers = {tokens: number for number, tokens in reversed(list(enumerate(self.sentences)))}
        lengths = sorted({len(tokens) for tokens in numbers})
        indices: list[int] = []
        start = 0
        while True:
            fitting = [
                numbers[tokens]
                for length in lengths
                if (tokens := tuple(token_ids[start : start + length])) in numbers
            ]
            if not fitting:
                return Quoted(tuple(indices), tuple(token_ids[:start]))
            indices.append(fitting[-1])
            start += len(self.sentences[fitting[-1]])

    def nearest_to(self, words: int, quoted: Quoted) -> Quoted:
        """The first choices of those quoted that together come nearest to a number of words; one at least."""
        sources = (self._sources[number] for number in quoted.indices)
        count = nearest_count(words, (self._document.text[source.start : source.end] for source in sources))
        tokens = sum(len(self.sentences[number]) for number in quoted.indices[:count])
        return Quoted(quoted.indices[:count], quoted.token_ids[:tokens])

    def read(self, quoted: Quoted) -> list[tuple[DraftSentence, Evidence]]:
        """What was quoted, in the paper's order, each with its own passage as evidence."""
        ends = list(accumulate(len(self.sentences[number]) for number in quoted.indices))
        found = []
        for number, end in sorted(zip(quoted.indices, ends, strict=True)):
            source = self._sources[number]
            quote = " ".join(self._document.text[source.start : source.end].split())
            page = self._document.page_of(source.start)
            evidence = Evidence(source.start, source.end, page, quote, score=1.0)
            found.append((DraftSentence(quote, end - len(source.tokens), end), evidence))
        return found
