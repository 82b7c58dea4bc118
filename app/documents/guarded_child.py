"""A child process that works on a stranger's file under guard: messages both ways, output caps, no survivors."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Of the project: what a program imports from it is found from there, wherever this process was started.
ROOT = Path(__file__).parents[2]
# The parent looks for a stop and for a passed deadline this often.
TICK_SECONDS = 0.1
# The longest message is a page of text with its places, or its picture: some 10 MB at the very most.
MAX_MESSAGE_BYTES = 32 * 2**20
MAX_OUTPUT_BYTES = 256 * 2**20
# Its own process group, to be killed with all it started. Python 3.10 knows of sessions only; where Linux shares
# processors out between sessions first (autogroups), one child then gets as much as the whole server, however nice.
OWN_GROUP: dict[str, Any] = (
    {"process_group": 0} if sys.version_info >= (3, 11) else {"start_new_session": True}
)
# Where Linux counts those it has killed: all, and those of this container.
OUT_OF_MEMORY_COUNTS = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))
# Linux tells a child of the end of the thread that started it, and those of a server come and go: this one stays.
_starter = ThreadPoolExecutor(1, thread_name_prefix="longt5-children")


class _Babble(Exception):
    """The child says what its program never would: too much, or no message."""


class GuardedChild:
    """A running program that was handed one open file; it says and is told JSON objects, one a line.

    Whoever starts it must `kill` it. Not for several threads at once.
    """

    def __init__(self, program: Path, file_descriptor: int, orders: dict[str, Any]) -> None:
        """Starts `program` by its path and not by its name: the package around it would be imported too.

        Args:
            orders: the first message it is told, to which `file_descriptor` is added.

        Raises:
            OSError: no more descriptors, processes or memory.
        """
        self._killed_before = _killed_for_memory()
        self._process = _starter.submit(_start, program, file_descriptor).result()
        self.messages: Iterator[dict[str, Any] | None] = self._messages()
        """What it says, None for every tick without a message. If it dies or says what is no message, the last one is
        made here: `{"end": "time" | "memory" | "damaged" | "interrupted"}`, by what ran out or who ended it."""
        self.tell({"file_descriptor": file_descriptor, **orders})

    def tell(self, message: dict[str, Any]) -> None:
        """Sends a message, short enough to fit the pipe's buffer, so that this cannot block."""
        assert self._process.stdin is not None
        # A child that died has no ears; its last message says so.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """Kills the child and its process group, and reaps it; does nothing the second time."""
        process = self._process
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

    def _messages(self) -> Iterator[dict[str, Any] | None]:
        try:
            for line in self._lines():
                yield None if line is None else _parse(line)
        except _Babble:
            yield {"end": "damaged"}
        else:
            yield {"end": self._cause_of_death()}

    def _lines(self) -> Iterator[bytes | None]:
        """Whole lines of the child's output, None for every tick without one; ends when the child closes it.

        Raises:
            _Babble: a line, or all of it, is too long.
        """
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        os.set_blocking(output, False)
        pieces: list[bytes] = []
        pending = total = 0
        ears = select.poll()
        ears.register(output, select.POLLIN)
        while True:
            if not ears.poll(1000 * TICK_SECONDS):
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

    def _cause_of_death(self) -> str:
        """Why the child closed its output without saying so."""
        # Its output was closed by its death: this kill can't change its status, and is for what it left behind.
        self.kill()
        if self._process.returncode == -signal.SIGXCPU:
            return "time"
        if self._process.returncode in (-signal.SIGKILL, -signal.SIGTERM):  # not ours
            return "memory" if _killed_for_memory() > self._killed_before else "interrupted"
        return "damaged"


def _start(program: Path, file_descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # -S: what `site` would find stands in PYTHONPATH below, and looking for it takes 20 ms.
        [sys.executable, "-S", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[file_descriptor],
        # The packages this process would import, and nothing else of its environment: no tokens, no proxies.
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]), "LC_ALL": "C.UTF-8"},
        **OWN_GROUP,
    )


def _killed_for_memory() -> int:
    """How many processes the system has killed because it, or this container, was out of memory."""
    killed = 0
    for path in OUT_OF_MEMORY_COUNTS:
        with contextlib.suppress(OSError):  # not on this system
            counts = re.findall(r"^oom_kill (\d+)$", path.read_text(encoding="ascii"), re.MULTILINE)
            killed += sum(map(int, counts))
    return killed


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise _Babble from None
    if not isinstance(message, dict):
        raise _Babble
    return message
