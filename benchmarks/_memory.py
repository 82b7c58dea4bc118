"""Memory: the peak of this process beyond what it held at first, or what its children have over time.

Linux, or PyTorch's allocator on a GPU.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import torch


class PeakMemory:
    """Counts from the memory in use when it is made, which should be that of the model and the libraries."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device != "cpu"
        if not self._on_gpu:
            _give_back()
        self._before = torch.cuda.memory_allocated() if self._on_gpu else _status("VmRSS")

    def restart(self) -> None:
        """Forgets the peak so far."""
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
        else:
            _give_back()
            Path("/proc/self/clear_refs").write_text("5")

    def beyond(self) -> int:
        """Bytes at the peak since the last restart, less those at first."""
        peak = torch.cuda.max_memory_allocated() if self._on_gpu else _status("VmHWM")
        return max(0, peak - self._before)


@contextmanager
def children_watched(every: float = 2.0) -> Iterator[list[tuple[float, int]]]:
    """Looks now and then at the memory of all processes that this one has started, pages they share counted once.

    Args:
        every: seconds between two looks.

    Yields:
        what was seen so far: seconds since the beginning, and bytes.
    """
    seen: list[tuple[float, int]] = []
    started, done = time.monotonic(), threading.Event()

    def look() -> None:
        while not done.wait(every):
            seen.append((time.monotonic() - started, _children_bytes()))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _give_back() -> None:
    """Returns freed memory to the system: it must not count for what comes next."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int:
    """Bytes of this process by a field of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}: this benchmark needs Linux.")


def _children_bytes() -> int:
    total = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            total += process.memory_full_info().pss
    return total
