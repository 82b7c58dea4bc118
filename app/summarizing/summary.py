"""What a summary is made of: the events on the way to it, the finished thing. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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


@dataclass(frozen=True)
class Encoding:
    """The model is reading window `window` (1-based) of `windows`; `fraction` (0..1) of it is done."""

    window: int
    windows: int
    fraction: float
    seconds_left: float | None
    """Seconds until the summary is done, as far as can be foreseen; None until known."""


@dataclass(frozen=True)
class Writing:
    """The model is writing; `text` is the whole summary so far (best beam), earlier windows included."""

    text: str
    window: int
    windows: int
    seconds_left: float | None
    """Seconds until the summary is done if it takes its full length; None until known."""


@dataclass(frozen=True)
class FindingEvidence:
    """The summary is written; its sentences are being traced back to the paper."""


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
    """Share of the sentence's attention that is its own (see evidence.py) and falls on the passage, 0..1."""


@dataclass(frozen=True)
class Sentence:
    """One sentence of the summary: `Summary.text[start:end] == text`."""

    text: str
    start: int
    end: int
    window: int
    """Index into `Summary.windows` (0-based)."""
    token_start: int
    token_end: int
    """Half-open range of `Summary.windows[window].summary_ids`."""
    evidence: tuple[Evidence, ...] = ()
    """At most three passages, best first; of a quote itself, with the score 1."""

    @property
    def quoted(self) -> bool:
        """Whether it stands in the paper word for word, where its evidence says."""
        return [(passage.quote, passage.score) for passage in self.evidence] == [(self.text, 1.0)]


@dataclass(frozen=True)
class WindowTrace:
    """What the model read and wrote in one window: all that is needed to ask for its attention later.

    The encoder states are not here: `ModelStore.encoded` keeps those of the last papers and makes them again
    when they have been dropped, so that a finished summary stays small.
    """

    input_ids: tuple[int, ...]
    """Tokens read: prefix, text, end token."""
    offsets: tuple[tuple[int, int], ...]
    """Half-open range of `Document.text` of each token; empty for the prefix and the end token."""
    summary_ids: tuple[int, ...]
    """Tokens written, without the start token."""


@dataclass(frozen=True)
class Summary:
    """A finished summary with everything that is needed to show, check and save it."""

    document: Document
    text: str
    sentences: tuple[Sentence, ...]
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


@dataclass(frozen=True)
class Done:
    """The last event."""

    summary: Summary


Event: TypeAlias = "Queued | Reading | Read | LoadingModel | Encoding | Writing | FindingEvidence | Done"
