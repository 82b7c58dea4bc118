"""Two sides, each in a process of its own, that take turns: one repeat of one, then one of the other.

So neither finds memory or caches left by the other, and a machine whose speed changes with what else it does changes
it for both.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks._job import ROOT, Job


@dataclass
class Measured:
    """One side of a row."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    """For each stage of the job one number a repeat, the warm-up left out."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """For each stage the memory at its peak beyond weights and libraries, in the first run."""
    outputs: dict[str, Tensor] = field(default_factory=dict)
    """What the first run returned."""
    failure: str = ""
    """Why there is nothing of the above."""

    def median(self, stage: str) -> float:
        return statistics.median(self.seconds[stage])


def take_turns(sides: Sequence[Job], repeats: int, label: str) -> list[Measured]:
    """Measures the sides together: one run of each to warm up, then `repeats` of each in turn."""
    measured = [Measured() for _ in sides]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = [folder / f"{number}.pt" for number in range(len(sides))]
        bar = stack.enter_context(tqdm(total=len(sides) * (repeats + 2), desc=label, leave=False))
        workers = [stack.enter_context(_Worker(side, file)) for side, file in zip(sides, files)]
        for turn in range(repeats + 2):
            for side, worker, result in zip(sides, workers, measured):
                bar.set_postfix_str(f"{side.library} {('builds', 'warms up')[turn] if turn < 2 else 'runs'}")
                if not result.failure:
                    _take_turn(worker, turn, result)
                bar.update()
        for result, file in zip(measured, files):
            if not result.failure:
                result.outputs = torch.load(file)
    return measured


def _take_turn(worker: _Worker, turn: int, result: Measured) -> None:
    """Turn 0 waits for the model, turn 1 warms up and measures memory, those after it measure time."""
    answer = worker.answer(run=turn > 0)
    result.failure = answer.get("failed", "")
    if result.failure:
        worker.end()  # the other side needs the memory
    elif turn == 1:
        result.peak_bytes = answer["peak_bytes"]
    elif turn > 1:
        for stage, seconds in answer["seconds"].items():
            result.seconds.setdefault(stage, []).append(seconds)


class _Worker:
    """A process of `benchmarks._worker`. It builds its model at once; leaving the context ends it."""

    def __init__(self, job: Job, outputs: Path) -> None:
        self._errors = outputs.with_suffix(".log")
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks._worker", json.dumps(asdict(job)), str(outputs)],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": str(job.threads)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def answer(self, *, run: bool) -> dict[str, Any]:
        """The worker's next answer, after a run if so asked; the reason of its end comes as `failed`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if run:
            with contextlib.suppress(BrokenPipeError):  # it died while it waited; its answer says so
                self._process.stdin.write("run\n")
                self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"failed": self._cause_of_death()}
        if "failed" in answer:
            tqdm.write(self._errors.read_text()[-2000:], file=sys.stderr)
        return answer

    def end(self) -> None:
        """Kills the process; does nothing the second time."""
        self._process.kill()
        self._process.communicate()

    def _cause_of_death(self) -> str:
        killed = self._process.wait() == -signal.SIGKILL  # by the system, for want of memory
        return "out of memory" if killed else f"exit code {self._process.returncode}"
