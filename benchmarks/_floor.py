"""The least time that a step of decoding can take: that of reading from memory what every step must read."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
import transformers

from benchmarks._job import REFERENCE, Job, configuration

# Used once a text, not once a step: the cross-attention's keys and values are kept.
ONCE_A_TEXT = (".EncDecAttention.k.", ".EncDecAttention.v.")
PROBE_BYTES = 256 * 2**20  # well beyond the caches of most processors
PROBE_SUMS = 4  # in one try, so that starting and waiting count for little
PROBE_TRIES = 5


@dataclass(frozen=True)
class Floor:
    """What a step reads, how fast memory is read here, and the seconds that follow."""

    step_bytes: int
    bytes_a_second: float

    @property
    def seconds(self) -> float:
        return self.step_bytes / self.bytes_a_second

    def __str__(self) -> str:
        return (
            f"reading the decoder's weights and one copy of the cross-attention's keys and values, "
            f"{self.step_bytes / 2**20:,.0f} MiB a step at {self.bytes_a_second / 1e9:,.0f} GB/s, "
            f"takes {1000 * self.seconds:.2f} ms"
        )


def decoding_floor(job: Job) -> Floor:
    """The floor of a job, whatever its number of beams: they may share each read."""
    config = configuration(replace(job, library=REFERENCE))
    with torch.device("meta"):
        model = transformers.LongT5ForConditionalGeneration(config)
    weights = model.lm_head.weight.numel() + sum(
        weight.numel()
        for name, weight in model.decoder.block.named_parameters()
        if not any(part in name for part in ONCE_A_TEXT)
    )
    keys_and_values = 2 * config.num_decoder_layers * job.batch * job.length * config.num_heads * config.d_kv
    return Floor((weights + keys_and_values) * job.torch_dtype.itemsize, bandwidth(job.device, job.threads))


def bandwidth(device: str, threads: int) -> float:
    """Bytes a second at which a large tensor is summed: the best of some tries."""
    torch.set_num_threads(threads)
    tensor = torch.ones(PROBE_BYTES // 4, device=device)
    best = float("inf")
    for _ in range(PROBE_TRIES):
        start = time.perf_counter()
        for _ in range(PROBE_SUMS):
            total = tensor.sum()
        total.item()  # waits for a GPU
        best = min(best, time.perf_counter() - start)
    return PROBE_SUMS * PROBE_BYTES / best
