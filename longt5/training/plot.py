"""A training log drawn as one small SVG: losses over minutes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

_WIDTH, _HEIGHT, _MARGIN = 720, 340, 50
_COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#b45309")
_NOT_LOSSES = ("kind", "step", "minutes", "tokens_per_second", "learning_rate", "stage")


def draw_training(log: Path, picture: Path) -> None:
    """Reads `log` (JSON lines with kind, minutes and losses) and writes `picture`; nothing for an empty log."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for line in map(json.loads, log.read_text().splitlines()):
        for name in line.keys() - set(_NOT_LOSSES):
            label = line["kind"] if name == "loss" else f"{line['kind']}, {name}"
            curves.setdefault(label, []).append((line["minutes"], line[name]))
    if not curves:
        return
    drawn = "\n".join(_axes_and_curves(dict(sorted(curves.items()))))
    picture.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>\n{drawn}\n</svg>'
    )


def _axes_and_curves(curves: dict[str, list[tuple[float, float]]]) -> list[str]:
    """Elements in a box of `_WIDTH` x `_HEIGHT`; `curves` are (minutes, loss) by their names."""
    values = [value for series in curves.values() for _, value in series]
    low, high = min(values), max(values)
    high = high if high > low else low + 1.0
    last = max(minutes for series in curves.values() for minutes, _ in series) or 1.0
    width, height = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN
    parts = []
    for tick in range(6):
        x, y = _MARGIN + width * tick / 5, _HEIGHT - _MARGIN - height * tick / 5
        parts += [
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>',
            f'<text x="8" y="{y + 4:.1f}">{low + (high - low) * tick / 5:.2f}</text>',
            f'<text x="{x - 10:.1f}" y="{_HEIGHT - 28}">{last * tick / 5:.1f}</text>',
        ]
    parts.append(f'<text x="{_WIDTH / 2 - 30:.0f}" y="{_HEIGHT - 8}">minutes</text>')
    left = _MARGIN
    for colour, (label, series) in zip(itertools.cycle(_COLOURS), curves.items()):
        path = " ".join(
            f"{_MARGIN + width * x / last:.1f},{_HEIGHT - _MARGIN - height * (y - low) / (high - low):.1f}"
            for x, y in series
        )
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
            f'<text x="{left}" y="30" fill="{colour}">{label}</text>',
        ]
        left += 25 + 7 * len(label)
    return parts
