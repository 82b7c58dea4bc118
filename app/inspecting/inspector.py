"""The questions the page asks of a finished summary's attention, answered as arrays with readable labels.

Every function waits for the model (`ModelStore.use`), not for the summaries in the queue, and encodes the
window again if its encoder states are no longer kept. Ranges of tokens are half-open, within the window's
`input_ids`. All raise SummaryError for what does not exist, and Stopped once `stop` is set.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from app.models import LoadedModel, ModelStore
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Summary, WindowTrace
from longt5.generation import EncodedText
from longt5.maps import (
    AttentionMap,
    HeadStatistics,
    band_map,
    cross_map,
    global_map,
    head_statistics,
)

QUOTE_CHARACTERS = 200


@dataclass(frozen=True)
class Label:
    """What a row or a column of a map stands for."""

    text: str
    """Short, for the axis: the token, or the first of several; for the band the offset, such as "-12"."""
    page: int | None
    """1-based page of its first token; None for offsets and for summary tokens."""
    quote: str
    """For the hover: the text it stands for, at most 200 characters."""


@dataclass(frozen=True)
class LabelledMap:
    """An attention map with a label for every row and column; plain text, not HTML."""

    map: AttentionMap
    row_labels: tuple[Label, ...]
    column_labels: tuple[Label, ...]
    tokens: tuple[str, ...] = ()
    """Band of single tokens only: texts of the tokens from `tokens_start` on. The key of the cell in row i
    and column of offset o is `tokens[map.row_spans[i][0] + o - tokens_start]`. Empty for other maps."""
    tokens_start: int = 0


@dataclass(frozen=True)
class Outline:
    """What there is to choose from in one window of a summary: bounds for the page's controls."""

    tokens: int
    """Length of the window."""
    pages: tuple[tuple[int, int, int], ...]
    """(page, first token, token after the last) for every page in the window, in order."""
    encoder_layers: int
    decoder_layers: int
    heads: int
    local_radius: int
    has_globals: bool
    """False for models with local attention only: `globals_` then raises SummaryError."""
    global_block_size: int
    sentences: tuple[int, ...]
    """Indices into `Summary.sentences` of those written from this window."""


def outline(store: ModelStore, summary: Summary, window: int) -> Outline:
    """What there is to choose from in a window."""
    trace = _trace(summary, window)
    config = store.profile(summary.settings.model).config
    pages = _page_of_tokens(summary, trace)
    numbers, firsts = np.unique(pages, return_index=True)
    bounds = [*firsts.tolist(), len(pages)]
    return Outline(
        tokens=len(trace.input_ids),
        pages=tuple(zip(numbers.tolist(), bounds, bounds[1:], strict=False)),
        encoder_layers=config.num_layers,
        decoder_layers=config.num_decoder_layers,
        heads=config.num_heads,
        local_radius=config.local_radius,
        has_globals=config.encoder_attention_type == "transient-global",
        global_block_size=config.global_block_size,
        sentences=tuple(i for i, sentence in enumerate(summary.sentences) if sentence.window == window),
    )


def overview(
    store: ModelStore, summary: Summary, window: int, stop: threading.Event | None = None
) -> HeadStatistics:
    """For every encoder layer and head: share of attention on globals, mean distance, entropy."""
    with _encoded(store, summary, window, stop) as (loaded, encoded):
        return head_statistics(loaded.model, encoded)


def band(
    store: ModelStore,
    summary: Summary,
    window: int,
    layer: int,
    heads: tuple[int, ...],
    start: int = 0,
    end: int | None = None,
    stop: threading.Event | None = None,
) -> LabelledMap:
    """The local band of the tokens `start` to `end`: columns are offsets from a token to its keys."""
    trace = _trace(summary, window)
    with _encoded(store, summary, window, stop) as (loaded, encoded):
        attention = band_map(loaded.model, encoded, layer, heads, start=start, end=end)
        offsets = tuple(_offset_label(*span) for span in attention.column_spans.tolist())
        rows = _source_labels(summary, trace, loaded, attention.row_spans)
        if attention.pooling != "none":
            return LabelledMap(attention, rows, offsets)
        first = max(0, int(attention.row_spans[0, 0] + attention.column_spans[0, 0]))
        after = min(len(trace.input_ids), int(attention.row_spans[-1, 0] + attention.column_spans[-1, 1]))
        tokens = tuple(_token(summary, trace, loaded, i) for i in range(first, after))
        return LabelledMap(attention, rows, offsets, tokens, first)


