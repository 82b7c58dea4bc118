"""What the commands have in common: their options, and Markdown tables of two sides."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks._job import INT8, OURS, REFERENCE, SIZES, Job, configuration
from benchmarks._turns import Measured

ATTENTION_TYPES = ("transient-global", "local")
DTYPES = ("float32", "bfloat16", "float16", INT8)
TABLE_HEAD = (
    f"| | {OURS}, s | {REFERENCE}, s | times faster | {OURS}, GiB | {REFERENCE}, GiB | share of memory | outputs |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
)


def parser(description: str, *, lengths: list[int]) -> argparse.ArgumentParser:
    """The options of every command with two sides."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--size", choices=SIZES, default="small")
    options.add_argument("--lengths", type=int, nargs="+", default=lengths, help="source tokens")
    options.add_argument("--attention", choices=ATTENTION_TYPES, nargs="+", default=list(ATTENTION_TYPES))
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--dtype", choices=DTYPES, default="float32", help="of the weights")
    options.add_argument("--reference-dtype", choices=DTYPES[:3], help=f"for {REFERENCE}, if not the same")
    options.add_argument("--device", default="cpu", help="cpu or cuda")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    options.add_argument("--repeats", type=int, default=3, help="timed runs of each side after the first")
    options.add_argument(
        "--skip-reference",
        action="store_true",
        help=f"measure {OURS} alone, where {REFERENCE} takes too much",
    )
    return options


def sides(options: argparse.Namespace, kind: str, attention: str, length: int) -> list[Job]:
    """Our side of a row and, unless it is skipped, the reference's."""
    given = vars(options)
    values: dict[str, Any] = {
        field.name: given[field.name] for field in dataclasses.fields(Job) if field.name in given
    }
    ours = Job(**{**values, "kind": kind, "library": OURS, "attention": attention, "length": length})
    if options.skip_reference:
        return [ours]
    return [ours, dataclasses.replace(ours, library=REFERENCE, dtype=reference_dtype(options))]


def reference_dtype(options: argparse.Namespace) -> str:
    """What was asked for, else what our side has; of 8 bits the reference knows nothing."""
    return options.reference_dtype or ("float32" if options.dtype == INT8 else options.dtype)


def circumstances(options: argparse.Namespace, job: Job) -> str:
    """Everything that a reader needs to check the figures. `job` is any row's."""
    config = configuration(job)
    dtype = options.dtype + (" with bfloat16 autocast" if job.autocast else "")
    if reference_dtype(options) != options.dtype:
        dtype += f" ({REFERENCE}: {reference_dtype(options)})"
    encoder, decoder = config.num_layers, config.num_decoder_layers
    name = Path(job.model).name if job.model else options.size
    return (
        f"{machine(options.device)}, {options.threads} threads. {dtype}, batch {options.batch}. {name}: d_model "
        f"{config.d_model}, d_ff {config.d_ff}, {encoder} + {decoder} layers, {config.num_heads} heads of "
        f"{config.d_kv}. Seconds are the median (least to most) of {options.repeats} runs, both sides in turn, after "
        "one to warm up; GiB is what the first run adds at its peak to the weights and the libraries.\n"
    )


def machine(device: str = "cpu") -> str:
    """Date, device and versions."""
    where = f"{_processor()}, {len(os.sched_getaffinity(0))} cores"
    if device != "cpu":
        where = f"{torch.cuda.get_device_name(device)} ({where})"
    today = datetime.datetime.now(datetime.timezone.utc).date()
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    return f"{today}. Python {platform.python_version()}, {versions}. {where}"


def row(
    label: str,
    measured: Sequence[Measured],
    stage: str,
    agreement: Callable[[Measured, Measured], str] | None = None,
    *,
    parts: int = 1,
) -> str:
    """One line of the table: a stage of our side and, if there is one, of the reference.

    Args:
        agreement: says how near our outputs come to the reference's.
        parts: what the seconds are divided by, for the time of one part.
    """
    ours, theirs = measured[0], measured[1] if len(measured) > 1 else Measured(failure="skipped")
    both = not (ours.failure or theirs.failure)
    cells = [
        *(side.failure or spread([s / parts for s in side.seconds[stage]]) for side in (ours, theirs)),
        f"{theirs.median(stage) / ours.median(stage):.2f}" if both else "-",
        *(side.failure or digits(side.peak_bytes[stage] / 2**30) for side in (ours, theirs)),
        f"{ours.peak_bytes[stage] / max(1, theirs.peak_bytes[stage]):.0%}" if both else "-",
        agreement(ours, theirs) if both and agreement else "-",
    ]
    return f"| {label} | {' | '.join(cells)} |"


def spread(seconds: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{digits(statistics.median(seconds))} ({digits(min(seconds))}–{digits(max(seconds))})"


def digits(number: float) -> str:
    """Three significant digits."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
