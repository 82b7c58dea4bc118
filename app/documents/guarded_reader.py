"""Runs the PDF reader as a child process and guards it: deadlines, output caps, stopping, no survivors."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from app.work import check

# Run by its path and not by its name: the package around it would be imported too, 23 ms more.
READER = Path(__file__).with_name("pdf_reader.py")
ROOT = Path(__file__).parents[2]
# The parent looks for a stop and for a passed deadline this often.
TICK_SECONDS = 0.1
# A page is at most `page_characters` long; JSON and coordinates make that some ten times as many bytes.
MAX_MESSAGE_BYTES = 32 * 2**20
MAX_OUTPUT_BYTES = 256 * 2**20


class _Babble(Exception):
    """The child says what the reader never would: too much, or no message."""


def run_reader(
    file_descriptor: int,
    orders: dict[str, Any],
    *,
    seconds: float,
    stall_seconds: float,
    stop: threading.Event | None,
) -> Generator[dict[str, Any], None, None]:
    """Messages of `pdf_reader.py` (its docstring lists them) for the open PDF.

    The last message is always one with the key `end` or `refused`. Where the child does not send it, it is
    made here: `{"end": "time" | "memory" | "damaged"}` if a deadline passed (`seconds` in all, `stall_seconds`
    without a message), memory ran out or the child died. Closing the generator kills the child and everything
    it started.

    Raises:
        app.work.Stopped: `stop` was set, seen within `TICK_SECONDS`.
    """
    process = subprocess.Popen(
        # -S: what `site` would find stands in PYTHONPATH below, and looking for it takes 20 ms.
        [sys.executable, "-S", str(READER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[file_descriptor],
        start_new_session=True,
        # The packages this process would import, and nothing else of its environment: no tokens, no proxies.
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]), "LC_ALL": "C.UTF-8"},
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        # Fits the pipe's buffer, so this cannot block; a child that died of its limits has no ears.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps({"file_descriptor": file_descriptor, **orders}).encode())
            process.stdin.close()
        yield from _messages(process, seconds, stall_seconds, stop)
    except _Babble:
        yield {"end": "damaged"}
    finally:
        _kill(process)


def _messages(
    process: subprocess.Popen[bytes], seconds: float, stall_seconds: float, stop: threading.Event | None
) -> Iterator[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    stalled = time.monotonic() + stall_seconds
    for line in _output_lines(process):
        check(stop)
        now = time.monotonic()
        if line is None:
            if now > min(deadline, stalled):
                yield {"end": "time"}
                return
            continue
        message = _parse(line)
        yield message
        if "end" in message or "refused" in message:
            return
        # The time that the consumer took over the message does not count against the child.
        waited = time.monotonic() - now
        deadline += waited
        stalled = time.monotonic() + stall_seconds
        if now > deadline:
            yield {"end": "time"}
            return
    yield {"end": _cause_of_death(process)}


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise _Babble from None
    if not isinstance(message, dict):
        raise _Babble
    return message


def _output_lines(process: subprocess.Popen[bytes]) -> Iterator[bytes | None]:
    """Whole lines of the child's output, None for every tick without one; ends when the child closes it.

    Raises:
        _Babble: a line, or all of it, is too long.
    """
    assert process.stdout is not None
    output = process.stdout.fileno()
    os.set_blocking(output, False)
    pieces: list[bytes] = []
    pending = total = 0
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            if not selector.select(TICK_SECONDS):
                yield None
                continue
            data = os.read(output, 2**16)
            total += len(data)
            pending += len(data)
            if not data:
                return
            if pending > MAX_MESSAGE_BYTES or total > MAX_OUTPUT_BYTES:
                raise _Babble
            *lines, rest = data.split(b"\n")
            for line in lines:
                yield b"".join([*pieces, line])
                pieces = []
            pieces.append(rest)
            if lines:
                pending = len(rest)
            else:
                # A child that trickles bytes must not keep the clock from being looked at.
                yield None


def _cause_of_death(process: subprocess.Popen[bytes]) -> str:
    """Why the child closed its output without saying so."""
    # Its output was closed by its death: this kill can't change its status, and is for what it left behind.
    _kill(process)
    if process.returncode == -signal.SIGXCPU:
        return "time"
    if process.returncode == -signal.SIGKILL:  # not ours: the system was out of memory
        return "memory"
    return "damaged"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills the child and its process group, and reaps it; does nothing the second time."""
    if process.returncode is not None:
        return
    # Gone already; macOS denies the permission to signal a zombie.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
