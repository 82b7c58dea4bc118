"""Arrays -> Plotly figures, and a figure or its numbers -> the bytes of a file.

No model, no tokenizer, no Gradio. Every figure is a heat map of at most 512 x 512 cells whose
labels are the words of somebody's paper: Plotly reads a small part of HTML in labels and hover
texts, so each one passes through `plain` first.
"""

from __future__ import annotations

import html
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from app.inspecting.inspector import Label, LabelledMap, shorten

MAX_CELLS = 512
MOST_TOKEN_TICKS = 64  # so many tokens can still be written along an axis
MOST_KEY_TEXTS = 20_000  # cells of a band that carry the text of their key
COLOUR_SCALE = "Viridis"  # perceptually uniform, and readable without seeing red or green
FONT = "Inter, ui-sans-serif, system-ui, sans-serif"
INK = "#1f2933"  # the page recolours text in dark mode; files keep this, on white
UNTITLED_TOP = 12  # pixels
LOG_FLOOR = 1e-6  # smaller weights are drawn like this one on a logarithmic scale

Scale = Literal["linear", "log"]
Unit = Literal["%", "tokens", "nats"]


@dataclass(frozen=True)
class Axis:
    """One side of a heat map."""

    title: str
    """What the cells along this side are, e.g. "tokens of the paper"."""
    labels: tuple[str, ...]
    """One text a cell, shown on hover."""
    ticks: tuple[tuple[int, str], ...]
    """(cell, short text) pairs written along the axis."""


@dataclass(frozen=True)
class Sides:
    """What the rows and columns of a map are."""

    rows: str
    columns: str
    unit: Literal["tokens", "offsets", "blocks"] = "tokens"
    """What a column is one or several of; offsets are counted from the query."""


def plain(text: str) -> str:
    """Text that Plotly shows letter by letter: no tags, no links, no TeX, no control characters."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    # Plotly hands "$...$" to MathJax where a page has loaded one; a zero-width joiner stops that.
    return html.escape(text, quote=False).replace("$", "$\u2060")


def spread(count: int, most: int) -> list[int]:
    """At most `most` indices out of `range(count)`, evenly spaced, first and last included."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def map_figure(
    labelled: LabelledMap, sides: Sides, *, title: str, subtitle: str, scale: Scale = "linear"
) -> go.Figure:
    """An attention map as a heat map, the first row on top.

    Args:
        subtitle: says which rows and columns are shown.
        scale: how colours follow weights. Attention is heavy-tailed: on a linear scale a few cells outshine the rest,
            on a logarithmic one each decade gets its share of the colours.

    Raises:
        ValueError: more than 512 cells a side, or labels that do not fit the weights.
    """
    attention = labelled.map
    weights = attention.weights.astype(np.float32)
    if max(weights.shape) > MAX_CELLS:
        raise ValueError(f"A figure holds at most {MAX_CELLS} x {MAX_CELLS} cells, not {weights.shape}.")
    rows = _axis(sides.rows, labelled.row_labels, attention.row_spans)
    if sides.unit == "offsets":
        texts = tuple(label.text for label in labelled.column_labels)
        ticks = tuple((i, texts[i]) for i in spread(len(texts), 9))
        columns = Axis(sides.columns, tuple(f"offset {text}" for text in texts), ticks)
    else:
        columns = _axis(sides.columns, labelled.column_labels, attention.column_spans)
    if weights.shape != (len(rows.labels), len(columns.labels)):
        raise ValueError(f"{weights.shape} cells, but {len(rows.labels)} x {len(columns.labels)} labels.")
    trace = go.Heatmap(
        y=_unique(rows.labels),
        x=_unique(columns.labels),
        colorscale=COLOUR_SCALE,
        hoverongaps=False,
        hovertemplate="%{y}<br>\u2192 %{x}<br><b>%{z:.3%}</b><extra></extra>",
    )
    key_texts = _key_texts(labelled)
    if key_texts is not None:
        escaped = {text: plain(text) for text in set(key_texts.flat)}  # a token stands in many rows
        # An array: Plotly would look at every cell of a list.
        trace.text = np.array([[escaped[text] for text in line] for line in key_texts], dtype=object)
        trace.hovertemplate = "%{y}<br>\u2192 %{text} (%{x})<br><b>%{z:.3%}</b><extra></extra>"
    colorbar: dict[str, object] = {"tickformat": "~%"}
    if scale == "log":
        trace.hovertemplate = trace.hovertemplate.replace("%{z:.3%}", "%{customdata:.3%}")
        trace.customdata = weights
        # 0 has no logarithm and stays blank; what lies outside of the text is 0
        trace.z = np.log10(np.where(weights > 0, np.maximum(weights, LOG_FLOOR), np.nan))
        colorbar |= _decades(trace.z)
    else:
        trace.z = weights
        trace.zmin = 0.0
    trace.colorbar = _colour_bar(colorbar)
    return go.Figure(trace, _layout(rows, columns, title, subtitle))


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


