"""The views of the attention inspector: one entry each, which page, API and files follow.

An entry is a `View`: the question it answers, the arrays, how they are drawn, which controls it wants, what it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.inspecting.figures import Sides
from app.inspecting.inspector import EncodedWindow, LabelledMap, Outline, offset_labels
from app.summarizing.settings import SummaryError
from longt5.maps import AttentionMap, band_map, cross_map, global_map

ALL_HEADS = -1


@dataclass(frozen=True)
class Question:
    """Which attention to show."""

    window: int
    """Index into `Summary.windows`."""
    view: str
    """A name in `VIEWS`."""
    layer: int
    """Of the stack that the view is of."""
    head: int
    """`ALL_HEADS` for the mean of all."""
    sentence: int
    """Index into `Summary.sentences`; of views of a sentence only."""
    start: int
    """First token of the paper that is shown."""
    count: int
    """How many tokens from there."""

    @property
    def end(self) -> int:
        """The token after the last that is shown."""
        return self.start + self.count


@dataclass(frozen=True)
class View:
    """One way to look at attention."""

    name: str
    """In the API and in the names of files."""
    label: str
    """On the page."""
    caption: str
    """A sentence on how to read it."""
    source: str
    """Where what it shows is defined."""
    stack: Literal["encoder", "decoder"]
    """Whose layers there are to choose from."""
    sides: Sides
    answer: Callable[[EncodedWindow, Question], LabelledMap]
    """The map that a question asks for; raises ValueError or SummaryError where there is none."""
    of_sentence: bool = False
    """Whether it is of one sentence of the summary, to be chosen."""
    zoomed: Literal["rows", "columns"] = "rows"
    """The side of the map that holds the tokens of the paper, where a click comes closer."""
    exists: Callable[[Outline], bool] = lambda outline: True
    """Whether a model has it."""

    def layers(self, outline: Outline) -> int:
        """How many layers there are to choose from."""
        return outline.encoder_layers if self.stack == "encoder" else outline.decoder_layers


def _heads(window: EncodedWindow, question: Question) -> tuple[int, ...]:
    all_heads = tuple(range(window.loaded.model.config.num_heads))
    return all_heads if question.head == ALL_HEADS else (question.head,)


def _encoder_map(make: Callable[..., AttentionMap], window: EncodedWindow, asked: Question) -> AttentionMap:
    heads = _heads(window, asked)
    return make(window.loaded.model, window.encoded, asked.layer, heads, start=asked.start, end=asked.end)


def _band(window: EncodedWindow, question: Question) -> LabelledMap:
    attention = _encoder_map(band_map, window, question)
    rows, offsets = window.source_labels(attention.row_spans), offset_labels(attention.column_spans)
    if attention.pooling != "none":
        return LabelledMap(attention, rows, offsets)
    first = max(0, int(attention.row_spans[0, 0] + attention.column_spans[0, 0]))
    after = min(len(window.trace.input_ids), int(attention.row_spans[-1, 0] + attention.column_spans[-1, 1]))
    return LabelledMap(attention, rows, offsets, tuple(map(window.token, range(first, after))), first)


def _globals(window: EncodedWindow, question: Question) -> LabelledMap:
    attention = _encoder_map(global_map, window, question)
    return LabelledMap(
        attention, window.source_labels(attention.row_spans), window.source_labels(attention.column_spans)
    )


def _cross(window: EncodedWindow, question: Question) -> LabelledMap:
    sentences = window.summary.sentences
    if not 0 <= question.sentence < len(sentences):
        raise SummaryError(
            f"The summary has no sentence {question.sentence + 1}; choose one of its sentences."
        )
    chosen = sentences[question.sentence]
    attention = cross_map(
        window.loaded.model,
        window.encoded,
        window.teacher_forced(),
        question.layer,
        _heads(window, question),
        rows=(chosen.token_start, chosen.token_end),
        columns=(question.start, question.end),
    )
    return LabelledMap(
        attention, window.written_labels(attention.row_spans), window.source_labels(attention.column_spans)
    )


_ENTRIES = (
    View(
        name="band",
        label="Local band",
        caption="How much each token of the paper attends to its neighbours before and after it.",
        source="Guo et al. 2022, section 3.1.1",
        stack="encoder",
        sides=Sides(
            rows="query: token of the paper",
            columns="key: tokens before (\u2212) or after (+)",
            unit="offsets",
        ),
        answer=_band,
    ),
    View(
        name="global",
        label="Global blocks",
        caption="How much each token of the paper attends to the global blocks; each block sums up its tokens.",
        source="Guo et al. 2022, section 3.1.2",
        stack="encoder",
        sides=Sides(
            rows="query: token of the paper", columns="key: global block of the paper", unit="blocks"
        ),
        answer=_globals,
        exists=lambda outline: outline.has_globals,
    ),
    View(
        name="cross",
        label="Cross-attention",
        caption="Where in the paper the model looked while it wrote each token of the chosen sentence.",
        source="Vaswani et al. 2017, section 3.2.3",
        stack="decoder",
        sides=Sides(rows="token of the summary", columns="token of the paper"),
        answer=_cross,
        of_sentence=True,
        zoomed="columns",
    ),
)
VIEWS = {view.name: view for view in _ENTRIES}
"""Every view by its name, in the order of the page."""
