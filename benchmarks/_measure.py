"""One job of one library, timed in a process of its own, and tables of two libraries side by side.

Every figure comes from a fresh process, so that neither library finds memory or caches left by the other, and both
libraries take turns within one run, so that their ratio holds even where the machine is shared. Linux only: peak
memory is read from /proc (on a GPU, from PyTorch's allocator).
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("longt5", "transformers")
ATTENTION_TYPES = ("transient-global", "local")
# d_model, d_ff, layers of each stack, heads; d_kv is 64, radius 127, block 16 throughout. From base on, as published.
SIZES = {
    "small": (256, 1024, 4, 4),
    "base": (768, 2048, 12, 12),
    "large": (1024, 2816, 24, 16),
    "xl": (2048, 5120, 24, 32),
}


@dataclass(frozen=True)
class Job:
    """What to measure. `kind` is encode, train (forward and backward of the encoder) or generate."""

    kind: str
    library: str
    size: str
    attention: str
    length: int
    batch: int
    dtype: str
    device: str
    threads: int
    repeats: int
    new_tokens: int = 0
    num_beams: int = 1


@dataclass(frozen=True)
class Measured:
    """Median seconds of the repeats after one run to warm up, and bytes that the job added at its peak."""

    seconds: float
    peak_bytes: int


def measure(job: Job) -> Measured | None:
    """Runs the job in a fresh process. None if it fails there, as it does when memory runs out."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(job.threads)}
    command = [sys.executable, "-m", "benchmarks._measure", json.dumps(dataclasses.asdict(job))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{job} failed: {done.stderr[-2000:] or done.returncode}", file=sys.stderr)
        return None
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def work_of(job: Job) -> Callable[[], Any]:
    """The job with its model built and its inputs drawn, ready to run."""
    library = importlib.import_module(job.library)
    d_model, d_ff, layers, heads = SIZES[job.size]
    config = library.LongT5Config(
        d_model=d_model,
        d_ff=d_ff,
        num_layers=layers,
        num_heads=heads,
        d_kv=64,
        feed_forward_proj="gated-gelu",
        encoder_attention_type=job.attention,
        tie_word_embeddings=False,
        decoder_start_token_id=0,
    )
    torch.manual_seed(0)
    with torch.device(job.device):
        name = "LongT5ForConditionalGeneration" if job.kind == "generate" else "LongT5EncoderModel"
        model = getattr(library, name)(config).to(getattr(torch, job.dtype)).eval()
        ids = torch.randint(2, config.vocab_size, (job.batch, job.length))

    def encode() -> None:
        with torch.inference_mode():
            model(ids)

    def train() -> None:
        model.zero_grad()
        model(ids).last_hidden_state.float().square().mean().backward()

    def generate() -> None:
        tokens = {"max_new_tokens": job.new_tokens, "min_new_tokens": job.new_tokens}
        model.generate(ids, num_beams=job.num_beams, do_sample=False, **tokens)

    if job.kind == "train":
        model.train()  # dropout included, as in any training
    return {"encode": encode, "train": train, "generate": generate}[job.kind]


def run_here(job: Job) -> Measured:
    """Measures the job in this process."""
    torch.set_num_threads(job.threads)
    transformers.logging.set_verbosity_error()
    work = work_of(job)
    on_gpu = job.device != "cpu"
    before = 0 if on_gpu else _memory("VmRSS")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    seconds = []
    for _ in range(job.repeats + 1):
        start = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if on_gpu else _memory("VmHWM")
    return Measured(statistics.median(seconds[1:]), max(0, peak - before))


def _memory(field: str) -> int:
    """Bytes of this process by a field of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}: this benchmark needs Linux.")


def parser(description: str, *, lengths: list[int], repeats: int) -> argparse.ArgumentParser:
    """The arguments that all benchmarks take."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--size", choices=SIZES, default="small")
    arguments.add_argument("--lengths", type=int, nargs="+", default=lengths, help="source tokens")
    arguments.add_argument("--attention", choices=ATTENTION_TYPES, nargs="+", default=list(ATTENTION_TYPES))
    arguments.add_argument("--batch", type=int, default=1)
    arguments.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument(
        "--repeats", type=int, default=repeats, help="timed runs, of which the median counts"
    )
    return arguments


def print_table(arguments: argparse.Namespace, jobs: Iterable[tuple[str, Job]]) -> None:
    """Measures each (label, job) with both libraries, in turn, and prints a Markdown table of them as it goes."""
    print(_circumstances(arguments) + "\n")
    print(
        "| | longt5, s | transformers, s | times faster | longt5, GiB | transformers, GiB | times less memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        sep="\n",
    )
    for label, job in jobs:
        ours, theirs = (measure(dataclasses.replace(job, library=library)) for library in LIBRARIES)
        cells = [_cell(m and m.seconds) for m in (ours, theirs)]
        cells.append(_ratio(theirs and theirs.seconds, ours and ours.seconds))
        cells += [_cell(m and m.peak_bytes / 2**30) for m in (ours, theirs)]
        cells.append(_ratio(theirs and theirs.peak_bytes, ours and ours.peak_bytes))
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def _circumstances(arguments: argparse.Namespace) -> str:
    """Everything that a reader needs to check the figures."""
    device = _processor() if arguments.device == "cpu" else torch.cuda.get_device_name(arguments.device)
    d_model, d_ff, layers, heads = SIZES[arguments.size]
    return (
        f"{device}, {arguments.threads} threads; torch {torch.__version__}, transformers "
        f"{transformers.__version__}; {arguments.dtype}, batch {arguments.batch}; {arguments.size}: d_model "
        f"{d_model}, d_ff {d_ff}, {layers} layers, {heads} heads; median of {arguments.repeats} after one to warm "
        "up; memory is what the job adds at its peak to the model and the libraries."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def _cell(number: float | None) -> str:
    return "failed" if number is None else f"{number:.2f}"


def _ratio(theirs: float | None, ours: float | None) -> str:
    return f"{theirs / ours:.1f}" if theirs and ours else "-"


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(run_here(Job(**json.loads(sys.argv[1]))))))
