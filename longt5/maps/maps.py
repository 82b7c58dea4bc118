"""Attention maps small enough to draw, in the layouts that LongT5 computes in: never a square.

The band is (query, offset -radius..radius), the globals are (query, global block), the cross-attention is
(summary token, source token) (Guo et al. 2022, arXiv 2112.07916, section 3.1). The weights come from
`longt5.maps.weights` a few queries at a time and are pooled as they come: the map of a whole text takes little
memory, and the map of a window costs what the window does.

Ranges are half-open (start, end) everywhere, heads are averaged before anything is pooled, and every array
handed out is numpy, weights in float32.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from operator import itemgetter
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from longt5.generation import EncodedText
from longt5.maps.weights import (
    SCORED_QUERIES,
    CrossWeights,
    EncoderWeights,
    TeacherForced,
    self_weights,
)
from longt5.modeling import LongT5PreTrainedModel

Kind = Literal["band", "global", "self", "cross"]
Weighting = Literal["attention", "norms"]
Pooling = Literal["none", "mean", "max", "sum"]

# The largest map: what a page can draw, and a browser can hold.
MAX_ROWS = 512
MAX_COLUMNS = 512


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The mean over `heads`, of at most `MAX_ROWS` x `MAX_COLUMNS` cells."""

    weights: np.ndarray
    """`(rows, columns)`; 0 at offsets outside the text and at padding, whether it is query or key."""
    row_spans: np.ndarray
    """`(rows, 2)`, the tokens of each row: source tokens, or summary tokens for "cross"."""
    column_spans: np.ndarray
    """`(columns, 2)`, offsets for "band", source tokens for "global" and "cross", what had been read for "self", the
    start token first. Global blocks that lie in the
    padding after a text have empty spans."""
    layer: int
    heads: tuple[int, ...]
    kind: Kind
    pooling: Pooling
    """Whether every cell is one query and one key, or the mean, the largest or the sum of several."""


@torch.inference_mode()
def band_map(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    layer: int,
    heads: Sequence[int],
    *,
    start: int = 0,
    end: int | None = None,
) -> AttentionMap:
    """The band of the tokens start to end, by default of the whole text.

    Raises ValueError for a layer, a head or a window that does not exist.
    """
    start, end = _checked_range("window", (start, end), encoded.input_ids.shape[1])
    weights = EncoderWeights(model, encoded, layer, heads)
    offsets = np.arange(-weights.radius, weights.radius + 1)
    pool = _Pool((start, end), unit_spans(offsets))
    for position, band, _ in weights.chunks(start, end):
        pool.add(position, band.mean(dim=0))
    return pool.attention_map(layer, heads, "band")


@torch.inference_mode()
def global_map(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    layer: int,
    heads: Sequence[int],
    *,
    start: int = 0,
    end: int | None = None,
) -> AttentionMap:
    """The globals as seen by the tokens start to end, by default the whole text.

    Raises ValueError for a layer, a head or a window that does not exist, and where there are no
    global blocks: local attention, or a text shorter than one block.
    """
    start, end = _checked_range("window", (start, end), encoded.input_ids.shape[1])
    if model.config.encoder_attention_type != "transient-global":
        raise ValueError("This model attends locally only, so it has no global blocks to show.")
    weights = EncoderWeights(model, encoded, layer, heads)
    if weights.num_globals == 0:
        size = model.config.global_block_size
        raise ValueError(
            f"The text is shorter than one global block of {size} tokens, so it has none to show."
        )
    pool = _Pool((start, end), weights.global_spans.numpy())
    for position, _, globals_ in weights.chunks(start, end):
        pool.add(position, globals_.mean(dim=0))
    return pool.attention_map(layer, heads, "global")


def global_spans(model: LongT5PreTrainedModel, encoded: EncodedText) -> np.ndarray:
    """`(globals, 2)`: the tokens of each global block, empty for those that lie in the padding."""
    return EncoderWeights(model, encoded, 0, (0,)).global_spans.numpy()


@torch.inference_mode()
def cross_map(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    forced: TeacherForced,
    layer: int,
    heads: Sequence[int],
    *,
    rows: tuple[int, int] | None = None,
    columns: tuple[int, int] | None = None,
    weighting: Weighting = "attention",
) -> AttentionMap:
    """Where in the source a decoder layer looked while the summary was written.

    Row i is the step that wrote summary token i: its query is the token before it. Weights are shares of the
    attention to the whole source, so those of a range of columns sum to less than 1.

    Args:
        forced: the summary, see `teacher_force`.
        rows: range of summary tokens, by default all. columns: range of source tokens, by default all.
        weighting: "norms" multiplies each weight by the length of the vector that the head adds for its token, and
            divides by the sum over the source (Kobayashi et al. 2020, section 3): what the token weighs in the output.
    Raises ValueError for a layer, a head or a range that does not exist.
    """
    top, bottom = _checked_range("summary range", rows, len(forced.summary_ids))
    left, right = _checked_range("source range", columns, encoded.input_ids.shape[1])
    weights = CrossWeights(model, encoded, forced, layer, heads)
    norms = weights.value_norms() if weighting == "norms" else None
    pool = _Pool((top, bottom), unit_spans(np.arange(left, right)))
    for start in range(top, bottom, SCORED_QUERIES):
        end = min(start + SCORED_QUERIES, bottom)
        mean = torch.zeros(end - start, right - left, device=weights.keys.device)
        for index in range(len(heads)):
            shares = weights.head(index, start, end)
            if norms is not None:
                shares = F.normalize(shares * norms[index], p=1, dim=-1)
            mean += shares[:, left:right] / len(heads)
        pool.add(start, mean)
    return pool.attention_map(layer, heads, "cross")


