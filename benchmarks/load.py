"""Many people at one server: whether everybody is served in turn, waits as long as he was told, and leaves nothing.

python -m benchmarks.load
python -m benchmarks.load --people 50 --minutes 30

Exits with 1 where something does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks._job import ROOT
from benchmarks._people import Crowd, Visit
from benchmarks._report import machine

START_SECONDS = 300
SETTLING_SECONDS = 400  # after which a server has forgotten what nobody uses
LAST_SECONDS = 1_200  # for those who have been let in when the time is over
FIRST_WORD_SECONDS = 1.0
WAIT_SHARE, MEMORY_SHARE = 0.25, 0.10
"""By which the longest wait may miss what was said, and memory what it was."""


class Server:
    """A page of its own, with what it takes."""

    def __init__(self, address: str, process: subprocess.Popen[bytes]) -> None:
        self.address = address
        self._process = psutil.Process(process.pid)

    def bytes(self) -> int:
        """Memory, without that of its children."""
        return int(self._process.memory_info().rss)

    def children(self) -> int:
        """Processes that read files or draw pages."""
        return len(self._process.children(recursive=True))

    def figures(self) -> dict[str, Any]:
        """What it says about itself."""
        found: dict[str, Any] = json.loads(httpx.get(f"{self.address}/healthz", timeout=30).text)
        return found


@contextmanager
def serving(model: str | None) -> Iterator[Server]:
    """A server of its own, ready; it ends with the context.

    Raises:
        RuntimeError: it does not get ready.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        settings = {"LONGT5_PORT": str(port), "LONGT5_PROXIES": "127.0.0.1", "GRADIO_TEMP_DIR": folder}
        if model is not None:
            settings["LONGT5_MODELS"] = model
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log
            )
        try:
            server = Server(f"http://127.0.0.1:{port}", process)
            deadline = time.monotonic() + START_SECONDS
            while not _is_ready(server.address):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"The page did not start:\n{Path(folder, 'log').read_text()}")
                time.sleep(0.5)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


class Watch(threading.Thread):
    """Looks at a server while others use it, and tells how far they are."""

    def __init__(self, server: Server, crowd: Crowd) -> None:
        super().__init__(daemon=True)
        self._server, self._crowd = server, crowd
        self.most_bytes = self.most_children = 0
        self._done = threading.Event()

    def run(self) -> None:
        began = told = time.monotonic()
        while not self._done.wait(0.2):
            self.most_bytes = max(self.most_bytes, self._server.bytes())
            self.most_children = max(self.most_children, self._server.children())
            if time.monotonic() - told > 10:
                told = time.monotonic()
                visits = list(self._crowd.visits)
                ended = sum(visit.ended is not None for visit in visits)
                print(
                    f"{told - began:5.0f} s: {ended} visits have ended, {len(visits) - ended} go on, "
                    f"{self._server.bytes() / 1e6:.0f} MB.",
                    file=sys.stderr,
                    flush=True,
                )

    def end(self) -> None:
        self._done.set()
        self.join()


@dataclass(frozen=True)
class Finding:
    """What has to hold, and what was found."""

    what: str
    found: str
    holds: bool


def findings(visits: list[Visit]) -> list[Finding]:
    """About what people met with."""
    lost = Counter(visit.lost for visit in visits if visit.lost)
    summaries = sum(not visit.said and not visit.lost for visit in visits)
    wrong = [visit for visit in visits if bool(visit.said) != visit.hostile and not visit.lost]
    found = [
        Finding("everybody has a summary or a sentence", _listed(lost) or f"all {len(visits)}", not lost),
        Finding(
            "hostile files are refused, and no others",
            "; ".join(f"{visit.file}: {visit.said or 'a summary'}" for visit in wrong[:3])
            or f"{summaries} summaries, {len(visits) - summaries} refusals",
            not wrong,
        ),
    ]
    words = [visit.first_word - visit.began for visit in visits if visit.first_word is not None]
    if words:
        found.append(
            Finding(
                f"the first word comes within {FIRST_WORD_SECONDS:g} s",
                f"median {statistics.median(words):.2f} s, at most {max(words):.2f} s",
                max(words) <= FIRST_WORD_SECONDS,
            )
        )
    turns = most_turns(visits)
    found.append(Finding("while somebody waits nobody has more than two turns", f"{turns}", turns <= 2))
    waits = [  # not those of the greedy one, whose further files others may overtake
        (visit.turn - visit.told_at, visit.told)
        for visit in visits
        if visit.person and visit.told and visit.told_at is not None and visit.turn is not None
    ]
    if waits:
        waited, told = max(waits)
        off = statistics.median(abs(waited - told) / max(waited, 0.1) for waited, told in waits)
        found.append(
            Finding(
                "the longest wait is what was said",
                f"{waited:.0f} s, said: {told:.0f} s; half of all are off by {off:.0%} or more",
                abs(waited - told) <= WAIT_SHARE * max(waited, told),
            )
        )
    return found


