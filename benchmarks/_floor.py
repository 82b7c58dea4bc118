"""The least time a machine could take: to read what decoding must read, to multiply what encoding must multiply."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import transformers
from torch import Tensor
from torch.nn import functional as F

from benchmarks._job import REFERENCE, Job, configuration
from benchmarks._report import digits
from longt5.attention.dispatch import linear
from longt5.memory import TOKENS_AT_ONCE, TOKENS_AT_ONCE_ON_GPU

# Used once a text, not once a step: the cross-attention's keys and values are kept.
ONCE_A_TEXT = (".EncDecAttention.k.", ".EncDecAttention.v.")
PROBE_BYTES = 256 * 2**20  # well beyond the caches of most processors
PROBE_CALLS = 4  # in one try, so that starting and waiting count for little
PROBE_TRIES = 15


@dataclass(frozen=True)
class Floor:
    """The seconds, and what takes them."""

    seconds: float
    what: str

    def compared(self, label: str, seconds: float) -> str:
        """A sentence on what we took."""
        return f"{label}: {self.what}; longt5 takes {digits(seconds / self.seconds)} times that."


def decoding_floor(job: Job) -> Floor:
    """The floor of a step, whatever the number of beams: they may share each read."""
    config = configuration(replace(job, library=REFERENCE))
    with torch.device("meta"):
        model = transformers.LongT5ForConditionalGeneration(config)
    weights = model.lm_head.weight.numel() + sum(
        weight.numel()
        for name, weight in model.decoder.block.named_parameters()
        if not any(part in name for part in ONCE_A_TEXT)
    )
    keys_and_values = 2 * config.num_decoder_layers * job.batch * job.length * config.num_heads * config.d_kv
    size = (weights + keys_and_values) * job.torch_dtype.itemsize
    rate = bandwidth(job.device, job.threads)
    return Floor(
        size / rate,
        f"reading the decoder's weights and one copy of the cross-attention's keys and values, "
        f"{size / 2**20:,.0f} MiB a step at {rate / 1e9:,.0f} GB/s, takes {1000 * size / rate:.2f} ms",
    )


def encoding_floor(job: Job) -> Floor:
    """The floor of a pass over all texts, in the weights' dtype."""
    config = configuration(job)
    width, inner = config.d_model, config.num_heads * config.d_kv
    has_globals = config.encoder_attention_type == "transient-global"
    num_globals = job.length // config.global_block_size if has_globals else 0
    keys = min(2 * config.local_radius + 1, job.length) + num_globals
    tokens = job.batch * job.length
    layer = (
        tokens * width * (4 * inner + (3 if config.is_gated_act else 2) * config.d_ff)
        + job.batch * num_globals * width * 2 * inner
        + tokens * keys * 2 * inner
    )
    operations = 2 * config.num_layers * layer
    rate = product_rate(width, config.d_ff, job.torch_dtype, job.device, job.threads)
    return Floor(
        operations / rate,
        f"the matrix products of a pass, {digits(operations / 1e12)} TFLOP at {rate / 1e9:,.0f} GFLOP/s, "
        f"take {digits(operations / rate)} s",
    )


def bandwidth(device: str, threads: int) -> float:
    """Bytes a second at which a large tensor is summed."""
    torch.set_num_threads(threads)
    tensor = torch.ones(PROBE_BYTES // 4, device=device)
    return PROBE_BYTES / _least_seconds(tensor.sum)


@torch.inference_mode()
def product_rate(inputs: int, outputs: int, dtype: torch.dtype, device: str, threads: int) -> float:
    """Operations a second, of which a multiplication and an addition are two, by the faster of the libraries here."""
    torch.set_num_threads(threads)
    tokens = TOKENS_AT_ONCE if device == "cpu" else TOKENS_AT_ONCE_ON_GPU
    states = torch.randn(tokens, inputs, device=device, dtype=dtype)
    weight = torch.randn(outputs, inputs, device=device, dtype=dtype)
    seconds = min(_least_seconds(partial(multiply, states, weight)) for multiply in (linear, F.linear))
    return 2 * tokens * inputs * outputs / seconds


def _least_seconds(function: Callable[[], Tensor]) -> float:
    """Of a call, the best of some tries."""
    best = float("inf")
    for _ in range(PROBE_TRIES):
        start = time.perf_counter()
        for _ in range(PROBE_CALLS):
            result = function()
        result.flatten()[0].item()  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return best / PROBE_CALLS
