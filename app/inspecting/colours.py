"""Numbers -> colours: one scale for each measure, with the same ends in every figure."""

from __future__ import annotations

import numpy as np

from app.inspecting.drawing import Measure, Scale

# Viridis: perceptually uniform, and readable without seeing red or green. For differences purple to orange, paper-white
# in the middle. `assets/figures.js` has the same two.
SEQUENTIAL = "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725".split()
DIVERGING = "5e3c99 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806".split()
# How far down a logarithmic scale reaches: shares to 0.001 %, changes to 1e-7 (what half of a float's digits can tell),
# differences to 0.01 points.
DECADES: dict[Measure, int] = {"share": 5, "change": 7, "difference": 4}


def palette(measure: Measure) -> np.ndarray:
    """`(256, 3)` uint8."""
    stops = DIVERGING if measure == "difference" else SEQUENTIAL
    colours = np.array([[int(stop[i : i + 2], 16) for i in (0, 2, 4)] for stop in stops], dtype=float)
    places = np.linspace(0, len(stops) - 1, 256)
    return (
        np.stack([np.interp(places, range(len(stops)), line) for line in colours.T], axis=1)
        .round()
        .astype(np.uint8)
    )


def positions(values: np.ndarray, measure: Measure, scale: Scale) -> np.ndarray:
    """Where each number lies on its scale, 0 to 1; NaN where nothing is to be drawn."""
    values = values.astype(np.float64)
    if measure == "difference":
        size = np.abs(values)
        if scale == "log":
            decades = DECADES["difference"]
            size = np.log10(np.maximum(size, 10.0**-decades)) / decades + 1
        return 0.5 + 0.5 * np.sign(values) * np.minimum(size, 1)
    with np.errstate(divide="ignore"):
        logs = np.log10(values) / DECADES[measure] + 1 if scale == "log" else values
    return np.where(values > 0, np.clip(logs, 0, 1), np.nan)


def colour_indices(values: np.ndarray, measure: Measure, scale: Scale) -> np.ndarray:
    """Indices into `palette`, uint8, and 0 where nothing is to be drawn: files paint those cells white."""
    found = positions(values, measure, scale)
    return np.nan_to_num(found * 255).round().astype(np.uint8)


def ticks(measure: Measure, scale: Scale) -> list[tuple[float, str]]:
    """(position, text) along the colour bar of a measure."""
    if measure != "difference":
        shares = (
            [10.0**-i for i in range(DECADES[measure], -1, -1)] if scale == "log" else [0, 0.25, 0.5, 0.75, 1]
        )
        texts = [f"{100 * share:g} %" if measure == "share" else f"{share:g}" for share in shares]
        return [(i / (len(shares) - 1), text) for i, text in enumerate(texts)]
    sizes = ["100", "1", "0.01", "1", "100"] if scale == "log" else ["100", "50", "0", "50", "100"]
    signs = ["\u2212", "\u2212", "\u00b1" if scale == "log" else "", "+", "+"]
    return [(i / 4, f"{sign}{size} pts") for i, (sign, size) in enumerate(zip(signs, sizes))]
