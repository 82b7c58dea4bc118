"""The views of the attention inspector: one entry each, which page, terminal, API and files follow.

An entry is a `View`: the question it answers, the arrays, how they are drawn, which controls it wants, what it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from app.inspecting import says
from app.inspecting.coloured_text import coloured_text
from app.inspecting.drawing import MAX_CELLS, Axis, Bars, Panel
from app.inspecting.figures import Sides, arrays, head_tiles, heat_map, pooling_note, source_axis
from app.inspecting.inspector import EncodedWindow, Label, LabelledMap, Outline, offset_labels, shorten
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY, Question
from app.summarizing.settings import SummaryError
from longt5.maps import (
    AttentionMap,
    band_map,
    cross_attention_heads,
    cross_map,
    global_map,
    global_spans,
    rollout,
    self_map,
    source_shares,
    unit_spans,
    value_zeroing,
)
from longt5.maps.statistics import Stack

Control = Literal["layer", "head", "sentence", "range", "sort"]


@dataclass(frozen=True)
class Answer:
    """What a question was answered with."""

    panels: tuple[Panel, ...]
    says: str
    """One sentence: what it shows for the head at hand."""
    arrays: dict[str, np.ndarray]
    """For a file of numbers."""
    spans: np.ndarray | None = None
    """`(cells, 2)`, the tokens of the paper of each cell along the side where a click comes closer."""
    note: str = ""
    """How many tokens share a cell; empty where each has its own."""


@dataclass(frozen=True)
class View:
    """One way to look at attention."""

    name: str
    """In links, in the API, in the terminal and in the names of files."""
    label: str
    """On the page."""
    question: str
    """What it answers, as a person would ask it."""
    caption: str
    """A sentence or two on how to read it."""
    source: str
    """Where what it shows is defined."""
    stack: Literal["encoder", "decoder"]
    """Whose layers there are to choose from."""
    controls: frozenset[Control]
    answer: Callable[[EncodedWindow, Question], Answer]
    """Raises ValueError or SummaryError where there is no answer."""
    options: tuple[tuple[str, str], ...] = (("", ""),)
    """(text on the page, name) of what else there is to choose; the first is the default."""
    option_label: str = ""
    zoomed: Literal["rows", "columns"] = "rows"
    """The side of the map that holds the tokens of the paper, where a click comes closer."""
    exists: Callable[[Outline], bool] = lambda outline: True
    """Whether a model and its summary have it."""
    cost: str = ""
    """How long it takes, in words; empty where that is no time at all."""

    def layers(self, outline: Outline) -> int:
        """How many layers there are to choose from."""
        return outline.encoder_layers if self.stack == "encoder" else outline.decoder_layers

    @property
    def is_map(self) -> bool:
        """Whether its arrays are `weights` with spans and texts of rows and columns."""
        return self.name in ("band", "globals", "self", "cross", "flow", "zeroing")


def _heads(window: EncodedWindow, question: Question) -> tuple[int, ...]:
    all_heads = tuple(range(window.loaded.model.config.num_heads))
    return all_heads if question.head == ALL_HEADS else (question.head,)


def _map_answer(window: EncodedWindow, labelled: LabelledMap, sides: Sides, what: str, zoomed: str) -> Answer:
    spans = labelled.map.row_spans if zoomed == "rows" else labelled.map.column_spans
    note = pooling_note(labelled, sides, window.loaded.model.config.global_block_size)
    return Answer((heat_map(labelled, sides),), what, arrays(labelled), spans, note)


# All heads at a glance

_THUMBNAILS: dict[str, tuple[Stack, str]] = {
    "band": ("encoder", "band"),
    "globals": ("encoder", "global"),
    "self": ("decoder", "self"),
    "cross": ("cross", "cross"),
}


def _all_heads(window: EncodedWindow, question: Question) -> Answer:
    stack, thumbnail = _THUMBNAILS[question.option]
    overview = window.overview(stack)
    measures = overview.statistics.measures
    sort = question.sort if question.sort in measures else ""
    chosen = (question.layer, question.head)
    tiles = head_tiles(overview, thumbnail, sort, question.named, chosen)
    names = np.array([[name.name if name else "" for name in layer] for layer in overview.names])
    numbers = {**measures, "thumbnails": overview.statistics.thumbnails[thumbnail], "names": names}
    return Answer((tiles,), says.of_all_heads(overview), numbers)


# The paper's words

_BAND = Sides("query: token of the paper", "key: tokens before (\u2212) or after (+)", "offsets")
_GLOBAL = Sides("query: token of the paper", "key: global block of the paper", "blocks")
_SELF = Sides("step: the token that is written", "the token that was read")
_CROSS = Sides("step: the token that is written", "token of the paper")


def _text(window: EncodedWindow, question: Question) -> Answer:
    panel = coloured_text(window, question.layer, _heads(window, question), question)
    found = {name: getattr(panel, name) for name in ("band", "blocks", "strip", "cross", "cross_strip")}
    words = np.array([word.text for word in panel.words if word.read])
    strip = np.zeros((len(panel.bins), 2), dtype=int)
    length = len(window.trace.input_ids)
    edges = np.arange(len(panel.bins) + 1) * length // len(panel.bins)
    strip[:, 0], strip[:, 1] = edges[:-1], edges[1:]
    return Answer((panel,), says.of_head(window, question), {**found, "words": words}, strip)


def _encoder_map(make: Callable[..., AttentionMap], window: EncodedWindow, asked: Question) -> AttentionMap:
    heads = _heads(window, asked)
    return make(window.loaded.model, window.encoded, asked.layer, heads, start=asked.start, end=asked.end)


def _band(window: EncodedWindow, question: Question) -> Answer:
    return _map_answer(window, band_of(window, question), _BAND, says.of_head(window, question), "rows")


def band_of(window: EncodedWindow, question: Question) -> LabelledMap:
    """The band with the words of its keys."""
    attention = _encoder_map(band_map, window, question)
    rows, offsets = window.source_labels(attention.row_spans), offset_labels(attention.column_spans)
    first = max(0, int(attention.row_spans[0, 0] + attention.column_spans[0, 0]))
    after = min(len(window.trace.input_ids), int(attention.row_spans[-1, 1] + attention.column_spans[-1, 1]))
    return LabelledMap(attention, rows, offsets, tuple(map(window.token, range(first, after))), first)


def _globals(window: EncodedWindow, question: Question) -> Answer:
    attention = _encoder_map(global_map, window, question)
    labelled = LabelledMap(
        attention, window.source_labels(attention.row_spans), window.source_labels(attention.column_spans)
    )
    what = (
        f"{says.of_head(window, question)} {says.where(window, labelled, 'Of the tokens shown, the globals')}"
    )
    return _map_answer(window, labelled, _GLOBAL, what, "rows")


# The summary's words


def _steps(window: EncodedWindow, question: Question) -> tuple[int, int]:
    """The steps that wrote the chosen sentence, or all of the window's summary."""
    if question.sentence == WHOLE_SUMMARY:
        return 0, len(window.trace.summary_ids)
    sentences = window.summary.sentences
    if not 0 <= question.sentence < len(sentences):
        raise SummaryError(
            f"The summary has no sentence {question.sentence + 1}; choose one of its sentences."
        )
    return sentences[question.sentence].token_start, sentences[question.sentence].token_end


