"""PDFs whose text has to be recognized, made of PDFs with text: scans, more or less well taken, and odd ones."""

from __future__ import annotations

import io

import numpy as np
import pypdf
import pypdfium2
from PIL import Image

DPI = 150


def pictures(pdf: bytes, *, dpi: int = DPI) -> list[Image.Image]:
    """The pages as a scanner sees them."""
    return [page.render(scale=dpi / 72, grayscale=True).to_pil() for page in pypdfium2.PdfDocument(pdf)]


def worn(picture: Image.Image, *, degrees: float = 0.7, noise: float = 12.0) -> Image.Image:
    """The picture askew, grey and grainy."""
    askew = picture.rotate(degrees, fillcolor=245, resample=Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(25, noise, (askew.height, askew.width))
    return Image.fromarray((0.85 * np.asarray(askew) + grain).clip(0, 255).astype(np.uint8))


def scan(pages: list[Image.Image], *, dpi: int = DPI) -> bytes:
    """A PDF of nothing but pictures."""
    out = io.BytesIO()
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:], resolution=dpi, quality=70)
    return out.getvalue()


def joined(first: bytes, second: bytes) -> bytes:
    """The pages of two PDFs in one."""
    both = pypdfium2.PdfDocument.new()
    for pdf in (first, second):
        both.import_pages(pypdfium2.PdfDocument(pdf))
    return _saved(both)


def turned(pdf: bytes, degrees: int) -> bytes:
    """The PDF with pages that are turned clockwise when shown."""
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        page.set_rotation(degrees)
    return _saved(document)


def _saved(document: pypdfium2.PdfDocument) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def overlaid(pdf: bytes, stamps: bytes) -> bytes:
    """The PDF with the pages of another one drawn over its own."""
    writer = pypdf.PdfWriter(io.BytesIO(pdf))
    for page, stamp in zip(writer.pages, pypdf.PdfReader(io.BytesIO(stamps)).pages, strict=True):
        page.merge_page(stamp)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def garbled(pdf: bytes) -> bytes:
    """The PDF with fonts that look as before, and say of every letter that it is an x."""
    writer = pypdf.PdfWriter(io.BytesIO(pdf))
    codes = pypdf.generic.StreamObject()
    letters = b"\n".join(b"<%02x> <0078>" % code for code in range(0x21, 0x7F))
    codes.set_data(
        b"begincmap 1 begincodespacerange <00> <ff> endcodespacerange\n94 beginbfchar\n%s\nendbfchar endcmap"
        % letters
    )
    reference = writer._add_object(codes)
    for page in writer.pages:
        for font in page["/Resources"]["/Font"].values():
            font.get_object()[pypdf.generic.NameObject("/ToUnicode")] = reference
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
