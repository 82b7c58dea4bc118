"""How long `python app.py` takes until its page answers, and until its model does."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from gradio_client import Client, handle_file

from benchmarks._job import ROOT

PATIENCE = 120  # seconds
SHORT_TEXT = "We study how sparse attention reads long papers. " * 12
SHORT_SUMMARY = {"writing": "own words", "max_new_tokens": 32}


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process."""

    page: float
    """Until the page was there."""
    model: float
    """Until a summary could begin at once: what a first short one took longer than a second is waiting."""


def start_app() -> Start:
    """Starts the app with the models and settings of the environment, uses it a little, and ends it.

    Raises:
        RuntimeError: it did not start.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = {
            **os.environ,
            "LONGT5_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_TEMP_DIR": folder,
        }
        paper = Path(folder) / "short.txt"
        paper.write_text(SHORT_TEXT, encoding="utf-8")
        started = time.perf_counter()
        server = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/", server)
            page = time.perf_counter() - started
            client = Client(f"http://127.0.0.1:{port}/", verbose=False)
            _summarize(client, paper)
            first = time.perf_counter() - started
            return Start(page, first - _summarize(client, paper))
        finally:
            server.terminate()
            server.wait(timeout=30)


def _summarize(client: Client, paper: Path) -> float:
    """Seconds of a short summary."""
    started = time.perf_counter()
    client.predict(handle_file(paper), "", SHORT_SUMMARY, "", api_name="/summarize")
    return time.perf_counter() - started


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            if answer.status == 200:
                return
        time.sleep(0.02)
    raise RuntimeError("app.py did not start: run it by itself to see why.")