def _self(window: EncodedWindow, question: Question) -> Answer:
    forced = window.teacher_forced()
    attention = self_map(
        window.loaded.model, forced, question.layer, _heads(window, question), rows=_steps(window, question)
    )
    read = attention.column_spans - 1
    labelled = LabelledMap(attention, window.written_labels(attention.row_spans), window.written_labels(read))
    answer = _map_answer(window, labelled, _SELF, says.of_head(window, question, "decoder"), "none")
    # The map counts what was read, from the start token on; who points at a token wants its number in the summary.
    panel = replace(
        heat_map(labelled, _SELF), columns=source_axis(_SELF.columns, labelled.column_labels, read)
    )
    return replace(answer, panels=(panel,))


def _cross(window: EncodedWindow, question: Question) -> Answer:
    attention = cross_map(
        window.loaded.model,
        window.shown(),
        window.teacher_forced(),
        question.layer,
        _heads(window, question),
        rows=_steps(window, question),
        columns=(question.start, question.end),
        weighting="norms" if question.option == "norms" else "attention",
    )
    labelled = LabelledMap(
        attention, window.written_labels(attention.row_spans), window.source_labels(attention.column_spans)
    )
    place = says.where(window, labelled, "While these words were written, it")
    what = f"{says.of_head(window, question, 'cross')} {place}"
    return _map_answer(window, labelled, _CROSS, what, "columns")


# What flows


