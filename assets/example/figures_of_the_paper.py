"""The drawings of the example paper: functions from a width in points to a vector drawing of that width."""

from __future__ import annotations

import math
from collections.abc import Callable

from reportlab.graphics.shapes import Circle, Drawing, Group, Line, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor, white

INK, GREY, PALE = HexColor("#1f2937"), HexColor("#9ca3af"), HexColor("#e5e7eb")
BLUE, ORANGE, GREEN = HexColor("#2563a8"), HexColor("#d97706"), HexColor("#3f7d4e")
FONT = "Helvetica"


def label(
    x: float, y: float, text: str, *, size: float = 7, anchor: str = "middle", turn: float = 0
) -> Group:
    """Text with its baseline at (x, y), turned by `turn` degrees around that point."""
    string = String(0, 0, text, fontName=FONT, fontSize=size, textAnchor=anchor, fillColor=INK)
    group = Group(string)
    group.translate(x, y)
    group.rotate(turn)
    return group


def square(x: float, y: float, side: float, color: Color) -> Rect:
    return Rect(x, y, side, side, fillColor=color, strokeColor=white, strokeWidth=0.4)


def axes(drawing: Drawing, left: float, bottom: float, width: float, height: float) -> None:
    drawing.add(Line(left, bottom, left + width, bottom, strokeColor=INK, strokeWidth=0.6))
    drawing.add(Line(left, bottom, left, bottom + height, strokeColor=INK, strokeWidth=0.6))


def bucket(distance: int) -> int:
    """T5's encoder bucket of a key `distance` tokens before the query: equations (3) and (4)."""
    if distance < 8:
        return distance
    return min(15, 8 + math.floor(8 * math.log(distance / 8) / math.log(16) + 1e-9))


def buckets(width: float) -> Drawing:
    drawing = Drawing(width, 118)
    left, bottom, plot, height = 30, 26, width - 40, 84
    axes(drawing, left, bottom, plot, height)
    furthest = 130

    def at(distance: float, value: float) -> tuple[float, float]:
        return left + plot * distance / furthest, bottom + height * (value + 0.5) / 16.5

    for value in (0, 5, 10, 15):
        x, y = at(0, value)
        drawing.add(Line(left - 3, y, left, y, strokeColor=INK, strokeWidth=0.6))
        drawing.add(Line(left, y, left + plot, y, strokeColor=PALE, strokeWidth=0.4))
        drawing.add(label(left - 5, y - 2.5, str(value), anchor="end"))
    for distance in (0, 16, 32, 64, 91, 128):
        x, _ = at(distance, 0)
        drawing.add(Line(x, bottom - 3, x, bottom, strokeColor=INK, strokeWidth=0.6))
        drawing.add(label(x, bottom - 11, str(distance)))
    points: list[float] = []
    for distance in range(furthest):
        points += [*at(distance, bucket(distance)), *at(distance + 1, bucket(distance))]
    drawing.add(PolyLine(points, strokeColor=BLUE, strokeWidth=1.2))
    drawing.add(label(left + plot / 2, 4, "distance between query and key, in tokens"))
    drawing.add(label(9, bottom + height / 2, "bucket", turn=90))
    return drawing