def overview_map(
    values: np.ndarray, *, title: str, unit: Unit, selected: tuple[int, int] | None
) -> go.Figure:
    """One statistic of every head: (layers, heads), the chosen head framed."""
    layers, heads = values.shape
    form = {"%": ".1%", "tokens": ".0f", "nats": ".2f"}[unit]
    suffix = "" if unit == "%" else f" {unit}"
    rows = Axis("layer", tuple(f"layer {i}" for i in range(layers)), _numbered(layers))
    columns = Axis("head", tuple(f"head {i}" for i in range(heads)), _numbered(heads))
    trace = go.Heatmap(
        z=values.astype(np.float32),
        y=list(rows.labels),
        x=list(columns.labels),
        colorscale=COLOUR_SCALE,
        xgap=2,
        ygap=2,
        hovertemplate=f"%{{y}}, %{{x}}: <b>%{{z:{form}}}</b>{suffix}<extra></extra>",
        colorbar=_colour_bar(
            {
                "title": {"text": "" if unit == "%" else unit, "side": "right"},
                "tickformat": "~%" if unit == "%" else None,
            }
        ),
    )
    if layers * heads <= 150:  # numbers stay legible in the cells of small models only
        trace.texttemplate = f"%{{z:{'.0%' if unit == '%' else form}}}"
        trace.textfont = {"size": 11}
    layout = _layout(rows, columns, title, "") | {"height": min(640, 150 + 44 * layers)}
    if selected is not None:
        layer, head = selected
        box = {"y0": layer - 0.5, "y1": layer + 0.5, "x0": head - 0.5, "x1": head + 0.5}
        layout["shapes"] = [{"type": "rect", "line": {"color": "#ff7a59", "width": 3}, **box}]
    return go.Figure(trace, layout)


def untitled(figure: go.Figure) -> go.Figure:
    """The figure for a page that shows the title itself, where it can wrap; `layout.meta` keeps it for a PNG."""
    layout = figure.layout
    kept = {"title": layout.title.to_plotly_json(), "top": layout.margin.t, "height": layout.height}
    return go.Figure(figure).update_layout(meta=kept, title=None, margin={"t": UNTITLED_TOP})


def to_html(figure: go.Figure, caption: str) -> str:
    """A page that shows the figure without a network: Plotly's script is inside (about 5 MB)."""
    body = figure.to_html(full_html=False, include_plotlyjs=True, include_mathjax=False)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(shorten(caption, 80))}</title>"
        f"<style>body{{margin:2rem;font-family:{FONT};color:{INK}}}p{{max-width:46rem}}</style></head>"
        f"<body>{body}<p>{html.escape(caption)}</p></body></html>\n"
    )


