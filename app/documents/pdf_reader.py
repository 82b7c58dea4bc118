"""The child process that reads one PDF: the only module that touches pypdf, trusting nothing in the file.

`python pdf_reader.py` takes its orders as one JSON object, a line of stdin (see `main`), reads the PDF from an
inherited file descriptor and writes one JSON object a line on stdout:

    {"pages": 12, "title": "...", "labels": ["i", "ii", "1", ...]}
        The file is open. Labels: what it says is printed on each page; null if it says nothing.
    {"page": 1, "lines": [[text, x, y, size, bold, font], ...], "cut": false}
        A page; x, y, size in points, y grows upwards; font is "" where a line has several.
        Cut: it had more characters than a page may have.
    {"page": 2, "failed": "time" | "memory" | "limits" | "damaged"}
        A page that can't be read; the next ones follow.
    {"refused": "password" | "wrong-password" | "encryption" | "damaged" | "pages" | "memory" | "time"}
        No page will come. With "pages", if known, their number.
    {"end": "done" | "time"}
        All pages were tried, or it took too long.

The parent (`guarded_reader.py`) holds the wall clock and the kill switch. The limits here make most bad files end
by themselves, page by page, so that the good pages of a bad file are kept. Standard library and pypdf only, not
even the package this file is in: start-up counts.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import re
import resource
import signal
import sys
import time
from types import FrameType
from typing import Any

# No ordinary paper or thesis tried reaches these; pypdf's own limits let small files run for minutes.
TIGHT_LIMITS: dict[str, Any] = {
    "zlib_maximum_output_length": 10_000_000,
    "lzw_maximum_output_length": 10_000_000,
    "run_length_maximum_output_length": 10_000_000,
    "brotli_maximum_output_length": 10_000_000,
    "array_based_stream_maximum_output_length": 10_000_000,
    "stream_parsing_work_maximum_count": 300_000,
    "xform_maximum_invocations_per_extraction": 300,
    "page_tree_maximum_entries": 5_000,
    "array_maximum_element_count": 20_000,
}
TITLE_CHARACTERS = 500
LABEL_CHARACTERS = 20
# Bold faces as fonts are really named: Times-Bold, NimbusRomNo9L-Medi, CMBX10, AdvOT3b30f6db.B, Arial-Black.
BOLD_FONT = re.compile(r"bold|black|heavy|demi|medi(?![a-z])|cmbx|cmssbx|sfbx|\.b$", re.IGNORECASE)
FONT_CHARACTERS = 60
# If that many pages at the start are too much, so is the document.
HOPELESS_PAGES = 5
# A line is bold, or in a font, if this much of it is.
PURE = 0.9
# Text turned against most of its page is a margin stamp or an axis label as long as there is little of it.
MINORITY = 0.1


class _PageFull(BaseException):
    """More characters than a page may give. Not an Exception: pypdf swallows those inside form objects."""


class _PageTooSlow(BaseException):
    """The page used up its processor time."""


class _Lines:
    """Collects pypdf's text fragments into lines with the position, size and weight of each line."""

    def __init__(self, max_characters: int) -> None:
        self.characters_left = max_characters
        self.cut = False
        self.lines: list[dict[str, Any]] = []
        self._start_line()

    def _start_line(self) -> None:
        self.parts: list[str] = []
        self.origin: tuple[int, float, float] | None = None
        self.sizes: dict[float, int] = {}
        self.fonts: dict[str, int] = {}

    def visit(self, text: str, cm: list[float], tm: list[float], font: Any, size: float) -> None:
        """pypdf's `visitor_text`: a fragment, its matrices, font, size; line ends come as `\\n` inside it."""
        if len(text) > self.characters_left:
            text, self.cut = text[: self.characters_left], True
        self.characters_left -= len(text)
        for number, part in enumerate(text.split("\n")):
            if number:
                self.end_line()
            if part:
                self._add(part, cm, tm, font, size)
        if self.cut:
            raise _PageFull

    def _add(self, part: str, cm: list[float], tm: list[float], font: Any, size: float) -> None:
        visible = len(part) - part.count(" ")
        if not visible:
            self.parts.append(part)
            return
        a, b, c, d, x, y = _product(tm, cm)
        turn = round(math.degrees(math.atan2(_finite(b), _finite(a))) / 90) % 4
        # Coordinates along and across the line, so that turned pages look like upright ones.
        along, up = ((x, y), (y, -x), (-x, -y), (-y, x))[turn]
        origin = turn, _finite(along), _finite(up)
        if self.origin is not None and origin[1] < self.origin[1] - 5 and part.strip().isdecimal():
            self.end_line()  # the line's number in the left margin, which pypdf puts at its end
        if self.origin is None:
            self.origin = origin
        self.parts.append(part)
        height = round(_finite(size * math.hypot(_finite(c), _finite(d))), 1)
        self.sizes[height] = self.sizes.get(height, 0) + visible
        # Without the random letters that mark a subset: ABCDEF+Times-Bold.
        name = (
            str(font.get("/BaseFont", ""))[-FONT_CHARACTERS:].rpartition("+")[2].lstrip("/") if font else ""
        )
        self.fonts[name] = self.fonts.get(name, 0) + visible

    def end_line(self) -> None:
        text = "".join(self.parts)
        if self.origin is not None:
            turn, x, y = self.origin
            size = max(self.sizes, key=lambda height: self.sizes[height])
            visible = sum(self.fonts.values())
            bold = (
                sum(count for name, count in self.fonts.items() if BOLD_FONT.search(name)) >= PURE * visible
            )
            font = next((name for name, count in self.fonts.items() if count >= PURE * visible), "")
            self.lines.append({"turn": turn, "line": [text, round(x, 1), round(y, 1), size, bold, font]})
        self._start_line()

    def upright(self) -> list[list[Any]]:
        """The lines without the few that run against the page."""
        lengths = [0, 0, 0, 0]
        for line in self.lines:
            lengths[line["turn"]] += len(line["line"][0])
        few = {turn for turn in range(4) if lengths[turn] < MINORITY * sum(lengths)}
        return [line["line"] for line in self.lines if line["turn"] not in few]


