"""Papers a minute of `python -m app.corpus` against `python -m app` over the same papers, and how a run goes on.

python -m benchmarks.corpus
python -m benchmarks.corpus --papers FOLDER --model M --repeats 3
python -m benchmarks.corpus --papers FOLDER --alone

`python -m app` is run in both ways: with one paper after the other, as a loop of a shell does, and with all of them.
All sides run the same papers with the same settings in turn. Interpreter, libraries and model are started for every
paper in the first, once in the second, and in the third by Ray and in every worker. `whole` counts all of that,
`steady` only the time from the first finished paper to the last. Memory is that of all processes of a side, what they
share counted once. A last table follows the corpus through its last turn: papers a minute and memory for each tenth.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from tqdm import tqdm

from app.settings import EMBEDDED_MODEL
from benchmarks._job import ROOT
from benchmarks._memory import children_watched
from benchmarks._report import digits, machine, spread

TICK_SECONDS = 0.05
PARTS = 10


@dataclass(frozen=True)
class Timed:
    """A run; all times are seconds since its start."""

    whole: float
    finished: list[float]
    """When each paper was, in that order."""
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Bytes that its processes had at some times."""

    @property
    def steady(self) -> float:
        """From the first finished paper to the last, or what can be told apart where they were finished together."""
        return max(self.finished[-1] - self.finished[0], TICK_SECONDS)

    def most_memory(self, since: float = 0, until: float = float("inf")) -> float:
        """The most GiB that were seen between two times, NaN where nobody looked."""
        return max((taken / 2**30 for at, taken in self.memory if since <= at <= until), default=float("nan"))


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--papers", type=Path, help="folder of papers; made-up short ones if not given")
    options.add_argument("--count", type=int, default=24, help="how many to make up")
    options.add_argument("--words", type=int, default=1_500, help="of a made-up one")
    options.add_argument("--model", default=EMBEDDED_MODEL)
    options.add_argument("--beams", type=int, default=1)
    options.add_argument(
        "--sections",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="a line about each section too",
    )
    options.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--alone", action="store_true", help="leave `python -m app` out")
    return options.parse_args()


def main() -> None:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="longt5-benchmark-") as name:
        folder = Path(name)
        papers = options.papers or make_papers(folder / "papers", options.count, options.words)
        files = sorted(path for path in papers.iterdir() if path.suffix in (".pdf", ".txt", ".md"))
        terminal: dict[str, Callable[[int], Timed]] = {
            f"a process for each paper, {options.workers} threads": lambda _: loop(files, options),
            f"one process, {options.workers} threads": lambda _: at_once(files, options),
        }
        sides: dict[str, Callable[[int], Timed]] = {
            **({} if options.alone else terminal),
            f"corpus, {options.workers} workers of 1 thread": lambda turn: corpus(
                papers, folder / f"out-{turn}", options, len(files)
            ),
        }
        timed: dict[str, list[Timed]] = {side: [] for side in sides}
        for turn in tqdm(range(options.repeats), desc="turns of all sides", leave=False):
            for side, run in sides.items():
                with children_watched() as memory:
                    times = run(turn)
                timed[side].append(replace(times, memory=memory))
    print(
        f"{machine()}, load {os.getloadavg()[0]:.0f}. {len(files)} papers, {options.repeats} turns, ", end=""
    )
    print(f"{Path(options.model).name}, {options.beams} beams. Median (least to most).\n")
    print(
        "| | whole, s | papers a minute | steady, s | papers a minute | most memory, GiB |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |"
    )
    for side, runs in timed.items():
        whole, steady = [run.whole for run in runs], [run.steady for run in runs]
        print(
            f"| {side} | {spread(whole)} | {digits(60 * len(files) / statistics.median(whole))} | {spread(steady)} | "
            f"{digits(60 * (len(files) - 1) / statistics.median(steady))} | "
            f"{spread([run.most_memory() for run in runs])} |"
        )
    print()
    *others, (_, ours) = timed.items()
    for side, theirs in others:
        whole, steady = (
            statistics.median(getattr(their, kind) / getattr(our, kind) for their, our in zip(theirs, ours))
            for kind in ("whole", "steady")
        )
        print(
            f"The corpus is {whole:.2f} times as fast as {side}, "
            f"{steady:.2f} times from the first finished paper to the last."
        )
    print(f"\n{course(ours[-1])}")


