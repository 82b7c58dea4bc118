"""A drawing as PDF at print size, written by reportlab."""

from __future__ import annotations

import io

from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from app.inspecting.drawing import Drawing
from app.inspecting.layout import WIDTH, Mark, Picture, Rectangle, Text, laid_out
from app.inspecting.svg import MARGIN

_STANDS_IN = "\u00b7"  # for letters that a PDF's own fonts do not have; SVG and HTML show them


def to_pdf(drawing: Drawing) -> bytes:
    """The figure as `svg.to_svg` has it, on a page of its own size."""
    marks, height = laid_out(drawing)
    buffer = io.BytesIO()
    width, height = WIDTH + 2 * MARGIN, height + 2 * MARGIN
    canvas = Canvas(buffer, pagesize=(width, height), invariant=True)
    canvas.setTitle(_plain(drawing.title))
    canvas.setSubject(_plain(drawing.caption))
    canvas.translate(MARGIN, height - MARGIN)
    for mark in marks:
        _draw(canvas, mark)
    canvas.save()
    return buffer.getvalue()


def _draw(canvas: Canvas, mark: Mark) -> None:
    """A mark whose y grows downwards on a canvas where it grows upwards."""
    if isinstance(mark, Text):
        canvas.saveState()
        canvas.setFillColor(mark.colour)
        canvas.setFont("Helvetica-Bold" if mark.bold else "Helvetica", mark.size)
        canvas.translate(mark.x, -mark.y)
        if mark.turned:
            canvas.rotate(90)
        write = {
            "start": canvas.drawString,
            "middle": canvas.drawCentredString,
            "end": canvas.drawRightString,
        }
        write[mark.anchor](0, 0, _plain(mark.words))
        canvas.restoreState()
        return
    box = (mark.x, -mark.y - mark.height, mark.width, mark.height)
    if isinstance(mark, Rectangle):
        canvas.setFillColor(mark.colour)
        canvas.setStrokeColor(mark.colour)
        canvas.setLineWidth(0.6)
        canvas.rect(*box, stroke=int(mark.frame), fill=int(not mark.frame))
        return
    assert isinstance(mark, Picture)
    canvas.drawImage(ImageReader(Image.fromarray(mark.pixels)), *box)


def _plain(words: str) -> str:
    """Letters of Windows-1252, which the standard fonts of every PDF reader have."""
    return "".join(
        c if c.isprintable() and c.encode("cp1252", "ignore") else _STANDS_IN
        for c in words.replace("\u2009", " ")
    )
