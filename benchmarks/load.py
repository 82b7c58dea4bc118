"""Many people at one server: how long they wait against what they are told, who is refused, and what memory it takes.

python -m benchmarks.load
python -m benchmarks.load --people 50 --minutes 30
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks._job import ROOT
from benchmarks._people import Visit, play
from benchmarks._report import machine

SETTLING_SECONDS = 400  # after which a server has forgotten what nobody uses


class Watch(threading.Thread):
    """Looks at a server's memory and children while others use it."""

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(server.pid)
        self.most_bytes = self.most_children = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.2):
            self.most_bytes = max(self.most_bytes, self.bytes())
            self.most_children = max(self.most_children, len(self._process.children(recursive=True)))

    def bytes(self) -> int:
        """Memory of the server, without its children."""
        return int(self._process.memory_info().rss)


@contextmanager
def serving(model: str | None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server of its own, ready, with its address; it ends with the context."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        settings = {"LONGT5_PORT": str(port), "GRADIO_TEMP_DIR": folder}
        if model is not None:
            settings["LONGT5_MODELS"] = model
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log
            )
        try:
            address = f"http://127.0.0.1:{port}"
            while not _is_ready(address):
                if server.poll() is not None:
                    raise RuntimeError(f"The page did not start:\n{Path(folder, 'log').read_text()}")
                time.sleep(0.5)
            yield address, server
        finally:
            server.terminate()
            server.wait(60)


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def report(visits: list[Visit]) -> None:
    """Prints what people met with, as a table."""
    first = [visit.first_word for visit in visits if visit.first_word is not None]
    told = [(visit.told, visit.waited) for visit in visits if visit.told and visit.waited]
    print("\n| | |\n| --- | ---: |")
    print(f"| visits | {len(visits)} |")
    print(f"| summaries | {sum(not visit.said for visit in visits)} |")
    print(f"| first word, median and most | {statistics.median(first):.2f} s, {max(first):.2f} s |")
    seconds = [visit.seconds for visit in visits]
    print(f"| a visit, median and most | {statistics.median(seconds):.1f} s, {max(seconds):.1f} s |")
    if told:
        foretold, waited = max(told, key=lambda pair: pair[1])
        print(f"| longest wait for the model, and what it was told | {waited:.0f} s, {foretold:.0f} s |")
        off = statistics.median(abs(waited - foretold) / waited for foretold, waited in told)
        print(f"| waits off what they were told, median | {off:.0%} |")
    print("\n| Refused | hostile | others |\n| --- | ---: | ---: |")
    reasons = Counter((visit.said, visit.hostile) for visit in visits if visit.said)
    for said in dict.fromkeys(said for said, _ in reasons):
        print(f"| {said} | {reasons[said, True]} | {reasons[said, False]} |")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--people", type=int, default=50)
    options.add_argument("--minutes", type=float, default=0, help="how long they go on; 0: each once")
    options.add_argument(
        "--settle", type=float, default=SETTLING_SECONDS, help="seconds before the last look"
    )
    options.add_argument("--model", help="a folder; the embedded model if left out")
    asked = options.parse_args()
    with serving(asked.model) as (address, server):
        print(f"{machine()}, {asked.people} people, {asked.minutes:g} minutes.", flush=True)
        asyncio.run(play(address, 2, 0, seed=1))  # what a first request makes stays
        watch = Watch(server)
        before = watch.bytes()
        watch.start()
        visits = asyncio.run(play(address, asked.people, 60 * asked.minutes))
        watch.done.set()
        report(visits)
        time.sleep(asked.settle)
        print("\n| Memory of the server | MB |\n| --- | ---: |")
        print(f"| before | {before / 1e6:.0f} |\n| most | {watch.most_bytes / 1e6:.0f} |")
        print(f"| after {asked.settle:g} s of rest | {watch.bytes() / 1e6:.0f} |")
        print(f"\nAt most {watch.most_children} files were read at the same time.")


if __name__ == "__main__":
    main()
