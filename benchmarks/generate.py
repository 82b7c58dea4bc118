"""Time and memory of generate(), the encoder and what comes after it apart, against transformers.

python -m benchmarks.generate --size base --lengths 16384 --new-tokens 256
python -m benchmarks.generate --model assets/longt5-embedded --lengths 16384 --new-tokens 256
"""

from __future__ import annotations

import argparse
import copy
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutput

from app.work import check
from benchmarks._floor import decoding_floor
from benchmarks._job import OURS, Job, build, configuration, source
from benchmarks._report import TABLE_HEAD, circumstances, parser, row, sides
from benchmarks._turns import Measured, take_turns
from longt5.generating.stepping import compile_ahead
from longt5.generation import EncodedText, encode, write
from longt5.interruption import interruptible


def prepare(job: Job) -> dict[str, Callable[[], dict[str, Tensor]]]:
    """The encoder, then decoding from what it left. As many tokens are written as asked for, no fewer."""
    model, ids = build(job), source(job)
    mask = torch.ones_like(ids)
    settings = copy.deepcopy(model.generation_config)
    settings.update(
        min_new_tokens=job.new_tokens,
        max_new_tokens=job.new_tokens,
        max_length=None,
        num_beams=job.num_beams,
        do_sample=False,
    )
    return (_as_the_app_does if job.library == OURS else _as_transformers_does)(model, ids, mask, settings)


def _as_the_app_does(
    model: Any, ids: Tensor, mask: Tensor, settings: GenerationConfig
) -> dict[str, Callable[[], dict[str, Tensor]]]:
    """With progress, with the states that the inspector needs, and with the check for a stop; compiled before."""
    compile_ahead(model)
    stopping = partial(check, threading.Event())
    encoded: list[EncodedText] = []

    def encode_text() -> dict[str, Tensor]:
        encoded.clear()
        with interruptible(stopping):
            encoded.append(encode(model, ids, mask, on_progress=_ignore))
        return {}

    def decode() -> dict[str, Tensor]:
        with interruptible(stopping):
            return {"tokens": torch.tensor([write(model, encoded[0], settings, on_progress=_ignore)])}

    return {"encode": encode_text, "decode": decode}


def _ignore(progress: object) -> None:
    pass


def _as_transformers_does(
    model: Any, ids: Tensor, mask: Tensor, settings: GenerationConfig
) -> dict[str, Callable[[], dict[str, Tensor]]]:
    states: list[Tensor] = []

    def encode_text() -> dict[str, Tensor]:
        states.clear()
        with torch.inference_mode():
            states.append(model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state)
        return {}

    def decode() -> dict[str, Tensor]:
        # A new object each time: transformers replaces the states in it by one copy for each beam.
        encoded = BaseModelOutput(last_hidden_state=states[0])
        with torch.inference_mode():
            sequences = model.generate(
                ids, attention_mask=mask, encoder_outputs=encoded, generation_config=settings
            )
        return {"tokens": sequences[:, 1:]}

    return {"encode": encode_text, "decode": decode}


def agreement(ours: Measured, theirs: Measured) -> str:
    """Share of positions at which both wrote the same token."""
    count = min(side.outputs["tokens"].shape[1] for side in (ours, theirs))  # ours are without the end token
    equal = ours.outputs["tokens"][:, :count] == theirs.outputs["tokens"][:, :count]
    return f"{equal.double().mean():.1%} of tokens equal"


def add_sum(measured: Measured) -> None:
    """Adds the stage `all`: from the source's tokens to the last one written."""
    seconds, peaks = measured.seconds, measured.peak_bytes
    seconds["all"] = [first + then for first, then in zip(seconds["encode"], seconds["decode"])]
    peaks["all"] = max(peaks["encode"], peaks["decode"])


def arguments() -> argparse.Namespace:
    options = parser(__doc__.splitlines()[0], lengths=[2048])
    options.add_argument("--new-tokens", type=int, default=32)
    options.add_argument("--beams", type=int, default=4, dest="num_beams")
    options.add_argument(
        "--model",
        default="",
        help="folder of a checkpoint to load instead of a random model; it reads the example paper, repeated",
    )
    parsed = options.parse_args()
    if parsed.batch != 1:
        options.error("one text at a time, as in the app: --batch 1")
    return parsed


def main() -> None:
    options = arguments()
    if options.model:
        probe = sides(options, "generate", "", 0)[0]
        options.attention = [configuration(probe).encoder_attention_type]
    print(circumstances(options, sides(options, "generate", options.attention[0], options.lengths[0])[0]))
    print(TABLE_HEAD, flush=True)
    floors = []
    for attention in options.attention:
        for length in options.lengths:
            name = Path(options.model).name if options.model else attention
            label = f"{name}, {length:,} tokens"
            jobs = sides(options, "generate", attention, length)
            measured = take_turns(jobs, options.repeats, label)
            for side in measured:
                if not side.failure:
                    add_sum(side)
            print(row(f"{label}: encoder", measured, "encode"))
            step = f"{label}: then each new token, {options.num_beams} beams"
            print(row(step, measured, "decode", agreement, parts=options.new_tokens))
            print(row(f"{label}: to the end, {options.new_tokens} new tokens", measured, "all"), flush=True)
            if not measured[0].failure:
                seconds = measured[0].median("decode") / options.new_tokens
                floors.append(decoding_floor(jobs[0]).compared(label, seconds))
    print("", *floors, sep="\n")


if __name__ == "__main__":
    main()
