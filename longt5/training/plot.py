"""A training log drawn as one small SVG: losses, and ROUGE if it was measured, over minutes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_WIDTH, _PANEL, _MARGIN = 720, 340, 50


@dataclass(frozen=True)
class _Curve:
    kind: str  # of the log's lines
    value: str
    label: str
    colour: str


_LOSSES = (
    _Curve("train", "token_loss", "tokens, train", "#7f9fbf"),
    _Curve("validation", "token_loss", "tokens, validation", "#1d4ed8"),
    _Curve("train", "choice_loss", "choices, train", "#e0b08a"),
    _Curve("validation", "choice_loss", "choices, validation", "#c2410c"),
)
_ROUGE = (
    _Curve("validation", "rouge1", "ROUGE-1 of quotes, validation", "#15803d"),
    _Curve("validation", "rouge2", "ROUGE-2 of quotes, validation", "#7e22ce"),
)


def draw_training(log: Path, picture: Path) -> None:
    """Read ``log`` (JSON lines with kind, minutes and values) and write ``picture``; nothing for an empty log."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    if not lines:
        return
    panels = [
        panel
        for panel in (_LOSSES, _ROUGE)
        if any(line["kind"] == curve.kind and curve.value in line for curve in panel for line in lines)
    ]
    height = _PANEL * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{height}" fill="white"/>'
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate(0 {_PANEL * number})">', *_panel(panel, lines), "</g>"]
    picture.write_text("\n".join([*parts, "</svg>"]))


def _panel(curves: Sequence[_Curve], lines: Sequence[dict]) -> list[str]:
    """Axes, curves and their names, in a box of ``_WIDTH`` x ``_PANEL``."""
    points = {
        curve: [
            (line["minutes"], line[curve.value])
            for line in lines
            if line["kind"] == curve.kind and curve.value in line
        ]
        for curve in curves
    }
    values = [value for series in points.values() for _, value in series]
    low, high = min(values), max(values)
    high = high if high > low else low + 1.0
    last = max(line["minutes"] for line in lines) or 1.0
    width, height = _WIDTH - 2 * _MARGIN, _PANEL - 2 * _MARGIN
    parts = []
    for tick in range(6):
        x, y = _MARGIN + width * tick / 5, _PANEL - _MARGIN - height * tick / 5
        parts += [
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
            f'<text x="8" y="{y + 4:.1f}">{low + (high - low) * tick / 5:.2f}</text>',
            f'<text x="{x - 10:.1f}" y="{_PANEL - 28}">{last * tick / 5:.0f}</text>',
        ]
    parts.append(f'<text x="{_WIDTH / 2 - 30:.0f}" y="{_PANEL - 8}">minutes</text>')
    left = _MARGIN
    for curve, series in points.items():
        if not series:
            continue
        path = " ".join(
            f"{_MARGIN + width * x / last:.1f},{_PANEL - _MARGIN - height * (y - low) / (high - low):.1f}"
            for x, y in series
        )
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="1.5"/>',
            f'<text x="{left}" y="30" fill="{curve.colour}">{curve.label}</text>',
        ]
        left += 25 + 7 * len(curve.label)
    return parts