def _product(m: list[float], n: list[float]) -> tuple[float, float, float, float, float, float]:
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )


def _finite(value: float) -> float:
    """Coordinates of hostile files are infinite, NaN or 10^38; none of those is on a page."""
    return value if math.isfinite(value) and abs(value) < 1e6 else 0.0


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise _PageTooSlow


def _say(**message: Any) -> None:
    line = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def limit_resources(memory_bytes: int, cpu_seconds: int) -> None:
    """Bounds memory and processor time; allows no file to be written, no core dump, few descriptors."""
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # macOS does not offer every limit; the parent's deadline still holds.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def read_pdf(
    file_descriptor: int, *, password: str | None, max_pages: int, page_characters: int, page_seconds: float
) -> None:
    """Says what is in the PDF open as `file_descriptor`, a message at a time; failures are messages too."""
    # Imported here so that its memory and time fall under the limits; looking for garbage among what an import
    # makes, which all stays, would take a quarter of its time.
    gc.disable()
    import pypdf

    gc.freeze()
    gc.enable()
    pypdf.overwrite_configuration(None, jbig2dec_binary=None, disable_legacy_handling=True, **TIGHT_LIMITS)
    signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, page_seconds)
    try:
        reader = pypdf.PdfReader(os.fdopen(file_descriptor, "rb"), strict=False)
        passwords = dict.fromkeys((password or "", ""))
        if reader.is_encrypted and not any(reader.decrypt(word) for word in passwords):
            _say(refused="wrong-password" if password else "password")
            return
        pages = len(reader.pages)
    # An encryption handler other than the standard one, or one that needs another package.
    except (NotImplementedError, pypdf.errors.DependencyError):
        _say(refused="encryption")
        return
    except pypdf.errors.LimitReachedError as error:
        _say(refused="pages" if "page tree entry limit" in str(error) else "damaged")
        return
    except _PageTooSlow:
        _say(refused="time")
        return
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if pages > max_pages:
        _say(refused="pages", pages=pages)
        return
    _say(pages=pages, title=_title(reader), labels=_labels(reader, page_seconds))

    lost_seconds = 0.0
    only_failures = 0
    for number in range(1, pages + 1):
        started = time.process_time()
        failed = _read_page(reader, number, page_characters, page_seconds)
        if not failed:
            only_failures = -pages
            continue
        lost_seconds += time.process_time() - started
        only_failures += failed != "damaged"
        # Pages that cost much and give nothing: the rest would do the same.
        if lost_seconds > page_seconds or only_failures == HOPELESS_PAGES:
            _say(end="time")
            return
    _say(end="done")


def _read_page(reader: Any, number: int, page_characters: int, page_seconds: float) -> str | None:
    """Says what stands on a page, or why it can't be read; returns that reason."""
    import pypdf

    lines = _Lines(page_characters)
    failed = None
    signal.setitimer(signal.ITIMER_PROF, page_seconds)
    try:
        reader.pages[number - 1].extract_text(visitor_text=lines.visit)
        lines.end_line()
    except _PageFull:
        lines.end_line()
    except _PageTooSlow:
        failed = "time"
    except MemoryError:
        failed = "memory"
    except pypdf.errors.DependencyError:
        pass  # an image that needs a decoder: a scanned page, without text for us
    except pypdf.errors.LimitReachedError:
        failed = "limits"
    except Exception:  # pypdf raises TypeError, AttributeError, RecursionError ... on damaged pages
        failed = "damaged"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if failed:
        _say(page=number, failed=failed)
    else:
        _say(page=number, lines=lines.upright(), cut=lines.cut)
    return failed


def _title(reader: Any) -> str | None:
    try:
        title = reader.metadata.title if reader.metadata else None
    except Exception:  # wrong types, bad encodings: a file without a title
        return None
    return str(title)[:TITLE_CHARACTERS] if title else None


def _labels(reader: Any, seconds: float) -> list[str] | None:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        if "/PageLabels" in reader.root_object:
            return [str(label)[:LABEL_CHARACTERS] for label in reader.page_labels]
    except (Exception, _PageTooSlow):  # any wrong type in its tree of numbers
        pass
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def main() -> None:
    """Orders in the first line of stdin: the arguments of `read_pdf` and `limit_resources`, by name."""
    orders = json.loads(sys.stdin.readline())
    limit_resources(orders.pop("memory_bytes"), orders.pop("cpu_seconds"))
    try:
        read_pdf(orders.pop("file_descriptor"), **orders)
    except MemoryError:
        _say(refused="memory")
    except BrokenPipeError:
        pass
    except (Exception, _PageTooSlow):  # whatever pypdf makes of a damaged file
        _say(refused="damaged")
    # Freeing the objects of a large file one by one takes longer than the process has left to live for.
    os._exit(0)


if __name__ == "__main__":
    # Warnings about every odd object would only be thrown away: stderr is closed.
    import logging

    logging.disable(logging.CRITICAL)
    main()
