"""Attention maps small enough to draw, in the layouts that LongT5 computes in: never a square.

The band is (query, offset -radius..radius), the globals are (query, global block), the cross-attention is
(summary token, source token) (Guo et al. 2022, arXiv 2112.07916, section 3.1). The weights come from
attention_weights.py a few queries at a time and are pooled as they come: the map of a whole text takes little
memory, and the map of a window costs what the window does.

Ranges are half-open (start, end) everywhere, heads are averaged before anything is pooled, and every array
handed out is numpy, weights in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from longt5.maps.weights import SCORED_QUERIES, CrossWeights, EncoderWeights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from longt5.generation import EncodedText
    from longt5.modeling import LongT5PreTrainedModel

Kind = Literal["band", "global", "cross"]
Pooling = Literal["mean", "max"]


@dataclass(frozen=True, eq=False)
class WindowAttention:
    """Exact weights of a window's queries; a row of `band` and that row of `globals` sum to 1 together.

    Offsets that point outside the text or at padding have weight 0; a query that is padding has only zeros.

    band: (heads, queries, 2 * radius + 1), column c is offset c - radius.
    globals: (heads, queries, num_globals), num_globals 0 for local attention and texts shorter than a block.
    """

    band: np.ndarray
    globals: np.ndarray


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """The mean over `heads`, pooled along both axes as `pooling` says.

    weights: (rows, columns).
    row_spans: (rows, 2), the tokens of each row: source tokens, or summary tokens for "cross".
    column_spans: (columns, 2), offsets for "band", source tokens for "global" and "cross". Global blocks that
        lie in the padding after a text have empty spans.
    pooling: "none" where every cell is one query and one key.
    """

    weights: np.ndarray
    row_spans: np.ndarray
    column_spans: np.ndarray
    layer: int
    heads: tuple[int, ...]
    kind: Kind
    pooling: Literal["none", "mean", "max"]


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """How each head of each encoder layer attends: means over `sampled_queries` queries, (layers, heads).

    global_share: share of the attention that goes to global blocks, 0 to 1.
    mean_distance: expected distance from query to key in tokens; to a global block's centre for the globals.
    entropy: of the distribution over band and globals together, in nats.
    """

    global_share: np.ndarray
    mean_distance: np.ndarray
    entropy: np.ndarray
    sampled_queries: int


@torch.inference_mode()
def window_attention(
    model: LongT5PreTrainedModel, encoded: EncodedText, layer: int, heads: Sequence[int], start: int, end: int
) -> WindowAttention:
    """The exact attention of the tokens start to end in an encoder layer.

    Raises ValueError for a layer, a head or a window that does not exist.
    """
    start, end = _checked_range("window", (start, end), encoded.input_ids.shape[1])
    _, band, globals_ = zip(*EncoderWeights(model, encoded, layer, heads).chunks(start, end), strict=True)
    return WindowAttention(
        band=torch.cat([chunk.cpu() for chunk in band], dim=1).numpy(),
        globals=torch.cat([chunk.cpu() for chunk in globals_], dim=1).numpy(),
    )


@torch.inference_mode()
def band_map(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    layer: int,
    heads: Sequence[int],
    *,
    start: int = 0,
    end: int | None = None,
    max_rows: int = 512,
    max_columns: int = 512,
    pooling: Pooling = "mean",
) -> AttentionMap:
    """The band of the tokens start to end, by default of the whole text, pooled to a given size.

    Raises ValueError for a layer, a head, a window or a pooling that does not exist.
    """
    start, end = _checked_range("window", (start, end), encoded.input_ids.shape[1])
    weights = EncoderWeights(model, encoded, layer, heads)
    offsets = np.arange(-weights.radius, weights.radius + 1)
    pool = _Pool((start, end), _unit_spans(offsets), max_rows, max_columns, pooling)
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
    max_rows: int = 512,
    max_columns: int = 512,
    pooling: Pooling = "mean",
) -> AttentionMap:
    """The globals as seen by the tokens start to end, by default the whole text, pooled to a given size.

    Raises ValueError for a layer, a head, a window or a pooling that does not exist, and where there are no
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
    pool = _Pool((start, end), weights.global_spans.numpy(), max_rows, max_columns, pooling)
    for position, _, globals_ in weights.chunks(start, end):
        pool.add(position, globals_.mean(dim=0))
    return pool.attention_map(layer, heads, "global")


