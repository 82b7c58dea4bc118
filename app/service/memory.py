"""Gives memory that was freed back to the system, which C's allocator would keep for the next time."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Collects what is unreachable, and has glibc return the pages that are free; does nothing elsewhere."""
    gc.collect()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
