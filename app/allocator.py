"""What Python and C do about memory: they look for little that is free, often, and keep little of what they find."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any

_M_ARENA_MAX = -8  # of glibc's malloc.h
ARENAS = 2


def share_arenas() -> None:
    """Has all threads allocate in a few places; does nothing but with glibc. To be called before there are threads.

    Every summary has threads of its own, and glibc up to eight arenas a core: what one left half empty no other fills.
    Of 50 people at once a quarter of a gigabyte stayed so, of 50 papers one after the other two.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


def settle() -> None:
    """What there is by now, libraries above all, is passed over when garbage is looked for.

    To look through half a million objects takes a quarter of a second, more beside other work, and no thread of this
    process runs meanwhile. A model adds four thousand, what is compiled for it 77,000.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Collects what is unreachable, and has glibc return the pages that are free; does nothing elsewhere."""
    gc.collect()
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_libc(name: str) -> Any:
    """A function of glibc, None elsewhere: musl has none of these."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
