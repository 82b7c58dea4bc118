"""What a page that is mounted calls, as nobody launches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

decorated: list[Callable[..., Any]] = []
started = False


def startup() -> None:
    """Reports that there is something to lend a GPU to."""
    global started
    started = bool(decorated)