@torch.inference_mode()
def self_map(
    model: LongT5PreTrainedModel,
    forced: TeacherForced,
    layer: int,
    heads: Sequence[int],
    *,
    rows: tuple[int, int] | None = None,
) -> AttentionMap:
    """Where in its own words a decoder layer looked while the summary was written.

    Row i is the step that wrote summary token i; column 0 is the start token, and column j summary token j - 1. Both
    count from the first of `rows`' steps; attention to earlier ones is left out.

    Raises ValueError for a layer, a head or a range that does not exist.
    """
    top, bottom = _checked_range("summary range", rows, len(forced.summary_ids))
    weights = self_weights(model, forced, layer, heads).mean(dim=0)[top:bottom, top:bottom]
    pool = _Pool((top, bottom), unit_spans(np.arange(top, bottom)))
    pool.add(top, weights)
    return pool.attention_map(layer, heads, "self")


@torch.inference_mode()
def cross_attention_heads(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    forced: TeacherForced,
    chosen: Iterable[Sequence[int]] | None = None,
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields (layer, head, weights (summary tokens, source tokens)) of decoder heads, one at a time, in their order.

    Rows as in `cross_map`.

    Args:
        chosen: (layer, head) of those that are wanted, by default of all.
    Raises:
        ValueError: a layer or a head does not exist.
    """
    config = model.config
    every = product(range(config.num_decoder_layers), range(config.num_heads))
    for layer, pairs in groupby(sorted(every if chosen is None else map(tuple, chosen)), key=itemgetter(0)):
        heads = [head for _, head in pairs]
        weights = CrossWeights(model, encoded, forced, layer, heads)
        for index, head in enumerate(heads):
            yield layer, head, weights.head(index, 0, len(forced.summary_ids)).cpu().numpy()


class _Pool:
    """A map filled a few rows at a time. Bins have one size along an axis; the last may be smaller."""

    def __init__(self, rows: tuple[int, int], column_spans: np.ndarray) -> None:
        self.first_row, self.columns = rows[0], len(column_spans)
        self.row_size = -(-(rows[1] - rows[0]) // MAX_ROWS)
        self.column_size = -(-self.columns // MAX_COLUMNS)
        tops = np.append(np.arange(rows[0], rows[1], self.row_size), rows[1])
        lefts = np.append(np.arange(0, self.columns, self.column_size), self.columns)
        self.row_spans = np.stack([tops[:-1], tops[1:]], axis=1)
        self.column_spans = np.stack([column_spans[lefts[:-1], 0], column_spans[lefts[1:] - 1, 1]], axis=1)
        self.bins = torch.zeros(len(tops) - 1, len(lefts) - 1)
        self.cells = np.outer(np.diff(tops), np.diff(lefts)).astype(np.float32)  # in each bin

    def add(self, row: int, weights: Tensor) -> None:
        """Takes in the weights `(rows, columns)` of the rows that begin at `row`."""
        padded = F.pad(weights, (0, -self.columns % self.column_size)).unflatten(-1, (-1, self.column_size))
        bins = (torch.arange(row, row + len(weights)) - self.first_row) // self.row_size
        self.bins.index_add_(0, bins, padded.sum(dim=-1).cpu())

    def attention_map(self, layer: int, heads: Sequence[int], kind: Kind) -> AttentionMap:
        """The map, once every row has been added."""
        return AttentionMap(
            weights=self.bins.numpy() / self.cells,
            row_spans=self.row_spans,
            column_spans=self.column_spans,
            layer=layer,
            heads=tuple(heads),
            kind=kind,
            pooling="none" if self.row_size == self.column_size == 1 else "mean",
        )


def unit_spans(positions: np.ndarray) -> np.ndarray:
    """`(positions, 2)`: a span for each position alone."""
    return np.stack([positions, positions + 1], axis=1)


def _checked_range(name: str, bounds: tuple[int, int | None] | None, length: int) -> tuple[int, int]:
    """The range, by default up to the length; ValueError where it is empty or leaves the length's tokens."""
    start, end = bounds or (0, None)
    end = length if end is None else end
    if not 0 <= start < end <= length:
        raise ValueError(f"The {name} {start} to {end} does not lie within the {length} tokens there are.")
    return start, end
