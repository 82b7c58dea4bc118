"""Writing in quotes: which sentences of a window may be quoted, and which ones were."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from app.drafts import DraftSentence
from app.summary import Evidence
from longt5.quotes import MOST_TOKENS, QuoteConstraint, is_quotable

if TYPE_CHECKING:
    from app.documents import Document
    from app.windows import TokenizedText, Window


class Quotes:
    """The sentences of one window that may be quoted.

    `constraint` makes the decoder write nothing else; it is None where there is no such sentence.
    """

    def __init__(
        self,
        document: Document,
        text: TokenizedText,
        window: Window,
        end_token: int,
        max_new_tokens: int,
    ) -> None:
        starts = text.sentence_starts
        bounds = [*starts[(starts >= window.start) & (starts < window.end)].tolist(), window.end]
        self._document = document
        self._sources: list[tuple[int, int]] = []  # characters of the document's text
        sentences: list[Sequence[int]] = []
        for first, after in pairwise(bounds):
            start, end = int(text.offsets[first][0]), int(text.offsets[after - 1][1])
            if after - first <= MOST_TOKENS and is_quotable(document.text[start:end]):
                self._sources.append((start, end))
                sentences.append(text.ids[first:after].tolist())
        self.constraint: QuoteConstraint | None = None
        if any(len(sentence) < max_new_tokens for sentence in sentences):
            self.constraint = QuoteConstraint(sentences, end_token, max_new_tokens)

    def read(self, token_ids: Sequence[int]) -> list[tuple[DraftSentence, Evidence]]:
        """What was quoted with `constraint`, in the paper's order, each with its own place as evidence."""
        found = []
        for place, first, after in sorted(self.constraint.quoted(token_ids) if self.constraint else ()):
            start, end = self._sources[place]
            quote = " ".join(self._document.text[start:end].split())
            evidence = Evidence(start, end, self._document.page_of(start), quote, score=1.0)
            found.append((DraftSentence(quote, first, after), evidence))
        return found
