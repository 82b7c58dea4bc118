"""A training log drawn as one small SVG: losses over minutes."""

from __future__ import annotations

import json
from pathlib import Path

_WIDTH, _HEIGHT, _MARGIN = 720, 400, 50
_COLOURS = {"train": "#7f9fbf", "validation": "#c2410c"}


def draw_losses(log: Path, picture: Path) -> None:
    """Read ``log`` (JSON lines with kind, minutes, loss) and write ``picture``; nothing for an empty log."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    if not lines:
        return
    last = max(line["minutes"] for line in lines) or 1.0
    losses = sorted(line["loss"] for line in lines)
    low, high = losses[0], losses[-1]
    high = high if high > low else low + 1.0

    def point(line: dict[str, float]) -> str:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * line["minutes"] / last
        y = _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * (line["loss"] - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    ]
    for tick in range(6):
        y = _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * tick / 5
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * tick / 5
        parts.append(
            f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        parts.append(f'<text x="8" y="{y + 4:.1f}">{low + (high - low) * tick / 5:.2f}</text>')
        parts.append(f'<text x="{x - 10:.1f}" y="{_HEIGHT - 28}">{last * tick / 5:.0f}</text>')
    parts.append(f'<text x="{_WIDTH / 2 - 30:.0f}" y="{_HEIGHT - 8}">minutes</text>')
    for order, (kind, colour) in enumerate(_COLOURS.items()):
        points = " ".join(point(line) for line in lines if line["kind"] == kind)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{_MARGIN + 130 * order}" y="30" fill="{colour}">{kind} loss a token</text>')
    picture.write_text("\n".join([*parts, "</svg>"]))