@torch.inference_mode()
def cross_map(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    summary_ids: Sequence[int],
    layer: int,
    heads: Sequence[int],
    *,
    rows: tuple[int, int] | None = None,
    columns: tuple[int, int] | None = None,
    max_rows: int = 512,
    max_columns: int = 512,
    pooling: Pooling = "mean",
) -> AttentionMap:
    """Where in the source a decoder layer looked while the summary was written, pooled to a given size.

    Row i is the step that wrote summary_ids[i]: its query is the token before it. Weights are shares of the
    attention to the whole source, so those of a range of columns sum to less than 1.

    Args:
        summary_ids: the tokens of the summary without the start token.
        rows: range of summary tokens, by default all. columns: range of source tokens, by default all.
    Raises ValueError for a layer, a head, a range or a pooling that does not exist, and for a model without a
    decoder.
    """
    top, bottom = _checked_range("summary range", rows, len(summary_ids))
    left, right = _checked_range("source range", columns, encoded.input_ids.shape[1])
    weights = CrossWeights(model, encoded, summary_ids, layer, heads)
    pool = _Pool((top, bottom), _unit_spans(np.arange(left, right)), max_rows, max_columns, pooling)
    for start in range(top, bottom, SCORED_QUERIES):
        end = min(start + SCORED_QUERIES, bottom)
        mean = torch.zeros(end - start, right - left, device=weights.keys.device)
        for index in range(len(heads)):
            mean += weights.head(index, start, end)[:, left:right] / len(heads)
        pool.add(start, mean)
    return pool.attention_map(layer, heads, "cross")


