"""Peak memory of this process beyond what it held at first. Linux, or PyTorch's allocator on a GPU."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

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
