"""Labelled arrays -> the panels of a drawing, and the arrays of a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.inspecting.drawing import Axis, Heatmap, Measure, Tile, Tiles
from app.inspecting.inspector import Label, LabelledMap, Overview, shorten

MOST_WORDS = 64  # so many tokens along an axis are written as words; more of them as sections and pages


@dataclass(frozen=True)
class Sides:
    """What the rows and columns of a map are."""

    rows: str
    columns: str
    unit: Literal["tokens", "offsets", "blocks"] = "tokens"
    """What a column is one or several of; offsets are counted from the query."""


@dataclass(frozen=True)
class MeasureOfHeads:
    """One of the measures that heads are sorted and told by."""

    title: str
    unit: Literal["%", "tokens", "nats"] = "%"

    def written(self, value: float) -> str:
        """A value with its unit."""
        if self.unit == "%":
            return f"{value:.0%}".replace("%", " %") if value >= 0.1 or value == 0 else f"{100 * value:.1f} %"
        return f"{value:,.0f} tokens" if self.unit == "tokens" else f"{value:.1f} nats"


MEASURES = {
    "global_share": MeasureOfHeads("on the globals"),
    "mean_distance": MeasureOfHeads("mean distance", "tokens"),
    "entropy": MeasureOfHeads("entropy", "nats"),
    "evenness": MeasureOfHeads("evenness (entropy over the highest possible)"),
    "previous": MeasureOfHeads("on the previous token"),
    "itself": MeasureOfHeads("on the token itself"),
    "next": MeasureOfHeads("on the next token"),
    "same_token": MeasureOfHeads("on the same word"),
    "first": MeasureOfHeads("on the first token"),
    "last": MeasureOfHeads("on the end token"),
    "punctuation": MeasureOfHeads("on punctuation"),
    "focus": MeasureOfHeads("focus (on one place at a time)"),
    "copies": MeasureOfHeads("steps that copy"),
}


def heat_map(labelled: LabelledMap, sides: Sides, *, title: str = "", measure: Measure = "share") -> Heatmap:
    """An attention map as a panel, the first row on top; what is outside of the text is empty."""
    attention = labelled.map
    rows = source_axis(sides.rows, labelled.row_labels, attention.row_spans)
    keys: tuple[str, ...] = ()
    if sides.unit == "offsets":
        texts = tuple(label.text for label in labelled.column_labels)
        middle = len(texts) // 2
        ticks = tuple(
            (i, texts[i]) for i in sorted({0, middle // 2, middle, middle + middle // 2 + 1, len(texts) - 1})
        )
        columns = Axis(sides.columns, tuple(label.quote for label in labelled.column_labels), ticks)
        keys = _keys(labelled)
    else:
        columns = source_axis(sides.columns, labelled.column_labels, attention.column_spans)
    values = np.where(attention.weights > 0, attention.weights, np.nan).astype(np.float32)
    per_row, per_column = (
        int(spans[0][1] - spans[0][0]) for spans in (attention.row_spans, attention.column_spans)
    )
    return Heatmap(values, rows, columns, measure, title, keys, per_row, per_column)


def source_axis(title: str, labels: Sequence[Label], spans: np.ndarray) -> Axis:
    """Tokens, or groups of them, along a side: their words where these fit, else sections and pages."""
    full = tuple(describe(label, int(start), int(end)) for label, (start, end) in zip(labels, spans))
    if len(labels) <= MOST_WORDS:
        return Axis(
            title, full, tuple((i, shorten(label.text, 14) or "\u00b7") for i, label in enumerate(labels))
        )
    # Later ticks give way where there is no room, so those that say most come first: sections, then pages.
    places = [(i, label) for i, label in enumerate(labels) if label.page is not None]
    turns = [
        (
            i,
            label,
            k == 0 or places[k - 1][1].section != label.section,
            k == 0 or places[k - 1][1].page != label.page,
        )
        for k, (i, label) in enumerate(places)
    ]
    sections = [
        (i, shorten(label.section, 22)) for i, label, section, _ in turns if section and label.section
    ]
    pages = [(i, f"p. {label.page}") for i, label, _, page in turns if page]
    if len(sections) + len(pages) > 2:
        return Axis(title, full, tuple(sections + pages))
    numbered = [(i, f"{int(spans[i][0]):,} {shorten(labels[i].text, 10)}") for i in spread(len(labels), 16)]
    return Axis(title, full, tuple(numbered))


def describe(label: Label, start: int, end: int) -> str:
    """One line for whoever points at it: which tokens, words, section and page. -1 is the start token, of no number."""
    if start >= end:
        return "nothing: past the end of the text"
    first = max(start, 0)
    which = f"token {first:,}" if end - first == 1 else f"tokens {first:,}\u2013{end - 1:,}"
    where = [
        *([which] if end > 0 else []),
        *([label.section] if label.section else []),
        *([f"p. {label.page}"] if label.page else []),
    ]
    return " \u00b7 ".join([f"\u201c{shorten(label.quote or label.text, 90)}\u201d", *where])


def spread(count: int, most: int) -> list[int]:
    """At most `most` indices out of `range(count)`, evenly spaced, first and last included."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def pooling_note(labelled: LabelledMap, sides: Sides, block_size: int) -> str:
    """How many tokens, offsets or blocks share a cell, in words; empty when each has its own."""
    attention = labelled.map
    if attention.pooling == "none":
        return ""
    size = block_size if sides.unit == "blocks" else 1
    a_row = int(np.diff(attention.row_spans).max(initial=1))
    # the last global block holds the rest of the text too, so the widest column says nothing
    a_column = int(np.median(np.diff(attention.column_spans))) // size
    parts = [f"up to {a_row} tokens a row"] if a_row > 1 else []
    parts += [f"{a_column} {sides.unit} a column"] if a_column > 1 else []
    return f"Pooled: {attention.pooling} of {' and '.join(parts)}; zoom in for single ones."


