"""What a summary is made of: its settings, the events on the way to it, the finished thing. Data only.

`summarizer.py` re-exports these names; import them from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from app.documents import Document


class SummaryError(Exception):
    """A summary can't be made; `str(error)` is one sentence for the person that says what to do."""


@dataclass(frozen=True)
class Limit:
    """Least and most of a numeric setting, and what it is called in a sentence."""

    name: str
    least: float
    most: float
    integer: bool = True

    def clamp(self, value: float) -> Any:
        """The nearest value within the limit."""
        value = min(max(value, self.least), self.most)
        return int(value) if self.integer else float(value)


LIMITS: dict[str, Limit] = {
    "max_new_tokens": Limit("The summary's length", 8, 2048),
    "num_beams": Limit("The number of beams", 1, 16),
    "length_penalty": Limit("The length penalty", -5.0, 5.0, integer=False),
    "no_repeat_ngram_size": Limit("The length of runs not to repeat", 0, 100),
    "encoder_no_repeat_ngram_size": Limit("The length of runs not to copy", 0, 100),
    "repetition_penalty": Limit("The repetition penalty", 0.1, 10.0, integer=False),
    "temperature": Limit("The temperature", 0.05, 5.0, integer=False),
    "top_p": Limit("Top p", 0.01, 1.0, integer=False),
}
"""Limits of the settings with a fixed range. The input limit's end is `Settings.max_input_tokens`."""

LEAST_INPUT_TOKENS = 64
LONG_PAPERS = ("windows", "beginning and end", "truncate")
WRITING = ("own words", "quotes")


@dataclass(frozen=True)
class SummarySettings:
    """What a person can change about a summary; `ModelStore.profile(name).defaults` are a model's own."""

    model: str
    """One of `ModelStore.choices`."""
    writing: str = "own words"
    """"own words" writes freely, "quotes" chooses whole sentences of the paper and changes nothing in them."""
    max_new_tokens: int = 256
    """Longest summary in tokens; with several windows each gets its share of it."""
    num_beams: int = 4
    """Beams of beam search; 1 is greedy. Sampling always uses one."""
    length_penalty: float = 1.0
    """Above 0 beam search prefers longer summaries, below 0 shorter ones. In own words only."""
    no_repeat_ngram_size: int = 3
    """The summary never writes the same run of that many tokens twice; 0 turns this off. In own words only."""
    encoder_no_repeat_ngram_size: int = 0
    """The summary never copies a run of that many tokens from the paper; 0 turns this off. In own words only."""
    repetition_penalty: float = 1.0
    """Above 1 makes tokens already written less likely. In own words only."""
    do_sample: bool = False
    """Draw tokens at random instead of searching for the likeliest summary."""
    temperature: float = 1.0
    """Sampling: below 1 is more careful, above 1 more varied."""
    top_p: float = 1.0
    """Sampling: draw only from the likeliest tokens that hold this much probability together."""
    seed: int = 0
    """Sampling: the same seed gives the same summary."""
    max_input_tokens: int = 16_384
    """Most tokens the model reads at once, prefix and end token included."""
    long_papers: str = "windows"
    """A paper longer than that: "windows" reads it in overlapping windows, "beginning and end" those two parts of it,
    "truncate" its beginning."""
    include_references: bool = False
    """Read the reference list too."""


@dataclass(frozen=True)
class Queued:
    """Waiting for the model; `position` 1 is next."""

    position: int


@dataclass(frozen=True)
class Reading:
    """`page` pages of `pages` have been read; `pages` is None while their number is unknown."""

    page: int
    pages: int | None


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
    """At most three passages, best first; of a quote its own place, with the score 1."""

    @property
    def quoted(self) -> bool:
        """Whether it stands in the paper word for word, in the place that its evidence names."""
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