def globals_(
    store: ModelStore,
    summary: Summary,
    window: int,
    layer: int,
    heads: tuple[int, ...],
    start: int = 0,
    end: int | None = None,
    stop: threading.Event | None = None,
) -> LabelledMap:
    """The transient globals of the tokens `start` to `end`: columns are global blocks with their text."""
    trace = _trace(summary, window)
    with _encoded(store, summary, window, stop) as (loaded, encoded):
        attention = global_map(loaded.model, encoded, layer, heads, start=start, end=end)
        rows = _source_labels(summary, trace, loaded, attention.row_spans)
        return LabelledMap(attention, rows, _source_labels(summary, trace, loaded, attention.column_spans))


def cross(
    store: ModelStore,
    summary: Summary,
    sentence: int,
    layer: int,
    heads: tuple[int, ...],
    start: int = 0,
    end: int | None = None,
    stop: threading.Event | None = None,
) -> LabelledMap:
    """The cross-attention of a summary sentence (its index) on the tokens `start` to `end` of its window."""
    if not 0 <= sentence < len(summary.sentences):
        raise SummaryError(f"The summary has no sentence {sentence + 1}; choose one of its sentences.")
    chosen = summary.sentences[sentence]
    trace = _trace(summary, chosen.window)
    with _encoded(store, summary, chosen.window, stop) as (loaded, encoded):
        attention = cross_map(
            loaded.model,
            encoded,
            trace.summary_ids,
            layer,
            heads,
            rows=(chosen.token_start, chosen.token_end),
            columns=(start, len(trace.input_ids) if end is None else end),
        )
        rows = tuple(_written_label(loaded, trace, *span) for span in attention.row_spans.tolist())
        return LabelledMap(attention, rows, _source_labels(summary, trace, loaded, attention.column_spans))


def _trace(summary: Summary, window: int) -> WindowTrace:
    if not 0 <= window < len(summary.windows):
        raise SummaryError(f"The paper was not read in {window + 1} windows; choose one that exists.")
    return summary.windows[window]


@contextmanager
def _encoded(
    store: ModelStore, summary: Summary, window: int, stop: threading.Event | None
) -> Iterator[tuple[LoadedModel, EncodedText]]:
    """The model and the encoder states of a window."""
    trace = _trace(summary, window)
    with store.use(summary.settings.model, stop) as loaded:
        *_, encoded = store.encoded(loaded, trace.input_ids, stop)
        assert isinstance(encoded, EncodedText)
        try:
            yield loaded, encoded
        except ValueError as error:  # no such layer, head or range; the sentence says which
            raise SummaryError(str(error)) from error


def _page_of_tokens(summary: Summary, trace: WindowTrace) -> np.ndarray:
    """`(tokens,)`: page number of every token."""
    starts = np.array([page.start for page in summary.document.pages])
    numbers = np.array([page.number for page in summary.document.pages])
    offsets = np.array(trace.offsets)[:, 0]
    pages = numbers[np.maximum(np.searchsorted(starts, offsets, side="right") - 1, 0)]
    pages[-1] = pages[-2]  # the end token stands where the last token ends, which may be where a page begins
    return pages


def _token(summary: Summary, trace: WindowTrace, loaded: LoadedModel, index: int) -> str:
    """A token as the paper has it; prefix, end token and lone white space as the tokenizer has them."""
    start, end = trace.offsets[index]
    return summary.document.text[start:end] or loaded.tokenizer.convert_ids_to_tokens(trace.input_ids[index])


def _source_labels(
    summary: Summary, trace: WindowTrace, loaded: LoadedModel, spans: np.ndarray
) -> tuple[Label, ...]:
    pages = _page_of_tokens(summary, trace)
    labels = []
    for first, after in spans.tolist():
        if first >= after:
            labels.append(Label("", None, ""))
            continue
        start, end = trace.offsets[first][0], trace.offsets[after - 1][1]
        token = _token(summary, trace, loaded, first)
        labels.append(Label(token, int(pages[first]), _quote(summary.document.text[start:end] or token)))
    return tuple(labels)


def _written_label(loaded: LoadedModel, trace: WindowTrace, first: int, after: int) -> Label:
    ids: Sequence[int] = trace.summary_ids[first:after]
    token = loaded.tokenizer.decode(ids[:1]).strip() or loaded.tokenizer.convert_ids_to_tokens(ids[0])
    return Label(token, None, _quote(loaded.tokenizer.decode(ids)))


def _offset_label(first: int, after: int) -> Label:
    name = f"{first:+d}" if first else "0"
    if after - first > 1:
        return Label(name, None, f"{first:+d} to {after - 1:+d} tokens")
    if first == 0:
        return Label(name, None, "the token itself")
    side = "before" if first < 0 else "after"
    return Label(name, None, f"{abs(first)} token{'s' if abs(first) > 1 else ''} {side}")


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= QUOTE_CHARACTERS else text[: QUOTE_CHARACTERS - 1].rstrip() + "…"
