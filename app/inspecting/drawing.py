"""What a figure of the inspector shows, before it is drawn: data only, the same for the page and for every file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

MAX_CELLS = 512  # along a side of a heat map: what a browser draws at once

Scale = Literal["log", "linear"]
Measure = Literal["share", "difference", "change"]
"""What numbers are: shares of attention (0 to 1), a difference of two shares (-1 to 1), or how far a state moved (1
less its cosine to where it was). Each has one colour scale with fixed ends in every figure."""


@dataclass(frozen=True)
class Axis:
    """One side of a panel."""

    title: str
    """What the cells along this side are, e.g. "token of the paper"."""
    labels: tuple[str, ...]
    """One text a cell, for whoever points at it: which token, its words, section, page."""
    ticks: tuple[tuple[int, str], ...]
    """(cell, short text) to write along the axis, in order; only as many are drawn as have room."""


@dataclass(frozen=True, eq=False)
class Heatmap:
    """A table of numbers as colours, the first row on top."""

    values: np.ndarray
    """`(rows, columns)` float32, at most `MAX_CELLS` a side; NaN where there is nothing."""
    rows: Axis
    columns: Axis
    measure: Measure = "share"
    title: str = ""
    """Above the panel, where a figure has several."""
    keys: tuple[str, ...] = ()
    """Of a band: the words of the key of cell (i, j) are `keys[i * keys_per_row + j * keys_per_column]`."""
    keys_per_row: int = 1
    keys_per_column: int = 1
    marked: tuple[tuple[int, int], ...] = ()
    """(row, column) of cells with a frame."""


@dataclass(frozen=True)
class Tile:
    """One head in a grid of heads."""

    layer: int
    head: int
    name: str
    """What the head does, "" where nothing stands out."""
    label: str
    """For whoever points at it: its name with measure and threshold, and its other measures."""
    number: str
    """The measure that the grid is sorted by, as it is written, e.g. "42 %"."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """Every head as a thumbnail, in the order given."""

    tiles: tuple[Tile, ...]
    images: np.ndarray
    """`(tiles, rows, columns)` shares of attention."""
    by_layer: bool
    """Whether a line of the grid is a layer; otherwise tiles are sorted by their value and flow."""
    chosen: tuple[int, int] | None = None
    """(layer, head) with a frame."""


@dataclass(frozen=True, eq=False)
class Bars:
    """A bar for each token written: how much of it comes from the paper, as against the model's own words so far."""

    axis: Axis
    """Its ticks are the tokens."""
    values: np.ndarray
    """`(tokens,)` shares, 0 to 1."""
    warned: np.ndarray
    """`(tokens,)` bool: drawn in the colour of a warning."""
    title: str = ""
    threshold: float | None = None
    """A line across the bars."""


@dataclass(frozen=True)
class Word:
    """A token of the paper or of the summary, or a stretch that was not read."""

    text: str
    """As it stands there, with the white space before it."""
    label: str
    """For whoever points at it: which token, section, page."""
    read: bool = True
    """False for what the model did not read: it is grey and asks nothing."""


@dataclass(frozen=True, eq=False)
class ColouredText:
    """The words of a stretch of the paper, coloured by what one of them, or a word of the summary, attends to.

    All arrays hold shares of attention. `n` counts the words of the paper that were read, `m` those of the summary.
    """

    words: tuple[Word, ...]
    """Of the paper, in order."""
    first: int
    """The token of the first word that was read."""
    written: tuple[Word, ...]
    """Of the chosen sentence of the summary; empty where there is no decoder to ask."""
    band: np.ndarray
    """`(n, 2 * radius + 1)`: what each word gives to its neighbours, by offset."""
    blocks: np.ndarray
    """`(n, globals shown)`: what each word gives to the global blocks that lie among the words."""
    block_of_word: np.ndarray
    """`(n,)` column of `blocks`, -1 where a word has none."""
    sentence_of_word: np.ndarray
    """`(n,)`: equal for words of one sentence."""
    strip: np.ndarray
    """`(n, bins)`: what each word gives to the globals of each equal part of the whole paper."""
    cross: np.ndarray
    """`(m, n)`: what each word of the summary gives to each word of the paper."""
    cross_strip: np.ndarray
    """`(m, bins)`: what each word of the summary gives to each equal part of the whole paper."""
    bins: tuple[str, ...]
    """A text for each part of the whole paper: its pages and sections."""
    shown_bins: tuple[int, int]
    """Half-open range of the parts that the words lie in."""
    asking: tuple[Literal["paper", "summary"], int] = ("paper", 0)
    """The word that asks at first: index among those read, or among those written."""


Panel: TypeAlias = "Heatmap | Tiles | Bars | ColouredText"


@dataclass(frozen=True)
class Drawing:
    """A figure: panels side by side where there is room, below one another where not, and what is said of them."""

    title: str
    says: str
    """One sentence: what it shows for what was asked."""
    caption: str
    """How to read it, what was asked in full, and where it is defined: below the figure in files."""
    panels: tuple[Panel, ...]
    scale: Scale = "log"
    """How the colours of shares follow the numbers."""