def patterns(width: float) -> Drawing:
    tokens, radius, block = 16, 2, 4
    gap = 12
    side = (width - 2 * gap) / (3 * tokens + block + 1.5)
    grid = side * tokens
    drawing = Drawing(width, grid + 16)
    for number, name in enumerate(("full", "local", "transient-global")):
        left = number * (grid + gap)
        for query in range(tokens):
            y = 14 + grid - side * (query + 1)
            for key in range(tokens):
                near = number == 0 or abs(query - key) <= radius
                drawing.add(square(left + side * key, y, side, BLUE if near else PALE))
            if number == 2:
                for column in range(tokens // block):
                    drawing.add(square(left + grid + side * (column + 1), y, side, ORANGE))
        extra = side * (1 + tokens / block) if number == 2 else 0
        drawing.add(label(left + (grid + extra) / 2, 3, name))
    return drawing


def globals_(width: float) -> Drawing:
    """Thirty-nine tokens: a block of sixteen, a block of twenty-three, two globals."""
    drawing = Drawing(width, 112)
    tokens, block = 39, 16
    step = (width - 4) / tokens
    for token in range(tokens):
        color = BLUE if token < block else GREEN
        drawing.add(Rect(2 + step * token + 0.4, 14, step - 0.8, 11, fillColor=color, strokeColor=None))
    drawing.add(label(2, 4, "tokens 0 to 15", anchor="start"))
    drawing.add(label(width - 2, 4, "tokens 16 to 38: a whole block and seven left over", anchor="end"))
    for start, end, color, name in ((0, block, BLUE, "global 0"), (block, tokens, GREEN, "global 1")):
        middle = 2 + step * (start + end) / 2
        for token in range(start, end):
            x = 2 + step * (token + 0.5)
            drawing.add(Line(x, 26, middle, 44, strokeColor=GREY, strokeWidth=0.35))
        drawing.add(Circle(middle, 49, 5.5, fillColor=white, strokeColor=INK, strokeWidth=0.7))
        drawing.add(label(middle, 46.4, "+", size=8))
        drawing.add(Line(middle, 54.5, middle, 60, strokeColor=INK, strokeWidth=0.7))
        drawing.add(Rect(middle - 19, 60, 38, 12, fillColor=PALE, strokeColor=INK, strokeWidth=0.5))
        drawing.add(label(middle, 63.6, "RMS norm"))
        for shift, target in ((-14, "key"), (14, "value")):
            drawing.add(Line(middle, 72, middle + shift, 80, strokeColor=INK, strokeWidth=0.7))
            drawing.add(Rect(middle + shift - 12, 80, 24, 12, fillColor=color, strokeColor=None))
            string = String(middle + shift, 83.6, target, fontName=FONT, fontSize=7, textAnchor="middle")
            string.fillColor = white
            drawing.add(string)
        drawing.add(label(middle, 98, name))
    return drawing


def growth(width: float) -> Drawing:
    drawing = Drawing(width, 128)
    left, bottom, plot, height = 36, 26, width - 76, 94
    axes(drawing, left, bottom, plot, height)
    low, high = math.log2(512), math.log2(65536)
    floor, top = math.log2(16), math.log2(131072)

    def at(tokens: float, keys: float) -> tuple[float, float]:
        x = left + plot * (math.log2(tokens) - low) / (high - low)
        return x, bottom + height * (math.log2(keys) - floor) / (top - floor)

    for tokens, name in ((512, "512"), (2048, "2k"), (8192, "8k"), (16384, "16k"), (65536, "64k")):
        x, _ = at(tokens, 16)
        drawing.add(Line(x, bottom - 3, x, bottom, strokeColor=INK, strokeWidth=0.6))
        drawing.add(label(x, bottom - 11, name))
    for keys, name in ((64, "64"), (1024, "1k"), (16384, "16k")):
        _, y = at(512, keys)
        drawing.add(Line(left - 3, y, left, y, strokeColor=INK, strokeWidth=0.6))
        drawing.add(Line(left, y, left + plot, y, strokeColor=PALE, strokeWidth=0.4))
        drawing.add(label(left - 5, y - 2.5, name, anchor="end"))
    for name, color, keys in (
        ("full", INK, lambda tokens: tokens),
        ("globals", ORANGE, lambda tokens: tokens / 16),
        ("band", BLUE, lambda tokens: 255),
    ):
        start, end = at(512, keys(512)), at(65536, keys(65536))
        drawing.add(Line(*start, *end, strokeColor=color, strokeWidth=1.3))
        drawing.add(label(end[0] + 4, end[1] - 2.5, name, anchor="start"))
    drawing.add(label(left + plot / 2, 4, "tokens in the text"))
    drawing.add(label(9, bottom + height / 2, "keys of a token", turn=90))
    return drawing


def _shade(weight: float) -> Color:
    """White to dark blue for a weight from 0 to 1."""
    return Color(1 - 0.85 * weight, 1 - 0.62 * weight, 1 - 0.34 * weight)


def layouts(width: float) -> Drawing:
    drawing = Drawing(width, 132)
    rows, band_columns, global_columns = 32, 31, 16
    side = (width - 52) / (band_columns + global_columns + 4)
    bottom = 26
    left = 22
    for row in range(rows):
        y = bottom + side * 0.72 * (rows - 1 - row)
        for column in range(band_columns):
            offset = column - band_columns // 2
            weight = 0.9 if offset == -1 else 0.32 * math.exp(-abs(offset) / 5)
            weight *= 0.75 + 0.25 * math.cos(row * 2.1 + column)
            inside = 0 <= row + offset < rows
            color = _shade(weight) if inside else PALE
            drawing.add(Rect(left + side * column, y, side, side * 0.72, fillColor=color, strokeColor=None))
        start = left + side * (band_columns + 4)
        for column in range(global_columns):
            weight = 0.95 if column == 0 else 0.7 if column == row // 2 else 0.1
            weight *= 0.85 + 0.15 * math.cos(row * 1.3 + column * 0.7)
            drawing.add(
                Rect(start + side * column, y, side, side * 0.72, fillColor=_shade(weight), strokeColor=None)
            )
    top = bottom + side * 0.72 * rows
    for x, columns in ((left, band_columns), (left + side * (band_columns + 4), global_columns)):
        drawing.add(
            Rect(x, bottom, side * columns, top - bottom, fillColor=None, strokeColor=INK, strokeWidth=0.5)
        )
    for offset, name in ((-15, "-r"), (0, "0"), (15, "+r")):
        x = left + side * (offset + 15.5)
        drawing.add(label(x, bottom - 9, name))
    drawing.add(label(left + side * 15.5, 5, "offset of the key"))
    drawing.add(label(left + side * (band_columns + 4 + 8), bottom - 9, "0 ... L/16"))
    drawing.add(label(left + side * (band_columns + 4 + 8), 5, "global block"))
    drawing.add(label(13, bottom + (top - bottom) / 2, "queries", turn=90))
    drawing.height = top + 6
    return drawing


def evidence(width: float) -> Drawing:
    drawing = Drawing(width, 134)
    cells, left, plot = 96, 8, width - 16
    step = plot / cells
    always = {0: 0.95, 41: 0.7, 95: 1.0}
    raw, centred = [], []
    for cell in range(cells):
        noise = 0.07 + 0.05 * abs(math.sin(cell * 12.9898) * math.cos(cell * 4.1414))
        passage = 0.3 * math.exp(-(((cell - 58) / 3.2) ** 2)) + 0.1 * math.exp(-(((cell - 22) / 2.2) ** 2))
        raw.append(always.get(cell, noise + passage))
        centred.append(passage)
    smooth = [sum(centred[max(0, c - 2) : c + 3]) / len(centred[max(0, c - 2) : c + 3]) for c in range(cells)]
    for values, bottom, color, name in (
        (raw, 76, GREY, "weight"),
        ([2.6 * value for value in smooth], 20, ORANGE, "after centring and smoothing"),
    ):
        for cell, value in enumerate(values):
            bar = 40 * min(1.0, value)
            drawing.add(Rect(left + step * cell, bottom, step * 0.86, bar, fillColor=color, strokeColor=None))
        drawing.add(Line(left, bottom, left + plot, bottom, strokeColor=INK, strokeWidth=0.6))
        drawing.add(label(left + 14, bottom + 45, name, anchor="start"))
    for page in range(5):
        x = left + plot * page / 4
        drawing.add(Line(x, 15, x, 20, strokeColor=INK, strokeWidth=0.6))
        if page < 4:
            drawing.add(label(x + plot / 8, 7, f"page {page + 1}"))
    return drawing


FIGURES: dict[str, Callable[[float], Drawing]] = {
    "buckets": buckets,
    "patterns": patterns,
    "globals": globals_,
    "growth": growth,
    "layouts": layouts,
    "evidence": evidence,
}