def difference(first: Heatmap, second: Heatmap) -> Heatmap | None:
    """The second less the first, where both have the same sides; None where they have not."""
    if first.values.shape != second.values.shape or first.rows.labels != second.rows.labels:
        return None
    if first.columns.labels != second.columns.labels:
        return None
    gap = np.nan_to_num(second.values) - np.nan_to_num(first.values)
    empty = np.isnan(first.values) & np.isnan(second.values)
    return Heatmap(
        np.where(empty, np.nan, gap).astype(np.float32),
        second.rows,
        second.columns,
        "difference",
        "right less left",
        second.keys,
        second.keys_per_row,
        second.keys_per_column,
    )


def head_tiles(
    overview: Overview, thumbnail: str, sort: str, named: str, chosen: tuple[int, int] | None
) -> Tiles:
    """Every head as a thumbnail.

    Args:
        thumbnail: which of the statistics' thumbnails.
        sort: a measure to sort by, or "" for the order of layers and heads.
        named: only heads of this name; "" for all.
    """
    found = overview.statistics
    shown = found.measures[sort or ("global_share" if found.stack == "encoder" else "evenness")]
    layers, heads = shown.shape
    order = [(layer, head) for layer in range(layers) for head in range(heads)]
    if sort:
        order.sort(key=lambda place: -float(shown[place]))
    if named:
        order = [(layer, head) for layer, head in order if _name_of(overview, layer, head) == named]
    tiles = tuple(
        Tile(
            layer,
            head,
            _name_of(overview, layer, head),
            _tile_label(overview, layer, head),
            MEASURES[sort].written(float(shown[layer, head])) if sort else _because(overview, layer, head),
        )
        for layer, head in order
    )
    images = found.thumbnails[thumbnail]
    picked = np.stack([images[place] for place in order]) if order else images[:0, 0]
    return Tiles(tiles, picked, by_layer=not sort and not named, chosen=chosen)


def to_npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Named arrays as a compressed .npz; texts are fixed-width unicode, so nothing is pickled."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def arrays(labelled: LabelledMap) -> dict[str, np.ndarray]:
    """Everything a map says, for `to_npz`: weights, the token range of each row and column, their texts."""
    attention = labelled.map
    return {
        "weights": attention.weights,
        "row_spans": attention.row_spans,
        "column_spans": attention.column_spans,
        "row_texts": np.array([label.quote or label.text for label in labelled.row_labels]),
        "column_texts": np.array([label.quote or label.text for label in labelled.column_labels]),
        "row_pages": np.array([label.page or 0 for label in labelled.row_labels]),
        "column_pages": np.array([label.page or 0 for label in labelled.column_labels]),
        "layer": np.array(attention.layer),
        "heads": np.array(attention.heads),
        "kind": np.array(attention.kind),
        "pooling": np.array(attention.pooling),
    }


def _keys(labelled: LabelledMap) -> tuple[str, ...]:
    """The words of the keys of a band, in the order in which cell (0, 0), its neighbours and later rows have them."""
    attention = labelled.map
    first = int(attention.row_spans[0, 0] + attention.column_spans[0, 0]) - labelled.tokens_start
    last = int(attention.row_spans[-1, 1] + attention.column_spans[-1, 1]) - labelled.tokens_start
    tokens = labelled.tokens
    return tuple(tokens[i] if 0 <= i < len(tokens) else "" for i in range(first, last))


def _name_of(overview: Overview, layer: int, head: int) -> str:
    name = overview.names[layer][head]
    return name.name if name else ""


def _because(overview: Overview, layer: int, head: int) -> str:
    name = overview.names[layer][head]
    return MEASURES["itself"].written(name.value) if name else ""


def _tile_label(overview: Overview, layer: int, head: int) -> str:
    name = overview.names[layer][head]
    why = "no name fits"
    if name is not None:
        why = f"{name.says}: {name.value:.0%} {name.measure} (named from {name.threshold:.0%})"
    measures = "; ".join(
        f"{MEASURES[key].title} {MEASURES[key].written(float(values[layer, head]))}"
        for key, values in overview.statistics.measures.items()
    )
    return f"Layer {layer}, head {head}: {why}. {measures}."