def course(run: Timed) -> str:
    """Papers a minute and the most memory in each tenth of the papers after the first, as a table."""
    count = len(run.finished)
    ends = sorted({round(part * (count - 1) / PARTS) for part in range(PARTS + 1)})
    lines = ["| papers | minutes | papers a minute | most memory, GiB |", "| --- | ---: | ---: | ---: |"]
    for begin, end in pairwise(ends):
        since, until = run.finished[begin], run.finished[end]
        pace = 60 * (end - begin) / max(until - since, TICK_SECONDS)
        lines.append(
            f"| {begin + 2}–{end + 1} | {until / 60:.1f} | {digits(pace)} | {digits(run.most_memory(since, until))} |"
        )
    return "\n".join(lines)


def make_papers(folder: Path, count: int, words: int) -> Path:
    """Texts with sections, made of the example paper's paragraphs in another order each."""
    source = (ROOT / "assets" / "example" / "longt5_explained.md").read_text(encoding="utf-8")
    paragraphs = [text for text in source.split("\n\n") if len(text.split()) > 25 and text[0].isalpha()]
    folder.mkdir()
    for number in range(count):
        chance = random.Random(number)
        lines, length = [f"# Paper {number}", "## 1 Introduction"], 0
        while length < words:
            lines.append(chance.choice(paragraphs))
            length += len(lines[-1].split())
            if len(lines) == 8:
                lines.append("## 2 Method")
        (folder / f"paper-{number:03}.md").write_text("\n\n".join(lines), encoding="utf-8")
    return folder


def loop(files: list[Path], options: argparse.Namespace) -> Timed:
    """A `python -m app` for each file; a paper is finished when it ends."""
    started, at = time.monotonic(), []
    for file in files:
        command = ["app", str(file), "--json", "--quiet", *_settings(options)]
        with _start(command, options.workers, stdout=subprocess.DEVNULL) as run:
            pass
        at.append(time.monotonic())
        if run.returncode:
            break
    return _timed(run, started, at, len(files))


def at_once(files: list[Path], options: argparse.Namespace) -> Timed:
    """One `python -m app` over all files; a paper is finished when its summary is printed."""
    command = ["app", *map(str, files), "--json", "--quiet", *_settings(options)]
    started = time.monotonic()
    with _start(command, options.workers, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        at = [time.monotonic() for line in run.stdout if line.startswith(b'  "title"')]
    return _timed(run, started, at, len(files))


def corpus(papers: Path, out: Path, options: argparse.Namespace, count: int) -> Timed:
    """`python -m app.corpus` over the folder; a paper is finished when it is in the journal."""
    command = ["app.corpus", str(papers), "--out", str(out), "--quiet", "--workers", str(options.workers)]
    journal, at = out / "journal.jsonl", []
    started = time.monotonic()
    with _start([*command, *_settings(options)], 1) as run:
        while run.poll() is None:
            lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
            at += [time.monotonic()] * (lines - len(at))
            time.sleep(TICK_SECONDS)
    return _timed(run, started, at, count)


def _settings(options: argparse.Namespace) -> list[str]:
    sections = "--sections" if options.sections else "--no-sections"
    return ["--model", options.model, "--beams", str(options.beams), sections]


def _start(command: list[str], threads: int, **pipes: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LONGT5_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, **pipes
    )


def _timed(run: subprocess.Popen[bytes], started: float, at: list[float], count: int) -> Timed:
    whole = time.monotonic() - started
    if run.returncode or len(at) != count:
        raise SystemExit(f"A side failed (code {run.returncode}, {len(at)} of {count} papers).")
    return Timed(whole, [when - started for when in at])


if __name__ == "__main__":
    main()
