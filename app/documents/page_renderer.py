"""The child process that draws the pages of one PDF: the only module that touches pdfium; it trusts nothing in it.

`python page_renderer.py` takes its orders as one JSON object, the first line of stdin (see `main`), opens the PDF from
an inherited file descriptor and says one JSON object a line on stdout, first whether it is open:

    {"open": true}
    {"refused": "password" | "wrong-password" | "encryption" | "damaged" | "memory"}

Then each line of stdin is a question, and a line of stdout its answer:

    {"ask": "sizes"}
        {"sizes": [[width, height], ...]}: of the pages as drawn, turned and cropped, in points.
    {"ask": "image", "page": 3, "scale": 1.5}
        {"jpeg": base64, "width": 918, "height": 1188}: in pixels; the scale is pixels a point.
    {"ask": "characters", "page": 3}
        {"text": "...", "boxes": base64, "page_box": [left, bottom, right, top], "rotation": 90}: the text is UTF-16,
        characters beyond it come in halves; the boxes are float32, `(len(text), 4)`, as left, top, right, bottom; they
        and the page's box are in points, y grows upwards, before the page is turned clockwise by `rotation`.
    {"failed": "memory" | "damaged"}
        The answer to any of them where there is none.

A child that is asked nothing for a while ends, as does one whose stdin is closed. The parent (`page_images.py`) holds
the wall clock and the kill switch.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import signal
import sys
from typing import Any

# Not by its full name: this file is run by its path, and the package around it would be imported too.
from pdf_reader import take_orders  # type: ignore[import-not-found]

MAX_EDGE = 2_400
"""The longest edge of an image: A4 at 200 dpi has 2,339."""
JPEG_QUALITY = 80


class _Paper:
    """An open PDF that answers questions; `ask_` methods carry the names of the questions."""

    def __init__(self, pdf: Any, max_pages: int, page_characters: int) -> None:
        self.pdf = pdf
        self.max_pages = max_pages
        self.page_characters = page_characters

    def ask_sizes(self) -> dict[str, Any]:
        count = min(len(self.pdf), self.max_pages)
        return {"sizes": [_sound_size(*self.pdf.get_page_size(number)) for number in range(count)]}

    def ask_image(self, page: int, scale: float) -> dict[str, Any]:
        opened = self.pdf[page - 1]
        try:
            width, height = _sound_size(*opened.get_size())
            scale = min(scale, MAX_EDGE / max(width, height))
            bitmap = opened.render(scale=scale, rev_byteorder=True)
            image = bitmap.to_pil()
            jpeg = io.BytesIO()
            image.save(jpeg, "JPEG", quality=JPEG_QUALITY)
            encoded = base64.b64encode(jpeg.getbuffer()).decode()
            return {"jpeg": encoded, "width": image.width, "height": image.height}
        finally:
            opened.close()

    def ask_characters(self, page: int) -> dict[str, Any]:
        import pypdfium2.raw as pdfium

        opened = self.pdf[page - 1]
        try:
            text_page = opened.get_textpage()
            count = min(text_page.count_chars(), self.page_characters)
            boxes = (pdfium.FS_RECTF * count)()
            # The loose box of a character has the height of its line and the width of its advance: boxes of neighbours
            # touch, and the dot of an "i" is as high as a "W".
            for number, box in enumerate(boxes):
                pdfium.FPDFText_GetLooseCharBox(text_page, number, box)
            codes = [pdfium.FPDFText_GetUnicode(text_page, number) for number in range(count)]
            return {
                "text": "".join(map(chr, codes)),
                "boxes": base64.b64encode(bytes(boxes)).decode(),
                "page_box": opened.get_bbox(),
                "rotation": opened.get_rotation(),
            }
        finally:
            opened.close()


def _sound_size(width: float, height: float) -> tuple[float, float]:
    """Sizes of hostile pages are 0, infinite or not numbers."""
    if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
        raise ValueError
    return width, height


def _say(**message: Any) -> None:
    # Not as ASCII: reading that joins the halves of a character, and each has its box.
    line = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def open_pdf(file_descriptor: int, password: str | None) -> Any:
    """The PDF; if it can't be opened, the word for that in the message `refused`."""
    import pypdfium2
    import pypdfium2.raw as pdfium

    # By position: children that read one file side by side share the place where it would be read next.
    data = os.pread(file_descriptor, os.fstat(file_descriptor).st_size, 0)
    for word in dict.fromkeys((password or "", "")):
        try:
            pdf = pypdfium2.PdfDocument(data, password=word)
            # What was typed into the fields of a form is drawn only with these.
            pdf.init_forms()
        except pypdfium2.PdfiumError as error:
            code = error.err_code
        else:
            return pdf
    if code == pdfium.FPDF_ERR_PASSWORD:
        return "wrong-password" if password else "password"
    return "encryption" if code == pdfium.FPDF_ERR_SECURITY else "damaged"


def _answer(paper: _Paper, question: dict[str, Any]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = getattr(paper, "ask_" + question.pop("ask"))(**question)
        return answer
    except MemoryError:
        return {"failed": "memory"}
    except Exception:  # whatever a damaged page makes of pdfium, and pillow of the page
        return {"failed": "damaged"}


def main() -> None:
    """Orders: `file_descriptor`, `password`, `idle_seconds`, the arguments of `limit_resources` and `_Paper`."""
    orders = take_orders()
    idle_seconds = orders.pop("idle_seconds")
    try:
        pdf = open_pdf(orders.pop("file_descriptor"), orders.pop("password"))
        if isinstance(pdf, str):
            _say(refused=pdf)
        else:
            paper = _Paper(pdf, **orders)
            _say(open=True)
            signal.alarm(idle_seconds)
            while line := sys.stdin.readline():
                signal.alarm(0)
                _say(**_answer(paper, json.loads(line)))
                signal.alarm(idle_seconds)
    except MemoryError:
        _say(refused="memory")
    except BrokenPipeError:
        pass
    except Exception:  # whatever pdfium makes of a damaged file
        _say(refused="damaged")
    # Without the destructors of a document that may be broken.
    os._exit(0)


if __name__ == "__main__":
    main()