def _flow(window: EncodedWindow, question: Question) -> Answer:
    steps = _steps(window, question)
    model, length = window.loaded.model, len(window.trace.input_ids)
    looked = np.zeros(length, dtype=np.float32)
    forced, shown = window.teacher_forced(), window.shown()
    for _, _, weights in cross_attention_heads(model, shown, forced):
        looked += weights[slice(*steps)].mean(axis=0)
    rows = rollout(model, window.encoded, looked / looked.sum(), window.progress)
    spans = _parts(length, model.config.global_block_size)
    shares = np.add.reduceat(rows, spans[:, 0], axis=1).astype(np.float32)
    layers = len(rows) - 1
    labels = [
        Label("decoder" if i == 0 else f"below layer {layers - i}", None, "") for i in range(layers + 1)
    ]
    labelled = LabelledMap(
        AttentionMap(shares, unit_spans(np.arange(layers + 1)), spans, 0, (), "cross", "sum"),
        tuple(labels),
        window.source_labels(spans),
    )
    top, bottom = says.place(labelled, 0), says.place(labelled, layers)
    what = f"The decoder looked most at {top}; traced down to the words that were read, most comes from {bottom}."
    panel = replace(
        heat_map(labelled, _FLOW),
        rows=Axis(
            _FLOW.rows,
            tuple(label.text for label in labels),
            tuple((i, label.text) for i, label in enumerate(labels)),
        ),
    )
    size = int(spans[0, 1] - spans[0, 0])
    return Answer((panel,), what, arrays(labelled), spans, f"A column is the sum over {size} tokens.")


