"""How the server is: a readiness check, and counters in the format of Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app.models import ModelStore
from app.service.scratch import Scratch

COUNTED = {
    "requests": ("Requests answered, by the first digit of the status.", "status"),
    "refusals": ("Requests refused before they did anything, by the reason.", "reason"),
}


class Counters:
    """What happened so far. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, name: str, label: str) -> None:
        """Counts one more of `COUNTED`."""
        with self._lock:
            self._counts[name, label] += 1

    def lines(self) -> list[str]:
        """All of them, as Prometheus reads them."""
        with self._lock:
            counts = dict(self._counts)
        lines = []
        for name, (about, label) in COUNTED.items():
            lines += [f"# HELP longt5_{name}_total {about}", f"# TYPE longt5_{name}_total counter"]
            lines += [
                f'longt5_{name}_total{{{label}="{value}"}} {count}'
                for (counted, value), count in sorted(counts.items())
                if counted == name
            ]
        return lines


class Health:
    """The endpoints."""

    def __init__(self, store: ModelStore, scratch: Scratch, counters: Counters) -> None:
        self._store = store
        self._scratch = scratch
        self._counters = counters

    def healthz(self, request: Request) -> Response:
        """200 when a summary could begin, 503 while the model loads or when it can't be loaded."""
        state = self._store.readiness
        found: dict[str, Any] = {"status": state, **self._figures()}
        return JSONResponse(found, 200 if state == "ready" else 503, headers={"Cache-Control": "no-store"})

    def metrics(self, request: Request) -> Response:
        """All figures and counters."""
        lines = self._counters.lines()
        for name, value in {**self._figures(), "ready": int(self._store.readiness == "ready")}.items():
            lines += [f"# TYPE longt5_{name} gauge", f"longt5_{name} {value}"]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    def _figures(self) -> dict[str, int]:
        return {
            "waiting_for_the_model": len(self._store.turns),
            "waiting_to_be_read": len(self._store.readers),
            "memory_bytes": resident_bytes(),
            "uploads_bytes": self._scratch.size(),
        }


def resident_bytes() -> int:
    """Memory of this process; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * 4096
