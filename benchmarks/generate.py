"""Time and memory of generate(), the encoder and what comes after it apart, against transformers.

python -m benchmarks.generate --size base --lengths 16384 --new-tokens 256
python -m benchmarks.generate --model assets/longt5-embedded --lengths 16384 --new-tokens 256
"""

from __future__ import annotations

import argparse
import copy
import statistics
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

# What encodes the text, and what then writes about it by a generation config: `(1, tokens)`.
Side = tuple[Callable[[], None], Callable[[GenerationConfig], Tensor]]


def prepare(job: Job) -> dict[str, Callable[[], dict[str, Tensor]]]:
    """The encoder, then decoding from what it left: as many tokens as asked for, no fewer; ours half as many too."""
    model, ids = build(job), source(job)
    mask = torch.ones_like(ids)

    def settings(tokens: int) -> GenerationConfig:
        settings = copy.deepcopy(model.generation_config)
        settings.update(
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            max_length=None,
            num_beams=job.num_beams,
            do_sample=False,
        )
        return settings

    side = _as_the_app_does if job.library == OURS else _as_transformers_does
    encode_text, decode = side(model, ids, mask)

    def encode_stage() -> dict[str, Tensor]:
        encode_text()
        return {}

    def half_stage() -> dict[str, Tensor]:
        decode(settings(job.new_tokens // 2))
        return {}

    def decode_stage() -> dict[str, Tensor]:
        return {"tokens": decode(settings(job.new_tokens))}

    of_steps = {"half": half_stage} if job.library == OURS else {}
    return {"encode": encode_stage, "decode": decode_stage, **of_steps}


def _as_the_app_does(model: Any, ids: Tensor, mask: Tensor) -> Side:
    """With progress, with the states that the inspector needs, and with the check for a stop; compiled before."""
    compile_ahead(model)
    stopping = partial(check, threading.Event())
    encoded: list[EncodedText] = []

    def encode_text() -> None:
        encoded.clear()
        with interruptible(stopping):
            encoded.append(encode(model, ids, mask, on_progress=_ignore))

    def decode(settings: GenerationConfig) -> Tensor:
        with interruptible(stopping):
            return torch.tensor([write(model, encoded[0], settings, on_progress=_ignore)])

    return encode_text, decode


def _ignore(progress: object) -> None:
    pass


def _as_transformers_does(model: Any, ids: Tensor, mask: Tensor) -> Side:
    states: list[Tensor] = []

    def encode_text() -> None:
        states.clear()
        with torch.inference_mode():
            states.append(model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state)

    def decode(settings: GenerationConfig) -> Tensor:
        # A new object each time: transformers replaces the states in it by one copy for each beam.
        encoded = BaseModelOutput(last_hidden_state=states[0])
        with torch.inference_mode():
            sequences = model.generate(
                ids, attention_mask=mask, encoder_outputs=encoded, generation_config=settings
            )
        return sequences[:, 1:]

    return encode_text, decode


def agreement(ours: Measured, theirs: Measured) -> str:
    """Share of positions at which both wrote the same token."""
    count = min(side.outputs["tokens"].shape[1] for side in (ours, theirs))  # ours are without the end token
    equal = ours.outputs["tokens"][:, :count] == theirs.outputs["tokens"][:, :count]
    return f"{equal.double().mean():.1%} of tokens equal"


def step_seconds(measured: Measured, new_tokens: int) -> float:
    """A step of the decoder: what a token more takes, of which nothing is done once a text."""
    more = new_tokens - new_tokens // 2
    return statistics.median(
        (decode - half) / more for decode, half in zip(measured.seconds["decode"], measured.seconds["half"])
    )


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
    if parsed.new_tokens < 2:
        options.error("a step is what half of the tokens take: --new-tokens 2 or more")
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
                floors.append(
                    decoding_floor(jobs[0]).compared(label, step_seconds(measured[0], options.new_tokens))
                )
    print("", *floors, sep="\n")


if __name__ == "__main__":
    main()