def _parts(length: int, block_size: int) -> np.ndarray:
    """`(parts, 2)`: the text in parts of whole blocks, at most `MAX_CELLS` of them."""
    size = block_size * -(-length // (block_size * MAX_CELLS))
    starts = np.arange(0, length, size)
    return np.stack([starts, np.append(starts[1:], length)], axis=1)


def _zeroing(window: EncodedWindow, question: Question) -> Answer:
    end = min(question.end, question.start + MOST_ZEROED)
    moved = value_zeroing(
        window.loaded.model, window.encoded, question.layer, question.start, end, window.progress
    )
    spans = global_spans(window.loaded.model, window.encoded)
    group = -(-moved.shape[1] // MAX_CELLS)
    starts = np.arange(0, moved.shape[1], group)
    pooled = np.maximum.reduceat(moved, starts, axis=1)
    columns = np.stack([spans[starts, 0], spans[np.append(starts[1:], len(spans)) - 1, 1]], axis=1)
    labelled = LabelledMap(
        AttentionMap(pooled, unit_spans(np.arange(question.start, end)), columns, question.layer, (), "global",
                     "none" if group == 1 else "max"),
        window.source_labels(unit_spans(np.arange(question.start, end))),
        window.source_labels(columns),
    )  # fmt: skip
    row, column = np.unravel_index(int(pooled.argmax()), pooled.shape)
    block, token = labelled.column_labels[column], labelled.row_labels[row]
    what = (
        f"In layer {question.layer} the block \u201c{shorten(block.quote, 60)}\u201d matters most, to "
        f"\u201c{token.text}\u201d, which moves by {pooled.max():.2g} without it."
    )
    notes = [f"A column is the largest change by one of {group} blocks."] if group > 1 else []
    notes += [f"At most {MOST_ZEROED} tokens at once."] if question.count > MOST_ZEROED else []
    panel = heat_map(labelled, _GLOBAL, measure="change")
    return Answer((panel,), what, arrays(labelled), labelled.map.row_spans, " ".join(notes))


def _source(window: EncodedWindow, question: Question) -> Answer:
    first, last = _steps(window, question)
    shares = source_shares(window.loaded.model, window.shown(), window.teacher_forced())[first:last]
    labels = window.written_labels(unit_spans(np.arange(first, last)))
    usual = float(np.median(shares))
    warned = shares < OWN_WORDS * usual
    words = tuple(label.text for label in labels)
    axis = Axis("token that is written", words, tuple(enumerate(words)))
    runs = " ".join(word for word, own in zip(words, warned) if own)
    own = f"; it went on by itself most at \u201c{shorten(runs, 80)}\u201d" if warned.any() else ""
    what = f"Of what writes a word here, {says.percent(usual)} comes from the paper (median){own}."
    panel = Bars(axis, shares, warned, threshold=OWN_WORDS * usual)
    numbers = {"shares": shares, "tokens": np.array(words), "warned": warned}
    return Answer((panel,), what, numbers)


MOST_ZEROED = 64  # tokens whose states are computed again for every block
OWN_WORDS = 0.75  # of the median share of the paper: less is marked
_FLOW = Sides("from the decoder down to the words", "part of the paper", "blocks")

_ENTRIES = (
    View(
        name="heads",
        label="All heads",
        question="What does each head do?",
        caption="Each picture is a head. Rows are stretches of the text, columns are where they "
        "look: offsets before and "
        "after a token (the band, itself in the middle), or parts of the text (globals, own words, "
        "paper). A name is "
        "given from a threshold on; point at a head to see measure and threshold. Click one to open it.",
        source="docs/inspector.md; after Clark et al. 2019, section 3",
        stack="encoder",
        controls=frozenset({"sort"}),
        answer=_all_heads,
        options=(
            ("Encoder: local band", "band"),
            ("Encoder: globals", "globals"),
            ("Decoder: own words", "self"),
            ("Decoder: cross-attention", "cross"),
        ),
        option_label="Heads of",
    ),
    View(
        name="text",
        label="On the text",
        question="Which words does a word attend to, and which attend to it?",
        caption="Point at a word: what it attends to takes colour, words for the band, underlines "
        "for global blocks, the "
        "strip above for the whole paper; less than 0.1 % stays white. Words of the summary show the "
        "mean of the decoder's aligning heads. Click to "
        "keep a word.",
        source="Guo et al. 2022, section 3.1",
        stack="encoder",
        controls=frozenset({"layer", "head", "sentence", "range"}),
        answer=_text,
    ),
    View(
        name="band",
        label="Local band",
        question="How much does each token give to its neighbours?",
        caption="A row is a token of the paper, a column an offset: to the left tokens before it, to "
        "the right after it.",
        source="Guo et al. 2022, section 3.1.1",
        stack="encoder",
        controls=frozenset({"layer", "head", "range"}),
        answer=_band,
    ),
    View(
        name="globals",
        label="Global blocks",
        question="Which parts of the paper does each token read through the globals?",
        caption="A row is a token of the paper, a column a global block, which sums up its tokens "
        "(16 of them).",
        source="Guo et al. 2022, section 3.1.2",
        stack="encoder",
        controls=frozenset({"layer", "head", "range"}),
        answer=_globals,
        exists=lambda outline: outline.globals > 0,
    ),
    View(
        name="self",
        label="Own words",
        question="Which of its own words did the decoder look back at?",
        caption="A row is a step of writing, a column a token that the decoder had read by then, the "
        "start token first.",
        source="Vaswani et al. 2017, section 3.2.3",
        stack="decoder",
        controls=frozenset({"layer", "head", "sentence"}),
        answer=_self,
        exists=lambda outline: bool(outline.sentences),
    ),
    View(
        name="cross",
        label="Cross-attention",
        question="Where in the paper did the model look while it wrote?",
        caption="A row is a step of writing, a column a place in the paper. \u201cWeighed by "
        "values\u201d multiplies each "
        "weight by the length of the vector that the head adds for that place.",
        source="Vaswani et al. 2017, section 3.2.3; Kobayashi et al. 2020, section 3",
        stack="decoder",
        controls=frozenset({"layer", "head", "sentence", "range"}),
        answer=_cross,
        options=(("attention weights", "attention"), ("weighed by values", "norms")),
        option_label="Cells are",
        zoomed="columns",
        exists=lambda outline: bool(outline.sentences),
    ),
    View(
        name="flow",
        label="Flow",
        question="Through all layers, which words did the summary come from?",
        caption="The top row is where the decoder looked, mean of all heads. Each row further down "
        "follows it through one "
        "more layer of the encoder and its globals, to the words that were read.",
        source="Abnar and Zuidema 2020, section 3 (attention rollout)",
        stack="encoder",
        controls=frozenset({"sentence"}),
        answer=_flow,
        zoomed="columns",
        exists=lambda outline: bool(outline.sentences),
        cost="about as long as reading the paper",
    ),
    View(
        name="zeroing",
        label="Without a block",
        question="Which global blocks would be missed?",
        caption="A row is a token, a column a global block whose values are set to zero in this "
        "layer; the colour is how far "
        "the token's state moves (1 less the cosine).",
        source="Mohebbi et al. 2023, equation 4 (value zeroing)",
        stack="encoder",
        controls=frozenset({"layer", "range"}),
        answer=_zeroing,
        exists=lambda outline: outline.globals > 0,
        cost="a pass of the layer's feed-forward network for each token and block",
    ),
    View(
        name="source",
        label="Paper or own words",
        question="Where does the model go on by itself?",
        caption="How much of each step of writing comes from the paper; the rest comes from the "
        "words written before. Orange "
        "is well below the usual: look there for what the paper does not say.",
        source="Ferrando et al. 2022, section 3 (ALTI+, with the paper as one source)",
        stack="decoder",
        controls=frozenset({"sentence"}),
        answer=_source,
        exists=lambda outline: bool(outline.sentences),
    ),
)
VIEWS = {view.name: view for view in _ENTRIES}
"""Every view by its name, in the order of the page."""
