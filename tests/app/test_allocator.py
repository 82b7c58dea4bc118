"""What is looked at for garbage; in how many places threads allocate, which a process of its own is asked."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from app.allocator import ARENAS, settle

PROGRAM = """
import ctypes, sys, threading
from app.allocator import share_arenas
if sys.argv[2] == "shared":
    share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
together = threading.Barrier(8)
def allocate():
    libc.malloc(10_000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


def arenas(folder: Path, how: str) -> int:
    """How many there are after eight threads have allocated at the same time."""
    path = folder / how
    subprocess.run([sys.executable, "-c", PROGRAM, str(path), how], check=True)
    return path.read_text().count("<heap nr=")


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "malloc_info"),
    reason="only glibc has arenas",
)
def test_threads_share_arenas(tmp_path: Path) -> None:
    assert arenas(tmp_path, "shared") <= ARENAS
    assert arenas(tmp_path, "apart") > ARENAS


class Ring:
    """What only a look for garbage can free."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_when_all_was_settled_is_passed_over() -> None:
    before = Ring()
    there = weakref.ref(before)
    settle()
    try:
        del before
        after = weakref.ref(Ring())
        gc.collect()
        assert after() is None
        assert there() is not None
    finally:
        gc.unfreeze()
        gc.collect()
    assert there() is None