def to_npz(arrays: dict[str, np.ndarray]) -> bytes:
    """Named arrays as a compressed .npz; texts are fixed-width unicode, so nothing is pickled."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _axis(title: str, labels: Sequence[Label], spans: np.ndarray) -> Axis:
    """Tokens, or blocks of them, along a side: their words where these fit, else pages and token numbers."""
    full = tuple(_describe(label, int(start), int(end)) for label, (start, end) in zip(labels, spans))
    pages = [(i, label.page) for i, label in enumerate(labels) if label.page is not None]
    turns = [(i, page) for k, (i, page) in enumerate(pages) if k == 0 or pages[k - 1][1] != page]
    if len(labels) <= MOST_TOKEN_TICKS:
        ticks = [(i, shorten(label.text, 14) or "\u00b7") for i, label in enumerate(labels)]
    elif len(turns) > 2:
        kept = spread(len(turns), 16)
        ticks = [(turns[k][0], f"p. {turns[k][1]}") for k in kept]
    else:
        ticks = [(i, f"{int(spans[i][0]):,} {shorten(labels[i].text, 10)}") for i in spread(len(labels), 16)]
    return Axis(title, full, tuple(ticks))


def _describe(label: Label, start: int, end: int) -> str:
    """One line for the hover: which tokens, which page, which words."""
    which = f"token {start:,}" if end - start <= 1 else f"tokens {start:,}\u2013{end - 1:,}"
    page = "" if label.page is None else f", page {label.page}"
    return f"{which}{page}: {shorten(label.quote or label.text, 90)}"


def _key_texts(labelled: LabelledMap) -> np.ndarray | None:
    """(rows, columns) texts of the keys of a band of single tokens, when they are few enough to send."""
    attention = labelled.map
    if not labelled.tokens or attention.weights.size > MOST_KEY_TEXTS:
        return None
    tokens = np.array([*labelled.tokens, ""], dtype=object)  # the last for keys outside of the text
    keys = attention.row_spans[:, :1] + attention.column_spans[:, 0] - labelled.tokens_start
    return tokens[np.where((keys >= 0) & (keys < len(labelled.tokens)), keys, -1)]


def _unique(labels: Sequence[str]) -> list[str]:
    """Escaped labels fit to be categories: equal ones would fall into one row."""
    seen: dict[str, int] = {}
    out = []
    for label in map(plain, labels):
        count = seen[label] = seen.get(label, 0) + 1
        out.append(label if count == 1 else label + "\u200b" * (count - 1))
    return out


def _numbered(count: int) -> tuple[tuple[int, str], ...]:
    return tuple((i, str(i)) for i in spread(count, 24))


def _decades(logs: np.ndarray) -> dict[str, object]:
    """Colour-bar ticks at whole powers of ten, written as percentages."""
    finite = logs[np.isfinite(logs)]
    low, high = (finite.min(), finite.max()) if finite.size else (-6.0, 0.0)
    steps = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    return {"tickvals": list(steps), "ticktext": [f"{100 * 10.0**step:g} %" for step in steps]}


def _colour_bar(settings: dict[str, object]) -> dict[str, object]:
    return {"thickness": 12, "outlinewidth": 0, "len": 1.0, "tickfont": {"size": 11}, **settings}


def _layout(rows: Axis, columns: Axis, title: str, subtitle: str) -> dict[str, object]:
    """What both kinds of figure share, for `go.Figure`: its `update_layout` takes five times as long."""
    sides = {
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        "ticks": "outside",
        "ticklen": 3,
        "tickfont": {"size": 11},
        "type": "category",
    }
    lines = textwrap.wrap(subtitle, 58)  # as wide as a phone
    heading = "<br>".join(
        [f"<b>{plain(title)}</b>", *(f'<span style="font-size:11px">{plain(line)}</span>' for line in lines)]
    )
    return {
        "template": {},  # none: None would be Plotly's own
        "title": {
            "text": heading,
            "font": {"size": 14},
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 12},
        },
        "font": {"family": FONT, "size": 12, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 10, "r": 10, "t": 40 + 15 * len(lines), "b": 10},
        "height": int(np.clip(140 + 16 * len(rows.labels), 320, 620)),
        "hoverlabel": {"align": "left", "font": {"family": FONT, "size": 12}},
        "dragmode": False,  # a click zooms; dragging must scroll the page on a phone
        "xaxis": {**sides, **_ticks(columns), "title": _axis_title(columns)},
        "yaxis": {
            **sides,
            **_ticks(rows),
            "title": _axis_title(rows),
            "autorange": "reversed",
        },
    }


def _axis_title(axis: Axis) -> dict[str, object]:
    # With a standoff of its own the title moves away from long words along the axis, and does not run into them.
    return {"text": plain(axis.title), "font": {"size": 12}, "standoff": 8}


def _ticks(axis: Axis) -> dict[str, object]:
    return {
        "tickmode": "array",
        "tickvals": [cell for cell, _ in axis.ticks],
        "ticktext": [plain(text) for _, text in axis.ticks],
    }
