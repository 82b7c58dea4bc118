"""The child process that reads one PDF, trusting nothing in the file: its limits, its messages, page after page.

`python pdf_reader.py` takes its orders as one JSON object, a line of stdin (see `main`), reads the PDF from an
inherited file descriptor and writes one JSON object a line on stdout:

    {"pages": 12, "title": "...", "author": "...", "creation_date": "2022-05-03 ...", "labels": ["i", "ii", "1", ...]}
        The file is open. Labels: what it says is printed on each page; null if it says nothing.
    {"page": 1, "lines": [[text, x, y, size, bold, font], ...], "hidden": 0, "notes": 0, "cut": false}
        A page; x, y, size in points, y grows upwards; font is "" where a line has several. Letters that are left out:
        hidden, because nobody can see them; notes, because they stand in the margin. Cut: it had more characters than
        a page may have.
    {"page": 2, "failed": "time" | "memory" | "limits" | "damaged"}
        A page that can't be read; the next ones follow.
    {"refused": "password" | "wrong-password" | "encryption" | "damaged" | "pages" | "limits" | "memory" | "time"}
        No page will come. With "pages", if known, their number.
    {"end": "done" | "time"}
        All pages were tried, or it took too long.

The parent (`guarded_reader.py`) holds the wall clock and the kill switch. The limits here make most bad files end
by themselves, page by page, so that the good pages of a bad file are kept. What stands on a page is for
`app.pdf_text` to say. Nothing else of the app is imported, not even the package this file is in: start-up counts.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

# No ordinary paper or thesis tried reaches these; pypdf's own limits let small files run for minutes.
TIGHT_LIMITS: dict[str, Any] = {
    "zlib_maximum_output_length": 30_000_000,
    "lzw_maximum_output_length": 30_000_000,
    "run_length_maximum_output_length": 30_000_000,
    "brotli_maximum_output_length": 30_000_000,
    "array_based_stream_maximum_output_length": 30_000_000,
    "stream_parsing_work_maximum_count": 300_000,
    "xform_maximum_invocations_per_extraction": 300,
    "page_tree_maximum_entries": 5_000,
    "array_maximum_element_count": 20_000,
}
METADATA_CHARACTERS = 2_000
LABEL_CHARACTERS = 20
# If that many pages at the start are too much, so is the document.
HOPELESS_PAGES = 5
# So many pages may use up their time in vain: a plot or two of a million points cost their own pages and not those
# after them, while a file full of such pages is given up long before the time for the whole of it is over.
SLOW_PAGES = 3
NICENESS = 19  # the page, at 0, and the model, at `app.work.NICENESS`, go first
PR_SET_PDEATHSIG = 1  # in linux/prctl.h


class _PageTooSlow(BaseException):
    """The page used up its processor time."""


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


def die_with_parent() -> None:
    """Has Linux kill this process when the thread that started it is gone, whatever it is doing."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    ears = select.poll()
    ears.register(0, select.POLLHUP)
    if any(event & select.POLLHUP for _, event in ears.poll(0)):  # it is gone already
        os._exit(1)


def take_orders() -> dict[str, Any]:
    """How every guarded child begins: it won't outlive its parent, lets others go first, obeys the limits it is told.

    The orders are the first line of stdin. Returns those that are not arguments of `limit_resources`.
    """
    die_with_parent()
    os.nice(NICENESS)
    orders: dict[str, Any] = json.loads(sys.stdin.readline())
    limit_resources(orders.pop("memory_bytes"), orders.pop("cpu_seconds"))
    return orders


def read_pdf(
    file_descriptor: int, *, password: str | None, max_pages: int, page_characters: int, page_seconds: float
) -> None:
    """Says what is in the PDF open as `file_descriptor`, a message at a time; failures are messages too."""
    # Imported here so that its memory and time fall under the limits; looking for garbage among what an import
    # makes, which all stays, would take a quarter of its time.
    gc.disable()
    import pypdf

    from app.pdf_text.page_text import read_page

    gc.freeze()
    gc.enable()
    pypdf.overwrite_configuration(None, jbig2dec_binary=None, disable_legacy_handling=True, **TIGHT_LIMITS)
    signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, page_seconds)
    try:
        reader = _open(file_descriptor)
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
        _say(refused="pages" if "page tree entry limit" in str(error) else "limits")
        return
    except _PageTooSlow:
        _say(refused="time")
        return
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if pages > max_pages:
        _say(refused="pages", pages=pages)
        return
    said = {what: _said(reader, what) for what in ("title", "author", "creation_date")}
    _say(pages=pages, **said, labels=_labels(reader, page_seconds))

    read = partial(read_page, fonts={}, most_characters=page_characters)
    lost_seconds = 0.0
    only_failures = 0
    for number in range(1, pages + 1):
        started = time.process_time()
        failed = _read_page(reader, number, read, page_seconds)
        if not failed:
            only_failures = -pages
            continue
        lost_seconds += time.process_time() - started
        only_failures += failed != "damaged"
        # Pages that cost much and give nothing: the rest would do the same.
        if lost_seconds > SLOW_PAGES * page_seconds or only_failures == HOPELESS_PAGES:
            _say(end="time")
            return
    _say(end="done")


def _open(file_descriptor: int) -> Any:
    """The file as pypdf sees it; where the end with the place of its table is missing, with a new one."""
    import pypdf

    file = os.fdopen(file_descriptor, "rb")
    try:
        return pypdf.PdfReader(file, strict=False)
    except (pypdf.errors.PdfReadError, TypeError, ValueError, KeyError) as error:
        if isinstance(error, pypdf.errors.LimitReachedError):
            raise
        file.seek(0)
        # A table that is nowhere: the objects of the file are looked for instead.
        mended = io.BytesIO(file.read() + b"\nstartxref\n0\n%%EOF\n")
        return pypdf.PdfReader(mended, strict=False)


def _read_page(reader: Any, number: int, read: Callable[[Any], Any], page_seconds: float) -> str | None:
    """Says what stands on a page, or why it can't be read; returns that reason."""
    import pypdf

    failed = None
    signal.setitimer(signal.ITIMER_PROF, page_seconds)
    try:
        text = read(reader.pages[number - 1])
    except _PageTooSlow:
        failed = "time"
    except MemoryError:
        failed = "memory"
    except pypdf.errors.LimitReachedError:
        failed = "limits"
    except Exception:  # pypdf raises TypeError, AttributeError, RecursionError ... on damaged pages
        failed = "damaged"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if failed:
        _say(page=number, failed=failed)
        return failed
    lines = [[line.text, line.x, line.y, line.size, line.bold, line.font] for line in text.lines]
    _say(page=number, lines=lines, hidden=text.hidden, notes=text.notes, cut=text.cut)
    return None


def _said(reader: Any, what: str) -> str | None:
    """What the file says of itself under this name."""
    try:
        said = getattr(reader.metadata, what) if reader.metadata else None
    except Exception:  # wrong types, bad encodings, dates that are none: a file that does not say
        return None
    return str(said)[:METADATA_CHARACTERS] if said else None


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
    """Orders: the arguments of `read_pdf` and `limit_resources`, by name."""
    orders = take_orders()
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
