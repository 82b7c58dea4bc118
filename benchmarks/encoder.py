"""Time and memory of encoding, against transformers.

python -m benchmarks.encoder --size base --lengths 4096 16384
python -m benchmarks.encoder --size base --lengths 4096 65536 --skip-reference

Each length has two rows: the call that people make, with the mask that tokenizers give, and the call without one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from app.work import check
from benchmarks._floor import encoding_floor
from benchmarks._job import Job, build, source
from benchmarks._report import TABLE_HEAD, circumstances, digits, parser, row, sides
from benchmarks._turns import Measured, take_turns
from longt5.interruption import interruptible


def prepare(job: Job) -> dict[str, Callable[[], dict[str, Tensor]]]:
    """The job's one stage, ready to run."""
    model, ids = build(job, "LongT5EncoderModel"), source(job)
    mask = torch.ones_like(ids) if job.attention_mask else None

    def encode() -> dict[str, Tensor]:
        # As the app does; transformers has no interruption points.
        with torch.inference_mode(), interruptible(partial(check, threading.Event())):
            return {"states": model(ids, attention_mask=mask).last_hidden_state}

    return {"encode": encode}


def agreement(ours: Measured, theirs: Measured) -> str:
    """How far our states are from the reference's, in units of their root mean square, and their cosine."""
    a, b = (side.outputs["states"].flatten().double() for side in (ours, theirs))
    largest = (a - b).abs().max() / b.square().mean().sqrt()
    return f"differ by {largest:.1e}, cosine {torch.cosine_similarity(a, b, dim=0):.6f}"


def growth(attention: str, peaks: dict[int, int]) -> str:
    """How memory grows with the length, from the shortest to the longest. `peaks`: tokens -> bytes."""
    shortest, longest = min(peaks), max(peaks)
    times = peaks[longest] / max(1, peaks[shortest])
    return (
        f"{attention}: memory grows {digits(times)} times from {shortest:,} to {longest:,} tokens, "
        f"{times * shortest / longest:.2f} of the growth in tokens."
    )


def main() -> None:
    options = parser(__doc__.splitlines()[0], lengths=[512, 2048, 8192]).parse_args()
    print(circumstances(options, sides(options, "encoder", options.attention[0], options.lengths[0])[0]))
    print(TABLE_HEAD, flush=True)
    peaks: dict[str, dict[int, int]] = {attention: {} for attention in options.attention}
    floors = []
    for attention in options.attention:
        for length in options.lengths:
            label = f"{attention}, {length:,} tokens"
            jobs = sides(options, "encoder", attention, length)
            measured = take_turns(jobs, options.repeats, label)
            print(row(label, measured, "encode", agreement), flush=True)
            bare = [replace(job, attention_mask=False) for job in jobs]
            without = take_turns(bare, options.repeats, f"{label}, no mask")
            print(row(f"{label}, no mask", without, "encode", agreement), flush=True)
            if not measured[0].failure:
                peaks[attention][length] = measured[0].peak_bytes["encode"]
                floors.append(encoding_floor(jobs[0]).compared(label, measured[0].median("encode")))
    print("", *floors, sep="\n")
    for attention, found in peaks.items():
        if len(found) > 1:
            print(growth(attention, found))


if __name__ == "__main__":
    main()
