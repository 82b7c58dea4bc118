"""The process of one side: builds its model, then runs the job once for every line on its standard input.

It answers with one JSON object a line: {} when it is ready; {"seconds": {stage: float}} for a run, the first one with
{"peak_bytes": {stage: int}} too; {"failed": reason} before it ends because of an error. What the first run returned is
saved for the comparison. While it waits for a line it does nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import torch
import transformers
from torch import Tensor

from benchmarks._job import Job
from benchmarks._memory import PeakMemory


def answers(job: Job, outputs: str) -> Iterator[dict[str, Any]]:
    """What the worker says: that it is ready, then a run for every line read."""
    torch.set_num_threads(job.threads)
    transformers.logging.set_verbosity_error()
    stages = importlib.import_module(f"benchmarks.{job.kind}").prepare(job)
    memory = PeakMemory(job.device)
    yield {}
    sys.stdin.readline()
    seconds, peaks, results = {}, {}, {}
    for name, stage in stages.items():
        memory.restart()
        seconds[name], result = _timed(stage, job)
        peaks[name] = memory.beyond()
        results |= result
        del result
    torch.save({name: tensor.cpu() for name, tensor in results.items()}, outputs)
    results.clear()
    yield {"seconds": seconds, "peak_bytes": peaks}
    for _ in sys.stdin:
        yield {"seconds": {name: _timed(stage, job)[0] for name, stage in stages.items()}}


def _timed(stage: Any, job: Job) -> tuple[float, dict[str, Tensor]]:
    start = time.perf_counter()
    result = stage()
    if job.device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def _reason(error: Exception) -> str:
    """A word or two for the table."""
    out = isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
    return "out of memory" if out else type(error).__name__


def main() -> None:
    # Whatever libraries print goes to standard error: standard output is for the answers.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        for answer in answers(Job(**json.loads(sys.argv[1])), sys.argv[2]):
            print(json.dumps(answer), file=channel, flush=True)
    except Exception as error:
        traceback.print_exc()
        print(json.dumps({"failed": _reason(error)}), file=channel, flush=True)


if __name__ == "__main__":
    main()
