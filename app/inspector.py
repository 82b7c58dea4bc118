"""The questions the page asks of a finished summary's attention, answered as arrays with readable labels.

Every function waits for the model (`ModelStore.use`), not for the summaries in the queue, and encodes the window
again if its encoder states are no longer kept. Ranges of tokens are half-open, within the window's `input_ids`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.models import ModelStore
from app.summary import Summary

if TYPE_CHECKING:
    from longt5.attention_maps import AttentionMap, HeadStatistics


@dataclass(frozen=True)
class Label:
    """What a row or a column of a map stands for."""

    text: str
    """Short, for the axis: the token, or the first token of several; for the band the offset, such as "-12"."""
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
    tokens: tuple[str, ...]
    """Band of single tokens only: texts of the tokens from `tokens_start` on, so that the key of the cell in row i
    and column of offset o is `tokens[map.row_spans[i][0] + o - tokens_start]`; empty for other maps."""
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
    raise NotImplementedError


def overview(
    store: ModelStore, summary: Summary, window: int, stop: threading.Event | None = None
) -> HeadStatistics:
    """For every encoder layer and head: share of attention on globals, mean distance, entropy."""
    raise NotImplementedError


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
    """The local band of the tokens `start` to `end`: rows are tokens of the paper, columns offsets to their keys."""
    raise NotImplementedError


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
    raise NotImplementedError


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
    """The cross-attention of a summary sentence (index into `Summary.sentences`) on the tokens `start` to `end`."""
    raise NotImplementedError
