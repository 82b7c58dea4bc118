"""A drawing as the browser gets it: JSON for `assets/figures.js`, in a page of the app or in one that stands alone."""

from __future__ import annotations

import base64
import html
import json
import zlib
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from app.inspecting.colours import DECADES, DIVERGING, SEQUENTIAL, ticks
from app.inspecting.drawing import Axis, Bars, ColouredText, Drawing, Heatmap, Tiles
from app.inspecting.inspector import shorten

ASSETS = Path(__file__).resolve().parents[2] / "assets"
SCRIPT, STYLES = ASSETS / "figures.js", ASSETS / "figures.css"


def to_fragment(drawing: Drawing, name: str) -> str:
    """HTML that the script turns into the figure; `name` comes back with each click in it."""
    data = to_json(drawing)
    key = f"{zlib.crc32(data.encode()):08x}"  # the script draws again when it changes
    return (
        f'<div class="figure" data-name="{html.escape(name)}" data-key="{key}">'
        f'<div class="figure-data" hidden>{data}</div></div>'
    )


def to_html(drawing: Drawing) -> str:
    """A page that shows the figure without a network: script and styles are inside."""
    script, styles = (path.read_text(encoding="utf-8") for path in (SCRIPT, STYLES))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(shorten(drawing.title, 80))}</title>"
        "<style>body{margin:2rem auto;max-width:72rem;padding:0 1rem;font-family:system-ui,sans-serif}"
        "@media (prefers-color-scheme:dark){body{background:#0f172a;color:#e2e8f0}}"
        f"{styles}</style></head><body><h1 class='figure-title'>{html.escape(drawing.title)}</h1>"
        f"<p>{html.escape(drawing.says)}</p>{to_fragment(drawing, 'figure')}"
        f"<p class='figure-caption'>{html.escape(drawing.caption)}</p><script>{script}</script></body></html>\n"
    )


def to_json(drawing: Drawing) -> str:
    """Everything that the browser draws and says when something is pointed at; it holds neither "<" nor "&"."""
    panels = [_packed(panel) for panel in drawing.panels]
    measures = {panel["measure"] for panel in panels if "measure" in panel}
    about = {
        "scale": drawing.scale,
        "decades": DECADES,
        "colours": {"share": SEQUENTIAL, "change": SEQUENTIAL, "difference": DIVERGING},
        "bars": {measure: ticks(measure, drawing.scale) for measure in sorted(measures)},
        "panels": panels,
    }
    return (
        json.dumps(about, ensure_ascii=False, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace("&", "\\u0026")
    )


@singledispatch
def _packed(panel: Any) -> dict[str, Any]:
    raise TypeError(f"No figure has a panel of {type(panel)}.")


@_packed.register
def _(panel: Heatmap) -> dict[str, Any]:
    return {
        "kind": "heatmap",
        "measure": panel.measure,
        "title": panel.title,
        "values": numbers(panel.values),
        "rows": _axis(panel.rows),
        "columns": _axis(panel.columns),
        "keys": panel.keys,
        "keysPerRow": panel.keys_per_row,
        "keysPerColumn": panel.keys_per_column,
        "marked": panel.marked,
    }


@_packed.register
def _(panel: Tiles) -> dict[str, Any]:
    tiles = [[tile.layer, tile.head, tile.name, tile.label, tile.number] for tile in panel.tiles]
    return {
        "kind": "tiles",
        "measure": "share",
        "tiles": tiles,
        "images": numbers(panel.images),
        "byLayer": panel.by_layer,
        "chosen": panel.chosen,
    }


@_packed.register
def _(panel: Bars) -> dict[str, Any]:
    return {
        "kind": "bars",
        "title": panel.title,
        "axis": _axis(panel.axis),
        "values": numbers(panel.values),
        "warned": panel.warned.astype(int).tolist(),
        "threshold": panel.threshold,
    }


@_packed.register
def _(panel: ColouredText) -> dict[str, Any]:
    return {
        "kind": "text",
        "measure": "share",
        "words": [[word.text, word.label, int(word.read)] for word in panel.words],
        "written": [[word.text, word.label, 1] for word in panel.written],
        **{name: numbers(getattr(panel, name)) for name in ("band", "blocks", "strip", "cross")},
        "crossStrip": numbers(panel.cross_strip),
        "blockOf": panel.block_of_word.tolist(),
        "sentenceOf": panel.sentence_of_word.tolist(),
        "bins": panel.bins,
        "shownBins": panel.shown_bins,
        "asking": panel.asking,
    }


def numbers(values: np.ndarray) -> dict[str, Any]:
    """An array in half precision: three digits; what is smaller than its smallest number becomes that number."""
    smallest = float(np.finfo(np.float16).smallest_subnormal)
    kept = np.where((values > 0) & (values < smallest), smallest, values)
    half = np.ascontiguousarray(kept, dtype="<f2")
    return {"shape": values.shape, "data": base64.b64encode(half.tobytes()).decode()}


def _axis(axis: Axis) -> dict[str, Any]:
    return {"title": axis.title, "labels": axis.labels, "ticks": axis.ticks}
