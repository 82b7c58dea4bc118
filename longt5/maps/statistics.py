"""What each head does with its attention, in numbers and in a picture of a few cells; `names` tells heads by them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from longt5.generation import EncodedText
from longt5.maps.weights import SCORED_QUERIES, CrossWeights, EncoderWeights, TeacherForced, self_weights
from longt5.modeling import LongT5PreTrainedModel

MAX_QUERIES = 2048  # looked at in a text, however long it is
THUMBNAIL = 24  # rows and, but for the band, columns

Stack = Literal["encoder", "decoder", "cross"]


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """How each head of a stack attends: means over `sampled_queries` queries."""

    stack: Stack
    """The encoder's self-attention, the decoder's, or its cross-attention."""
    measures: dict[str, np.ndarray]
    """Name -> `(layers, heads)`. All but `mean_distance` (tokens) and `entropy` (nats) are shares of attention, 0 to 1:

    `mean_distance`: expected distance from query to key; to a global block's centre. Not of "cross".
    `entropy`: of the distribution over all keys, the globals among them.
    `evenness`: the entropy as a share of the highest there could be.
    `first`: on the first token (or start token), and the global block that begins the text.
    `punctuation`: on tokens of punctuation, of the band where there is one.
    `same_token`: on other tokens with the id of the query (of "cross": with that of the token being written).
    `previous`, `itself`, `next`: on the token before the query, on it, and after it. Not of "cross"; `next` of
    "encoder" only.
    `global_share`: on global blocks; of "encoder" only.
    `last`: of "cross" only, on the last token that is read, which ends the text.
    `copies`: of "cross" only, the share of steps whose largest weight is on a token equal to the one that is written.
    `focus`: of "cross" only, the largest weight above its mean over the summary that a step puts on one token.
    """
    by_offset: np.ndarray
    """`(layers, heads, offsets)`: mean weight at each offset from query to key, -radius..radius of "encoder", from the
    query itself backwards 0, -1, ... of "decoder"; of "cross" empty."""
    thumbnails: dict[str, np.ndarray]
    """"band" and "global", "self", or "cross" -> `(layers, heads, rows, columns)`: shares that fall on a group of keys,
    mean over the queries of a row. Columns of "band" are offsets, the wider the further away: see `band_bins`."""
    sampled_queries: int


@torch.inference_mode()
def head_statistics(
    model: LongT5PreTrainedModel, encoded: EncodedText, punctuation: Collection[int] = ()
) -> HeadStatistics:
    """Statistics of every encoder head.

    Over all tokens that are not padding, or, where these are more than `MAX_QUERIES`, over at most so many of
    them, in stretches spread evenly over the text.

    Args:
        punctuation: ids of tokens that are nothing else.
    Raises:
        ValueError: a text of nothing but padding.
    """
    mask = encoded.attention_mask[0].cpu()
    tokens = mask.nonzero()[:, 0].tolist()
    if not tokens:
        raise ValueError("Statistics of attention need at least one token of text.")
    windows = _sample(tokens, MAX_QUERIES)
    keys = _Keys(encoded, model.config.local_radius, punctuation)
    sampled = sum(int(mask[start:end].sum()) for start, end in windows)
    layers = []
    for layer in range(len(model.encoder.block)):
        weights = EncoderWeights(model, encoded, layer, range(model.config.num_heads))
        layers.append(_LayerSums(weights, sampled).add(windows, keys).means())
    by_name = {name: np.stack([layer[name] for layer in layers]) for name in layers[0]}
    radius, by_offset = model.config.local_radius, by_name.pop("by_offset")
    thumbnails = {name: by_name.pop(name) for name in ("band", "global")}
    for name, offset in (("previous", -1), ("itself", 0), ("next", 1)):
        by_name[name] = by_offset[..., radius + offset]
    return HeadStatistics("encoder", by_name, by_offset, thumbnails, sampled)


@torch.inference_mode()
def decoder_statistics(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    forced: TeacherForced,
    punctuation: Collection[int] = (),
) -> tuple[HeadStatistics, HeadStatistics]:
    """Statistics of every decoder head while it wrote a summary: of its self-attention and its cross-attention."""
    own, cross = [], []
    heads = range(model.config.num_heads)
    for layer in range(model.config.num_decoder_layers):
        own.append(_self_statistics(self_weights(model, forced, layer, heads).cpu(), forced, punctuation))
        weights = CrossWeights(model, encoded, forced, layer, heads)
        rows = [
            _cross_statistics(
                weights.head(head, 0, len(forced.summary_ids)).cpu(), encoded, forced, punctuation
            )
            for head in heads
        ]
        cross.append({name: np.stack([row[name] for row in rows]) for name in rows[0]})
    steps = len(forced.summary_ids)
    found = []
    stacks: tuple[tuple[Stack, str, list[dict[str, np.ndarray]]], ...] = (
        ("decoder", "self", own),
        ("cross", "cross", cross),
    )
    for stack, thumbnail, layers in stacks:
        by_name = {name: np.stack([layer[name] for layer in layers]) for name in layers[0]}
        by_offset = by_name.pop("by_offset", np.zeros((len(layers), len(heads), 0), np.float32))
        found.append(HeadStatistics(stack, by_name, by_offset, {thumbnail: by_name.pop("thumbnail")}, steps))
    return found[0], found[1]


def band_bins(radius: int) -> list[tuple[int, int]]:
    """Half-open ranges of offsets that share a column of a band's thumbnail: single ones near the query, then wider."""
    edges, step = [1], 1
    while edges[-1] <= radius:
        edges.append(min(edges[-1] + step, radius + 1))
        if len(edges) % 4 == 1:
            step *= 2
    ahead = list(pairwise(edges))
    return [(1 - end, 1 - start) for start, end in reversed(ahead)] + [(0, 1)] + ahead


