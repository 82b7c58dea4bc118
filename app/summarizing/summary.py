"""What a summary is made of: the events on the way to it, the finished thing. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from app.documents import Document, Reading
from app.summarizing.settings import SummarySettings


@dataclass(frozen=True)
class Queued:
    """Waiting for the model, or for the file to be read; `position` 1 is next."""

    position: int
    seconds: float | None = None
    """How long that will be, as far as can be foreseen."""
    to_be_read: bool = False
    """Whether it is the file that waits."""


@dataclass(frozen=True)
class Read:
    """The file has been read; what was found in it."""

    document: Document


@dataclass(frozen=True)
class LoadingModel:
    """The model is being loaded (or downloaded first)."""

    name: str


Doing: TypeAlias = Literal["reading", "writing", "looking up"]


@dataclass(frozen=True)
class Working:
    """The model is at work; step `step` (1-based) of `steps`."""

    doing: Doing
    """Reading the paper, writing about it, or looking up where sentences come from."""
    what: str
    """What of the paper it is about, in words: "the paper", "pages 31 to 60", "3 Methods", "the parts"."""
    step: int
    steps: int
    fraction: float
    """How much of all steps is done, 0..1; it never falls."""
    seconds_left: float | None
    """Seconds until the summary is done, as far as can be foreseen; None until known."""
    parts: tuple[Part, ...]
    """What has been written so far; the last one may still grow, and its sentences have no evidence yet."""


@dataclass(frozen=True)
class Evidence:
    """One passage of the paper that a summary sentence rests on."""

    start: int
    end: int
    """Half-open range of `Document.text`."""
    page: int
    """1-based page on which the passage starts."""
    quote: str
    """`Document.text[start:end]` with its white space run together."""
    score: float
    """Share of the attention that counts for the sentence (see evidence.py) and falls on the passage, 0..1."""


@dataclass(frozen=True)
class Sentence:
    """One sentence of the summary."""

    text: str
    window: int
    """Index into `Summary.windows` (0-based); -1 where no model had a part in it."""
    token_start: int
    token_end: int
    """Half-open range of `Summary.windows[window].summary_ids`."""
    evidence: tuple[Evidence, ...] = ()
    """At most three passages, best first; of a quote itself, with the score 1."""
    unsupported: tuple[tuple[int, int], ...] = ()
    """Half-open ranges of `text`: numbers, units and names that stand nowhere in what the model read. In order, none of
    which overlap."""

    @property
    def quoted(self) -> bool:
        """Whether it stands in the paper word for word, where its evidence says."""
        return [(passage.quote, passage.score) for passage in self.evidence] == [(self.text, 1.0)]


@dataclass(frozen=True)
class Part:
    """A piece of a summary that can be read by itself."""

    kind: Literal["tldr", "summary", "section"]
    sentences: tuple[Sentence, ...]
    heading: str = ""
    """Of the section that it is about."""
    start: int = 0
    """Where that section begins in `Document.text`."""

    @property
    def text(self) -> str:
        """Its sentences, a space between them."""
        return " ".join(sentence.text for sentence in self.sentences)


@dataclass(frozen=True)
class WindowTrace:
    """What the model read and wrote in one window: all that is needed to ask for its attention later.

    The encoder states are not here: `ModelStore.encoded` keeps those of the last papers and makes them again
    when they have been dropped, so that a finished summary stays small.
    """

    name: str
    """What was read and written, in words: "the paper", "pages 31 to 60", "3 Methods"."""
    input_ids: tuple[int, ...]
    """Tokens that the encoder read: prefix, text, end token."""
    offsets: tuple[tuple[int, int], ...]
    """Half-open range of `Document.text` of each token; empty for the prefix and the end token. Of a token that stands
    in the summary of a part, read in its place, the passage which that sentence rests on."""
    summary_ids: tuple[int, ...]
    """Tokens written, without the start token."""
    decoder_reads: tuple[int, int]
    """Half-open range of `input_ids` whose encoder states the decoder saw, besides those of prefix and end token: all,
    or those of one section."""

    @property
    def decoder_mask(self) -> np.ndarray:
        """`(input_ids,)` bool: what the decoder saw, see `EncodedText.showing`."""
        index = np.arange(len(self.input_ids))
        first, after = self.decoder_reads
        prefix = next((i for i, (start, end) in enumerate(self.offsets) if start < end), 0)
        return (index < prefix) | ((index >= first) & (index < after)) | (index == len(index) - 1)


@dataclass(frozen=True)
class Summary:
    """A finished summary with everything that is needed to show, check and save it."""

    document: Document
    parts: tuple[Part, ...]
    """In reading order: TL;DR, summary, sections. A summary that was stopped lacks the later ones."""
    settings: SummarySettings
    """As used: sampling sets `num_beams` to 1."""
    tokens_read: int
    """Tokens of the paper that the model read, each counted once however many windows hold it."""
    tokens_left_out: int
    """Tokens of the paper that it did not read. Both together are the whole paper."""
    pages_read: tuple[int, ...]
    """Numbers of the pages of which at least one token was read."""
    notes: tuple[str, ...]
    """Plain sentences about what was read and what was left out, those of the document first."""
    seconds: float
    """Seconds from the request to the finished summary, without the time spent waiting in the queue."""
    windows: tuple[WindowTrace, ...]
    complete: bool = True
    """False if it was stopped before its end."""

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """Those of all parts, in order: what an index of a sentence counts."""
        return tuple(sentence for part in self.parts for sentence in part.sentences)

    @property
    def text(self) -> str:
        """The summary proper, without TL;DR and sections."""
        return next((part.text for part in self.parts if part.kind == "summary"), "")


@dataclass(frozen=True)
class Done:
    """The last event."""

    summary: Summary


Event: TypeAlias = "Queued | Reading | Read | LoadingModel | Working | Done"
