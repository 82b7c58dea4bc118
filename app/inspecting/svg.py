"""A drawing as SVG at print size: text stays text, cells are the pixels of an embedded picture."""

from __future__ import annotations

import base64
import html
import struct
import zlib

import numpy as np

from app.inspecting.drawing import Drawing
from app.inspecting.layout import WIDTH, Mark, Picture, Rectangle, Text, laid_out

MARGIN = 8.0  # points
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"


def to_svg(drawing: Drawing) -> str:
    """The figure with its title, what it says and its caption, 17 cm wide, on white."""
    marks, height = laid_out(drawing)
    width, height = WIDTH + 2 * MARGIN, height + 2 * MARGIN
    body = "\n".join(map(_element, marks))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}pt" height="{height:.1f}pt" '
        f'viewBox="{-MARGIN} {-MARGIN} {width:.1f} {height:.1f}" font-family="{FONT}">\n'
        f"<title>{_text(drawing.title)}</title>\n<desc>{_text(drawing.caption)}</desc>\n"
        f'<rect x="{-MARGIN}" y="{-MARGIN}" width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def png(pixels: np.ndarray) -> bytes:
    """`(rows, columns, 3)` uint8 as a PNG file."""
    rows, columns, _ = pixels.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)
    header = struct.pack(">2I5B", columns, rows, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _element(mark: Mark) -> str:
    if isinstance(mark, Text):
        at = f'x="{mark.x:.2f}" y="{mark.y:.2f}"'
        turn = f' transform="rotate(-90 {mark.x:.2f} {mark.y:.2f})"' if mark.turned else ""
        bold = ' font-weight="bold"' if mark.bold else ""
        return (
            f'<text {at} font-size="{mark.size:g}" fill="{mark.colour}" text-anchor="{mark.anchor}" '
            f'xml:space="preserve"{bold}{turn}>{_text(mark.words)}</text>'
        )
    box = f'x="{mark.x:.2f}" y="{mark.y:.2f}" width="{mark.width:.2f}" height="{mark.height:.2f}"'
    if isinstance(mark, Rectangle):
        paint = (
            f'fill="none" stroke="{mark.colour}" stroke-width="0.6"'
            if mark.frame
            else f'fill="{mark.colour}"'
        )
        return f"<rect {box} {paint}/>"
    assert isinstance(mark, Picture)
    data = base64.b64encode(png(mark.pixels)).decode()
    return (
        f'<image {box} preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _text(words: str) -> str:
    """Letters as XML: no markup, and no character that XML does not have."""
    return html.escape("".join(c if c.isprintable() else " " for c in words), quote=False)