class _Keys:
    """What there is to know of the keys of any query: whether they are punctuation, whether they repeat it."""

    def __init__(self, encoded: EncodedText, radius: int, punctuation: Collection[int]) -> None:
        self.ids, self.radius = encoded.input_ids[0].cpu(), radius
        padded = torch.nn.functional.pad(self.ids, (radius, radius), value=-1)
        self.around = padded.unfold(0, 2 * radius + 1, 1)  # (length, offsets), a view
        marks = torch.tensor(sorted(punctuation), dtype=torch.long)
        self.is_mark = torch.isin(padded, marks).unfold(0, 2 * radius + 1, 1)

    def of(self, start: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """(is punctuation, repeats the query, is the first token), each `(queries, offsets)` float32."""
        same = self.around[start:end] == self.ids[start:end, None]
        same[:, self.radius] = False
        positions = torch.arange(start, end)[:, None] + torch.arange(-self.radius, self.radius + 1)
        return self.is_mark[start:end].float(), same.float(), (positions == 0).float()


class _LayerSums:
    """Sums over queries of what is measured of the heads of one encoder layer."""

    def __init__(self, weights: EncoderWeights, queries: int) -> None:
        self.weights, self.queries, self.seen = weights, queries, 0
        radius, num_globals = weights.radius, weights.num_globals
        self.offsets = torch.arange(-radius, radius + 1).abs().float()
        self.centres = (weights.global_spans.sum(dim=1) - 1) / 2
        bins = band_bins(radius)
        self.near = torch.zeros(2 * radius + 1, len(bins))
        for column, (start, end) in enumerate(bins):
            self.near[start + radius : end + radius, column] = 1
        self.far = torch.zeros(num_globals, THUMBNAIL)
        self.far[torch.arange(num_globals), torch.arange(num_globals) * THUMBNAIL // max(1, num_globals)] = 1
        heads, rows = len(weights.heads), min(THUMBNAIL, queries)
        names = "global_share mean_distance entropy evenness first punctuation same_token".split()
        self.sums = {name: torch.zeros(heads, dtype=torch.float64) for name in names}
        self.by_offset = torch.zeros(heads, 2 * radius + 1, dtype=torch.float64)
        self.rows = torch.zeros(rows)
        self.band, self.globals = (
            torch.zeros(heads, rows, table.shape[1]) for table in (self.near, self.far)
        )

    def add(self, windows: list[tuple[int, int]], keys: _Keys) -> _LayerSums:
        """Takes in the queries of some windows of the text."""
        for position, band, globals_ in (
            chunk for window in windows for chunk in self.weights.chunks(*window)
        ):
            self._add(position, band.cpu(), globals_.cpu(), keys)
        return self

    def _add(self, start: int, band: Tensor, globals_: Tensor, keys: _Keys) -> None:
        end = start + band.shape[1]
        text = self.weights.mask[start:end]
        punctuation, same, first = keys.of(start, end)
        to_centres = (torch.arange(start, end)[:, None] - self.centres).abs()
        entropy = torch.special.entr(band).sum(dim=-1) + torch.special.entr(globals_).sum(dim=-1)
        visible = self.weights.visible(start, end - start).sum(dim=-1)
        measured = {
            "global_share": globals_.sum(dim=-1),  # (heads, queries), like the rest
            "mean_distance": band @ self.offsets + (globals_ * to_centres).sum(dim=-1),
            "entropy": entropy,
            "evenness": entropy / visible.clamp(min=2).log(),
            "first": (band * first).sum(dim=-1) + globals_[..., :1].sum(dim=-1),
            "punctuation": (band * punctuation).sum(dim=-1),
            "same_token": (band * same).sum(dim=-1),
        }
        for name, values in measured.items():
            self.sums[name] += values.sum(dim=-1)
        self.by_offset += band.sum(dim=1)
        order = self.seen + text.cumsum(0) - 1  # of the queries in the sample; padding has no weights to add
        rows = order.clamp(min=0) * len(self.rows) // self.queries
        self.seen += int(text.sum())
        self.rows.index_add_(0, rows, text.float())
        self.band.index_add_(1, rows, band @ self.near)
        self.globals.index_add_(1, rows, globals_ @ self.far)

    def means(self) -> dict[str, np.ndarray]:
        """Each measure `(heads,)`, `by_offset` `(heads, offsets)`, thumbnails `(heads, rows, columns)`."""
        sums = {**self.sums, "by_offset": self.by_offset}
        return {
            **{name: (values / self.queries).float().numpy() for name, values in sums.items()},
            "band": (self.band / self.rows[:, None]).numpy(),
            "global": (self.globals / self.rows[:, None]).numpy(),
        }


def _self_statistics(
    weights: Tensor, forced: TeacherForced, punctuation: Collection[int]
) -> dict[str, np.ndarray]:
    """Of one layer's `(heads, steps, steps)`: what `_LayerSums.means` has of the encoder, with one "thumbnail".

    Key j is the token that step j read: the start token, or summary token j - 1.
    """
    steps = weights.shape[1]
    read = torch.tensor([-1, *forced.summary_ids[:-1]])
    distance = torch.arange(steps)[:, None] - torch.arange(steps)
    same = (read == read[:, None]) & (distance > 0)
    marks = torch.isin(read, torch.tensor(sorted(punctuation), dtype=torch.long))
    entropy = torch.special.entr(weights).sum(dim=-1)
    by_offset = (
        torch.stack([weights.diagonal(-back, 1, 2).sum(dim=-1) for back in range(steps)], dim=-1) / steps
    )
    pooled = _pooled(weights, min(THUMBNAIL, steps), min(THUMBNAIL, steps))
    return {
        "mean_distance": (weights * distance).sum(-1).mean(-1).numpy(),
        "entropy": entropy.mean(-1).numpy(),
        "evenness": (entropy / torch.arange(1, steps + 1).clamp(min=2).log()).mean(-1).numpy(),
        "first": weights[..., 0].mean(-1).numpy(),
        "punctuation": (weights * marks).sum(-1).mean(-1).numpy(),
        "same_token": (weights * same).sum(-1).mean(-1).numpy(),
        "previous": by_offset[:, 1].numpy() if steps > 1 else np.zeros(len(weights), np.float32),
        "itself": by_offset[:, 0].numpy(),
        "by_offset": by_offset.numpy(),
        "thumbnail": pooled.numpy(),
    }


def _cross_statistics(
    weights: Tensor, encoded: EncodedText, forced: TeacherForced, punctuation: Collection[int]
) -> dict[str, np.ndarray]:
    """Of one head's `(steps, source tokens)`."""
    ids = encoded.input_ids[0].cpu()
    seen = encoded.attention_mask[0].cpu().nonzero()[:, 0]
    marks = torch.isin(ids, torch.tensor(sorted(punctuation), dtype=torch.long))
    written = torch.tensor(forced.summary_ids)
    entropy = torch.special.entr(weights).sum(dim=-1).mean()
    excess = weights - weights.mean(dim=0)
    steps, tokens = weights.shape
    copied = torch.stack([weights[step, ids == token].sum() for step, token in enumerate(written)]).mean()
    top = ids[weights.argmax(dim=-1).cpu()]
    measured = {
        "copies": (top == written).float().mean(),
        "entropy": entropy,
        "evenness": entropy / np.log(max(2, len(seen))),
        "first": weights[:, seen[0]].mean(),
        "last": weights[:, seen[-1]].mean(),
        "punctuation": weights[:, marks].sum(dim=-1).mean(),
        "same_token": copied,
        "focus": excess.max(dim=-1).values.mean(),
    }
    pooled = _pooled(weights[None], min(THUMBNAIL, steps), min(THUMBNAIL, tokens))[0]
    return {name: np.array(float(value), np.float32) for name, value in measured.items()} | {
        "thumbnail": pooled.numpy()
    }


def _pooled(weights: Tensor, rows: int, columns: int) -> Tensor:
    """`(heads, queries, keys)` -> `(heads, rows, columns)`: keys of a column summed, queries of a row averaged."""
    queries, keys = weights.shape[1:]
    row_of = torch.arange(queries) * rows // queries
    column_of = torch.arange(keys) * columns // keys
    summed = weights.new_zeros(len(weights), queries, columns).index_add_(2, column_of, weights)
    pooled = weights.new_zeros(len(weights), rows, columns).index_add_(1, row_of, summed)
    return pooled / row_of.bincount()[:, None]


def _sample(tokens: list[int], max_queries: int) -> list[tuple[int, int]]:
    """Windows with all of the tokens (rising positions), or at most max_queries of them, evenly spread."""
    if len(tokens) <= max_queries:
        return [(tokens[0], tokens[-1] + 1)]
    stretch = min(SCORED_QUERIES, max_queries)
    count = max_queries // stretch
    last = len(tokens) - stretch
    starts = [last // 2] if count == 1 else [last * i // (count - 1) for i in range(count)]
    return [(tokens[start], tokens[start + stretch - 1] + 1) for start in starts]
