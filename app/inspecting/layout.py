"""A drawing laid out for print: text, rectangles and pictures at places in points. `svg` and `pdf` write them down.

A figure is as wide as the text of an A4 page. Labels never touch: ticks come in the order of their importance, and one
that would touch another is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import Any, Literal, TypeAlias

import numpy as np
from reportlab.pdfbase.pdfmetrics import stringWidth

from app.inspecting.colours import colour_indices, palette, ticks
from app.inspecting.drawing import Axis, Bars, ColouredText, Drawing, Heatmap, Measure, Scale, Tiles
from app.inspecting.inspector import shorten

WIDTH = 482.0  # points: 17 cm
SMALL, NORMAL, LARGE = 7.0, 8.5, 11.0  # sizes of letters
NARROWEST_NAME = 20.0  # points of a tile whose name is written: less would cut it to a letter or two
LEAST_SHARE = 0.001  # words with less stay white, as in `assets/figures.js`: a few would be lost among many
INK, QUIET, WARNING, FILL = "#1f2933", "#526071", "#c2410c", "#1f9e89"


@dataclass(frozen=True)
class Text:
    """A line of text; `y` is its base line."""

    x: float
    y: float
    words: str
    size: float = SMALL
    colour: str = INK
    anchor: Literal["start", "middle", "end"] = "start"
    bold: bool = False
    turned: bool = False
    """Read from below upwards."""


@dataclass(frozen=True)
class Rectangle:
    """A filled rectangle, or a frame."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    frame: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """Cells as pixels, never blurred."""

    x: float
    y: float
    width: float
    height: float
    pixels: np.ndarray
    """`(rows, columns, 3)` uint8."""


Mark: TypeAlias = "Text | Rectangle | Picture"


@dataclass
class Sheet:
    """What is on the paper so far; `y` is where the next thing goes."""

    scale: Scale = "log"
    width: float = WIDTH
    y: float = 0.0
    marks: list[Mark] = field(default_factory=list)

    def paragraph(self, words: str, size: float = NORMAL, **how: Any) -> None:
        """Text over as many lines as it takes."""
        for line in wrapped(words, size, self.width):
            self.y += 1.35 * size
            self.marks.append(Text(0, self.y, line, size, **how))

    @singledispatchmethod
    def add(self, panel: Any) -> None:
        """Lays a panel out below what is there."""
        raise TypeError(f"No figure has a panel of {type(panel)}.")

    @add.register
    def _(self, panel: Heatmap) -> None:
        rows, columns = panel.values.shape
        left = 16 + min(96, max((_width(text) for _, text in panel.rows.ticks), default=0))
        width, height = self.width - left, float(np.clip(8 * rows, 130, 300))
        top = self.y + 6
        indices = colour_indices(panel.values, panel.measure, self.scale)
        pixels = palette(panel.measure)[indices]
        pixels[np.isnan(panel.values)] = 255
        self.marks.append(Picture(left, top, width, height, pixels))
        self.marks.append(Rectangle(left, top, width, height, QUIET, frame=True))
        for row, column in panel.marked:
            cell = (width / columns, height / rows)
            self.marks.append(
                Rectangle(left + column * cell[0], top + row * cell[1], *cell, WARNING, frame=True)
            )
        for y, words in placed(panel.rows, rows, height, lambda _: SMALL):
            self.marks.append(Text(left - 4, top + y + 0.35 * SMALL, words, anchor="end"))
        self.marks.append(Text(8, top + height / 2, panel.rows.title, SMALL, QUIET, "middle", turned=True))
        self.y = top + height
        self._columns(panel.columns, columns, left, width)
        self._colour_bar(panel.measure)

    def _columns(self, axis: Axis, count: int, left: float, width: float) -> None:
        """Ticks and title below a panel; long words stand upright."""
        turned = any(_width(words) > 26 for _, words in axis.ticks)
        shown = placed(axis, count, width, (lambda _: SMALL) if turned else _width)
        for x, words in shown:
            if turned:
                self.marks.append(Text(left + x + 0.35 * SMALL, self.y + 4, words, anchor="end", turned=True))
            else:
                self.marks.append(Text(left + x, self.y + 9, words, anchor="middle"))
        self.y += 4 + max((_width(words) for _, words in shown), default=0) if turned else 11
        self.y += 10
        self.marks.append(Text(left + width / 2, self.y, axis.title, SMALL, QUIET, "middle"))

    def _colour_bar(self, measure: Measure) -> None:
        width, x = 170.0, self.width - 186
        self.y += 10
        self.marks.append(Picture(x, self.y, width, 5, palette(measure)[None]))
        self.y += 13
        for at, words in ticks(measure, self.scale):
            self.marks.append(Text(x + at * width, self.y, words, 6, QUIET, "middle"))

    @add.register
    def _(self, panel: Tiles) -> None:
        heads = max((tile.head for tile in panel.tiles), default=0) + 1
        across = heads if panel.by_layer else 8
        side = (self.width - 30) / across
        gap = min(4.0, 0.15 * side)
        top = self.y + 4
        for index, (tile, image) in enumerate(zip(panel.tiles, panel.images)):
            row, column = divmod(index, across)
            x, y = 30 + column * side, top + row * (side * 0.6 + 22)
            if panel.by_layer and tile.head == 0:
                self.marks.append(Text(0, y + side * 0.3, f"layer {tile.layer}", 6, QUIET))
            pixels = palette("share")[colour_indices(image, "share", self.scale)]
            self.marks.append(Picture(x, y, side - gap, side * 0.6, pixels))
            if panel.chosen == (tile.layer, tile.head):
                self.marks.append(Rectangle(x, y, side - gap, side * 0.6, WARNING, frame=True))
            which = f"{tile.head}" if panel.by_layer else f"{tile.layer}.{tile.head}"
            # With many heads in a line there is no room for all that is told of one.
            if _width(which, 6) < side:
                self.marks.append(Text(x, y + side * 0.6 + 7.5, which, 6, QUIET))
            if _width(which, 6) + 2 + _width(tile.number, 6) < side - gap:
                self.marks.append(Text(x + side - gap, y + side * 0.6 + 7.5, tile.number, 6, QUIET, "end"))
            if side >= NARROWEST_NAME:
                self.marks.append(Text(x, y + side * 0.6 + 15, _cut(tile.name, 6.5, side - gap), 6.5))
            self.y = y + side * 0.6 + 18
        self._colour_bar("share")

    @add.register
    def _(self, panel: Bars) -> None:
        top, height, step = self.y + 6, 120.0, self.width / max(1, len(panel.values))
        self.y = top + height
        for i, (value, warned) in enumerate(zip(panel.values, panel.warned)):
            tall = height * float(value)
            colour = WARNING if warned else FILL
            self.marks.append(Rectangle(i * step, self.y - tall, max(step - 1, 0.5), tall, colour))
        if panel.threshold is not None:
            self.marks.append(Rectangle(0, self.y - height * panel.threshold, self.width, 0.5, INK))
        self._columns(panel.axis, len(panel.values), 0, self.width)

    @add.register
    def _(self, panel: ColouredText) -> None:
        weights = _asked(panel)
        shades = palette("share")[colour_indices(weights, "share", self.scale)]
        size, x, i = NORMAL, 0.0, 0
        self.y += 1.6 * size
        for word in panel.words:
            width = _width(word.text.strip("\n"), size)
            if "\n" in word.text or x + width > self.width:
                x, self.y = 0.0, self.y + 1.6 * size
            words = word.text.lstrip() if x == 0 else word.text
            width = _width(words, size)
            dark = False
            if word.read:
                if weights[i] >= LEAST_SHARE:
                    shade = shades[i]
                    dark = float(shade @ np.array([0.3, 0.59, 0.11])) < 140
                    box = Rectangle(
                        x, self.y - size, width, 1.35 * size, "#{:02x}{:02x}{:02x}".format(*shade)
                    )
                    self.marks.append(box)
                if panel.asking == ("paper", i):
                    self.marks.append(Rectangle(x, self.y - size, width, 1.35 * size, WARNING, frame=True))
                i += 1
            colour = "#ffffff" if dark else INK if word.read else QUIET
            self.marks.append(Text(x, self.y, words.replace("\n", " "), size, colour))
            x += width
        self._colour_bar("share")


def laid_out(drawing: Drawing) -> tuple[list[Mark], float]:
    """The marks of a drawing with title, sentence and caption, and how high it is; it is `WIDTH` wide."""
    sheet = Sheet(drawing.scale)
    sheet.paragraph(drawing.title, LARGE, bold=True)
    sheet.paragraph(drawing.says)
    for panel in drawing.panels:
        if getattr(panel, "title", ""):
            sheet.y += 6
            sheet.paragraph(panel.title, NORMAL, colour=QUIET)  # type: ignore[union-attr]
        sheet.add(panel)
    sheet.y += 6
    sheet.paragraph(drawing.caption, SMALL, colour=QUIET)
    return sheet.marks, sheet.y + 4


def placed(axis: Axis, count: int, length: float, size: Any) -> list[tuple[float, str]]:
    """Where along a side the ticks stand that have room, in the order of their importance: (middle, text)."""
    taken: list[tuple[float, float]] = []
    shown = []
    for cell, words in axis.ticks:
        half = size(words) / 2
        middle = (cell + 0.5) * length / count
        low, high = middle - half - 1, middle + half + 1
        if all(high <= start or low >= end for start, end in taken):
            taken.append((low, high))
            shown.append((middle, words))
    return shown


def wrapped(words: str, size: float, width: float) -> list[str]:
    """Lines no wider than that, but for a word that is."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _width(words: str, size: float = SMALL) -> float:
    """Of a text in Helvetica; letters it has not are taken for wide ones."""
    plain = words.encode("cp1252", "ignore").decode("cp1252")
    return float(stringWidth(plain, "Helvetica", size)) + (len(words) - len(plain)) * 0.9 * size


def _cut(words: str, size: float, width: float) -> str:
    length = len(words)
    while length > 1 and _width(shorten(words, length), size) > width:
        length -= 1
    return shorten(words, length)


def _asked(panel: ColouredText) -> np.ndarray:
    """`(n,)`: what the word that asks gives to each word of the paper that is shown."""
    kind, index = panel.asking
    if kind == "summary":
        return panel.cross[index]
    radius = panel.band.shape[1] // 2
    weights = np.zeros(len(panel.band), dtype=np.float32)
    for key in range(max(0, index - radius), min(len(weights), index + radius + 1)):
        weights[key] = panel.band[index, key - index + radius]
    return weights


def marks_of_kind(marks: Sequence[Mark], kind: type) -> list[Any]:
    """Those of one kind, for whoever checks a figure."""
    return [mark for mark in marks if isinstance(mark, kind)]
