"""Writing in quotes: which sentences of a window may be quoted, and where those that were come from."""

from __future__ import annotations

from itertools import accumulate

from app.documents import Document
from app.summarizing.drafts import DraftSentence
from app.summarizing.summary import Evidence
from app.summarizing.windows import TokenizedText, Window
from longt5.quote_search import Quoted
from longt5.quotes import quotable_sentences


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
