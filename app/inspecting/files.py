"""A figure as a file: its name, its type, its bytes."""

from __future__ import annotations

from collections.abc import Callable

from app.inspecting.drawing import Scale
from app.inspecting.figures import to_npz
from app.inspecting.inspection import Inspection, drawing, file_arrays, file_stem
from app.inspecting.page_figure import to_html
from app.inspecting.pdf import to_pdf
from app.inspecting.svg import to_svg

# What is saved as PNG leaves here as SVG: the browser has the fonts to paint it.
_WRITERS: dict[str, tuple[str, Callable[[Inspection, Scale], bytes]]] = {
    "png": ("image/svg+xml", lambda held, scale: to_svg(drawing(held, scale)).encode()),
    "svg": ("image/svg+xml", lambda held, scale: to_svg(drawing(held, scale)).encode()),
    "pdf": ("application/pdf", lambda held, scale: to_pdf(drawing(held, scale))),
    "html": ("text/html", lambda held, scale: to_html(drawing(held, scale)).encode()),
    "npz": ("application/octet-stream", lambda held, scale: to_npz(file_arrays(held))),
}
KINDS = tuple(_WRITERS)


def file(held: Inspection, kind: str, scale: Scale) -> tuple[str, str, bytes]:
    """The figure of an answered inspection as (name, media type, content) of one of `KINDS`."""
    media_type, write = _WRITERS[kind]
    return f"{file_stem(held)}.{kind}", media_type, write(held, scale)