def most_turns(visits: list[Visit]) -> int:
    """How many turns at the model anybody began while another waited for one; those of who waits don't count.

    One too many may be counted: messages of different people overtake each other.
    """
    most = 0
    for visit in visits:
        if visit.lined_up is None or visit.turn is None:
            continue
        own = [
            other.turn
            for other in visits
            if other.person == visit.person and other.turn is not None and other.turn < visit.turn
        ]
        since = max([visit.lined_up, *own])
        turns = Counter(
            other.person
            for other in visits
            if other.person != visit.person and other.turn is not None and since < other.turn < visit.turn
        )
        most = max(most, *turns.values(), 0)
    return most


def rest(server: Server, before: int, most_seconds: float) -> Finding:
    """Waits until memory is back, at most so long."""
    began = time.monotonic()
    print(f"Resting for {most_seconds:g} s at most, until memory is back.", file=sys.stderr, flush=True)
    while server.bytes() > before * (1 + MEMORY_SHARE) and time.monotonic() - began < most_seconds:
        time.sleep(1)
    after = server.bytes()
    return Finding(
        "memory is back",
        f"{before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after {time.monotonic() - began:.0f} s of rest",
        after <= before * (1 + MEMORY_SHARE),
    )


def left_behind(server: Server) -> Finding:
    """Whether anybody waits, any process or any file is left."""
    left = {
        name: value for name, value in server.figures().items() if name.startswith(("waiting", "uploads"))
    }
    left["children"] = server.children()
    return Finding("nothing is left behind", _listed(left), not any(left.values()))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts.items())


def main() -> int:
    """Prints a table; its exit code."""
    options = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--people", type=int, default=50)
    options.add_argument("--minutes", type=float, default=0, help="how long they go on; 0: each once")
    options.add_argument(
        "--settle", type=float, default=SETTLING_SECONDS, help="most seconds to wait for memory to come back"
    )
    options.add_argument("--model", help="a folder; the embedded model if left out")
    asked = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is told to end ends its server first
    with serving(asked.model) as server:
        print(f"{machine()}, {asked.people} people, {asked.minutes:g} minutes.", flush=True)
        asyncio.run(
            Crowd(server.address, 2, seed=1).play(0, LAST_SECONDS)
        )  # what a first request makes stays
        before = server.bytes()
        crowd = Crowd(server.address, asked.people)
        watch = Watch(server, crowd)
        watch.start()
        seconds = 60 * asked.minutes
        asyncio.run(crowd.play(seconds, seconds + LAST_SECONDS))
        watch.end()
        found = [*findings(crowd.visits), rest(server, before, asked.settle), left_behind(server)]
        most = f"{watch.most_bytes / 1e6:.0f} MB and {watch.most_children} processes"
    print("\n| What has to hold | found | |\n| --- | --- | --- |")
    for one in found:
        print(f"| {one.what} | {one.found} | {'yes' if one.holds else 'NO'} |")
    seconds = [visit.ended - visit.began for visit in crowd.visits if visit.ended is not None]
    print(f"\nA visit took {statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s.")
    print(f"The server took at most {most} beside its own.")
    print("\n| Refused | times |\n| --- | ---: |")
    for said, times in Counter(visit.said for visit in crowd.visits if visit.said).most_common():
        print(f"| {said} | {times} |")
    return int(not all(one.holds for one in found))


if __name__ == "__main__":
    sys.exit(main())