@torch.inference_mode()
def cross_attention_heads(
    model: LongT5PreTrainedModel, encoded: EncodedText, summary_ids: Sequence[int]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (layer, head, weights (summary tokens, source tokens)) of all decoder heads, one at a time.

    Rows as in `cross_map`. Raises ValueError for an empty summary and for a model without a decoder.
    """
    _, length = _checked_range("summary range", None, len(summary_ids))
    heads = range(model.config.num_heads)
    for layer in range(model.config.num_decoder_layers):
        weights = CrossWeights(model, encoded, summary_ids, layer, heads)
        for head in heads:
            yield layer, head, weights.head(head, 0, length).cpu().numpy()


@torch.inference_mode()
def head_statistics(
    model: LongT5PreTrainedModel, encoded: EncodedText, *, max_queries: int = 2048
) -> HeadStatistics:
    """The share of the globals, the mean distance and the entropy of every encoder head.

    Over all tokens that are not padding, or, where these are more than `max_queries`, over at most so many of
    them, in stretches spread evenly over the text.

    Raises ValueError for a text of nothing but padding, and for max_queries below 1.
    """
    mask = encoded.attention_mask[0].cpu()
    tokens = mask.nonzero()[:, 0].tolist()
    if not tokens or max_queries < 1:
        raise ValueError("Statistics of attention need at least one token of text.")
    windows = _sample(tokens, max_queries)
    num_layers, heads = len(model.encoder.block), range(model.config.num_heads)
    sums = torch.zeros(3, num_layers, len(heads), dtype=torch.float64)
    for layer in range(num_layers):
        weights = EncoderWeights(model, encoded, layer, heads)
        offsets = torch.arange(-weights.radius, weights.radius + 1).abs().float()
        centres = (weights.global_spans.sum(dim=1) - 1) / 2
        for position, band, globals_ in (chunk for window in windows for chunk in weights.chunks(*window)):
            queries = torch.arange(position, position + band.shape[1])
            to_centres = (queries[:, None] - centres).abs().to(band.device)
            share = globals_.sum(dim=-1)  # (heads, queries), like the two below
            distance = band @ offsets.to(band.device) + (globals_ * to_centres).sum(dim=-1)
            entropy = torch.special.entr(band).sum(dim=-1) + torch.special.entr(globals_).sum(dim=-1)
            sums[:, layer] += torch.stack([share, distance, entropy]).sum(dim=-1).double().cpu()
    sampled = sum(int(mask[start:end].sum()) for start, end in windows)
    global_share, mean_distance, entropies = (sums / sampled).float().numpy()
    return HeadStatistics(global_share, mean_distance, entropies, sampled)


def _sample(tokens: list[int], max_queries: int) -> list[tuple[int, int]]:
    """Windows with all of the tokens (rising positions), or at most max_queries of them, evenly spread."""
    if len(tokens) <= max_queries:
        return [(tokens[0], tokens[-1] + 1)]
    stretch = min(SCORED_QUERIES, max_queries)
    count = max_queries // stretch
    last = len(tokens) - stretch
    starts = [last // 2] if count == 1 else [last * i // (count - 1) for i in range(count)]
    return [(tokens[start], tokens[start + stretch - 1] + 1) for start in starts]


class _Pool:
    """A map filled a few rows at a time. Bins have one size along an axis; the last may be smaller.

    Raises ValueError for a size below one cell and for a pooling that is neither mean nor max.
    """

    def __init__(
        self,
        rows: tuple[int, int],
        column_spans: np.ndarray,
        max_rows: int,
        max_columns: int,
        pooling: Pooling,
    ) -> None:
        if pooling not in ("mean", "max"):
            raise ValueError(f"Attention is pooled by mean or max, not by {pooling}.")
        if max_rows < 1 or max_columns < 1:
            raise ValueError("A map has at least one row and one column.")
        self.pooling, self.first_row, self.columns = pooling, rows[0], len(column_spans)
        self.row_size = -(-(rows[1] - rows[0]) // max_rows)
        self.column_size = -(-self.columns // max_columns)
        tops = np.append(np.arange(rows[0], rows[1], self.row_size), rows[1])
        lefts = np.append(np.arange(0, self.columns, self.column_size), self.columns)
        self.row_spans = np.stack([tops[:-1], tops[1:]], axis=1)
        self.column_spans = np.stack([column_spans[lefts[:-1], 0], column_spans[lefts[1:] - 1, 1]], axis=1)
        self.bins = torch.zeros(len(tops) - 1, len(lefts) - 1)
        self.cells = np.outer(np.diff(tops), np.diff(lefts)).astype(np.float32)  # in each bin

    def add(self, row: int, weights: Tensor) -> None:
        """Take in the weights (rows, columns), none of them negative, of the rows that begin at `row`."""
        padded = F.pad(weights, (0, -self.columns % self.column_size)).unflatten(-1, (-1, self.column_size))
        pooled = (padded.amax(dim=-1) if self.pooling == "max" else padded.sum(dim=-1)).cpu()
        bins = (torch.arange(row, row + len(weights)) - self.first_row) // self.row_size
        if self.pooling == "max":
            self.bins.scatter_reduce_(0, bins[:, None].expand_as(pooled), pooled, "amax")
        else:
            self.bins.index_add_(0, bins, pooled)

    def attention_map(self, layer: int, heads: Sequence[int], kind: Kind) -> AttentionMap:
        """The map, once every row has been added."""
        exact = self.row_size == self.column_size == 1
        return AttentionMap(
            weights=self.bins.numpy() / (self.cells if self.pooling == "mean" else 1),
            row_spans=self.row_spans,
            column_spans=self.column_spans,
            layer=layer,
            heads=tuple(heads),
            kind=kind,
            pooling="none" if exact else self.pooling,
        )


def _unit_spans(positions: np.ndarray) -> np.ndarray:
    """(positions, 2): a span for each position alone."""
    return np.stack([positions, positions + 1], axis=1)


def _checked_range(name: str, bounds: tuple[int, int | None] | None, length: int) -> tuple[int, int]:
    """The range, by default up to the length; ValueError where it is empty or leaves the length's tokens."""
    start, end = bounds or (0, None)
    end = length if end is None else end
    if not 0 <= start < end <= length:
        raise ValueError(f"The {name} {start} to {end} does not lie within the {length} tokens there are.")
    return start, end
