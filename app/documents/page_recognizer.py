"""The child process that recognizes the text of one page: pdfium draws it, Tesseract reads the picture.

`python page_recognizer.py` takes its orders as one JSON object, a line of stdin (the arguments of `recognize` and
`limit_resources`, by name), reads the PDF from an inherited file descriptor and writes one JSON object on stdout:

    {"end": "blank" | "damaged" | "memory" | "time"}
        There is nothing on the page, it can't be drawn, or Tesseract came to a bad end.
    {"width": 1700, "height": 2200, "scale": 2.78, "words": [[line, box, ink, confidence, text], ...]}
        The picture's size, the pixels a point, and its words in reading order: number of their line, left, top, right
        and bottom in pixels from the upper left corner, dark pixels in that box, 0..100, text.

A page has a process of its own, so that one that kills pdfium or Tesseract takes no other with it. Tesseract stays in
the child's process group and inherits its limits: whoever kills the child by its group kills both.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections import Counter
from typing import Any, NamedTuple

# Not by their full names: this file is run by its path, and the package around it would be imported too.
from page_renderer import open_pdf  # type: ignore[import-not-found]
from pdf_reader import die_with_parent, take_orders  # type: ignore[import-not-found]

# Tesseract is at its best at about 200 dots an inch ...
SCALE = 200 / 72
# ... but pages of scans have any size in points: these are one and two sheets of letter paper at that scale.
LEAST_PIXELS, MOST_PIXELS = 3_700_000, 8_000_000
# A pixel is ink if it differs by so much from most of the page; every seventh is looked at to tell what that is.
CONTRAST = 64
SAMPLED = 7
# The ink of some five letters, of all pixels: a blank page, or one with nothing but its number.
BLANK_SHARE = 0.0002
# Layout analysis loses text on dirty pages. Then the ink lies outside the words, and without analysis (one block of
# text) there are far more words to be sure of. Where as much is ink as here, it is a picture.
COVERED_SHARE, PICTURE_SHARE = 0.6, 0.15
SURE = 60.0
FAR_MORE = 1.3
# Reading with several languages takes longer by each; among more than these, all of Debian's packages, English it is.
MOST_LANGUAGES = 3
# The numbers of Tesseract's page segmentation modes.
AUTOMATIC, AUTOMATIC_TURNED, ONE_BLOCK = 3, 1, 6
# A page of a newspaper has some 5,000.
MOST_WORDS = 10_000


class Picture(NamedTuple):
    """A page in shades of grey, one byte a pixel, row by row from the top."""

    width: int
    height: int
    scale: float
    """Pixels a point."""
    pixels: bytes


def recognize(
    file_descriptor: int, *, password: str | None, page: int, program: str, environment: dict[str, str]
) -> dict[str, Any]:
    """The message about page `page`, from 1, of the PDF open as `file_descriptor`.

    Args:
        program: path of Tesseract; `environment`: variables that it is run with.
    """
    pdf = open_pdf(file_descriptor, password)
    if isinstance(pdf, str):
        return {"end": "damaged"}
    picture = draw(pdf, page)
    inked = ink_of(picture)
    ink = inked.count(1)
    if ink < BLANK_SHARE * len(inked):
        return {"end": "blank"}
    tesseract = _Tesseract(program, environment)
    words = tesseract.words(picture, inked, tesseract.automatic)
    covered = sum(word_ink for _, _, word_ink, _, _ in words)
    if covered < COVERED_SHARE * ink and ink < PICTURE_SHARE * len(inked):
        others = tesseract.words(picture, inked, ONE_BLOCK)
        if _sure(others) > FAR_MORE * _sure(words):
            words = others
    return {"width": picture.width, "height": picture.height, "scale": picture.scale, "words": words}


def draw(pdf: Any, page: int) -> Picture:
    """A page of an open PDF as it would be printed, turned and cropped."""
    opened = pdf[page - 1]
    width, height = opened.get_size()
    pixels = min(max(width * height * SCALE**2, LEAST_PIXELS), MOST_PIXELS)
    scale = math.sqrt(pixels / (width * height))
    bitmap = opened.render(scale=scale, grayscale=True)
    rows = bytes(bitmap.buffer)
    if bitmap.stride != bitmap.width:
        starts = range(0, bitmap.height * bitmap.stride, bitmap.stride)
        rows = b"".join(rows[start : start + bitmap.width] for start in starts)
    return Picture(bitmap.width, bitmap.height, scale, rows)


def ink_of(picture: Picture) -> bytes:
    """For every pixel 1 if it is dark on a light page, or light on a dark one, else 0."""
    paper = Counter(picture.pixels[::SAMPLED]).most_common(1)[0][0]
    return picture.pixels.translate(bytes(abs(shade - paper) > CONTRAST for shade in range(256)))


class _Tesseract:
    """The program with the languages that it has here."""

    def __init__(self, program: str, environment: dict[str, str]) -> None:
        self._program, self._environment = program, environment
        # The first line says where they are.
        installed = self._run("--list-langs").decode().split("\n")[1:]
        languages = [name for name in installed if name and "/" not in name and name not in ("osd", "equ")]
        if "eng" in languages:
            languages.remove("eng")
            languages.insert(0, "eng")
        self._languages = "+".join(languages if len(languages) <= MOST_LANGUAGES else languages[:1])
        self.automatic = AUTOMATIC_TURNED if "osd" in installed else AUTOMATIC
        """The page segmentation mode that finds columns, and how the page is turned where that can be told."""

    def words(self, picture: Picture, inked: bytes, mode: int) -> list[list[Any]]:
        """The words of the message, read in a page segmentation mode."""
        image = b"P5 %d %d 255\n" % (picture.width, picture.height) + picture.pixels
        options = ["--psm", str(mode), "--dpi", "200", "-l", self._languages]
        table = self._run("stdin", "stdout", *options, "tsv", image=image)
        words: list[list[Any]] = []
        line = 0
        for row in table.decode("utf-8", "replace").split("\n"):
            fields = row.split("\t")
            line += fields[0] == "4"
            if fields[0] == "5" and fields[11].strip():
                left, top, width, height = map(int, fields[6:10])
                box = left, top, left + width, top + height
                words.append([line, box, _ink_in(inked, picture.width, box), float(fields[10]), fields[11]])
        return words[:MOST_WORDS]

    def _run(self, *arguments: str, image: bytes = b"") -> bytes:
        command = [self._program, *arguments]
        finished = subprocess.run(
            command,
            input=image,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
            preexec_fn=die_with_parent,
            check=True,
        )
        return finished.stdout


def _ink_in(inked: bytes, width: int, box: tuple[int, int, int, int]) -> int:
    left, top, right, bottom = box
    return sum(inked.count(1, row * width + left, row * width + right) for row in range(top, bottom))


def _sure(words: list[list[Any]]) -> int:
    return sum(confidence >= SURE for _, _, _, confidence, _ in words)


def main() -> None:
    """Orders, by name: `file_descriptor`, the arguments of `limit_resources` and of `recognize`."""
    orders = take_orders()
    try:
        message = recognize(orders.pop("file_descriptor"), **orders)
    except MemoryError:
        message = {"end": "memory"}
    except subprocess.CalledProcessError as error:
        # The latter where a limit of processor time that can't be raised is reached: what else kills it kills this too.
        ran_out = error.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
        message = {"end": "time" if ran_out else "damaged"}
    except Exception:  # whatever a damaged page makes of pdfium, and a strange Tesseract of its table
        message = {"end": "damaged"}
    sys.stdout.buffer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
    sys.stdout.buffer.flush()
    # Without the destructors of a document that may be broken.
    os._exit(0)


if __name__ == "__main__":
    main()
