"""LongT5's encoder as its paper defines it, over the full square of tokens and in float64.

Written from Guo et al. 2022 (arXiv 2112.07916), section 3.1, and, for the parts it takes from T5, from
Raffel et al. 2020 (arXiv 1910.10683), section 2.1. Neither implementation under test was the model: no blocks
of queries, no chunks, no shifted views. Every query scores every token and every global token, and what
is outside the band or belongs to no block is masked out. Slow, and meant to be obviously correct.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch


@cache
def relative_position_bucket(
    offset: int, num_buckets: int, max_distance: int, bidirectional: bool = True
) -> int:
    """T5's bucket of `offset` = key position - query position, in exact integer arithmetic.

    Half of the buckets are for keys after the query (when `bidirectional`). Of each half, the first half
    holds one distance a bucket; the rest grow logarithmically up to `max_distance`; all above share the last.
    """
    buckets = num_buckets
    first = 0
    if bidirectional:
        buckets //= 2
        first = buckets if offset > 0 else 0
        distance = abs(offset)
    else:
        distance = max(-offset, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    # The largest step with exact * (max_distance / exact) ** (step / steps) <= distance, without logarithms.
    steps = buckets - exact
    step = 0
    while step < steps - 1 and max_distance ** (step + 1) * exact ** (steps - step - 1) <= distance**steps:
        step += 1
    return first + exact + step


def block_of_tokens(mask: Sequence[int], block_size: int) -> list[int]:
    """The block (global token) of every token, -1 for padding and where the text has no whole block.

    Blocks of `block_size` tokens are counted from the start of the row. Tokens after the last whole block
    join it. For rows with padding at the left or in the middle, of which the paper says nothing, the
    authors' convention: there are as many whole blocks as blocks whose last token is real.
    """
    whole = sum(1 for position, real in enumerate(mask) if real and position % block_size == block_size - 1)
    return [min(position // block_size, whole - 1) if real else -1 for position, real in enumerate(mask)]


def rms_norm(states: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
    """T5's layer norm over the last dimension: no mean is taken away and nothing is added."""
    return weight * states / torch.sqrt((states**2).mean(-1, keepdim=True) + epsilon)


def global_tokens(states: torch.Tensor, blocks: Sequence[int], count: int) -> torch.Tensor:
    """The sums of the layer inputs `states` (length, d_model) over each block: (count, d_model), unnormed."""
    empty = torch.zeros(states.shape[-1], dtype=states.dtype)
    return torch.stack(
        [sum((s for s, b in zip(states, blocks, strict=True) if b == g), empty) for g in range(count)]
    )


@dataclass(frozen=True)
class Geometry:
    """What a row of tokens lets each query see, and which bias goes with it.

    allowed: (length, length + globals) bool; offsets and global_offsets: (length, length) and
    (length, globals), key position - query position and global index - block of the query.
    """

    allowed: torch.Tensor
    offsets: list[list[int]]
    global_offsets: list[list[int]]


def geometry(mask: Sequence[int], radius: int, blocks: Sequence[int], num_globals: int) -> Geometry:
    """The band of `radius` tokens to each side and every global up to the last block that has tokens."""
    length = len(mask)
    last_block = max(blocks, default=-1)
    allowed, offsets, global_offsets = [], [], []
    for query in range(length):
        in_band = [bool(mask[query] and mask[key] and abs(key - query) <= radius) for key in range(length)]
        in_blocks = [bool(mask[query] and g <= last_block) for g in range(num_globals)]
        allowed.append(in_band + in_blocks)
        offsets.append([key - query for key in range(length)])
        global_offsets.append([g - blocks[query] for g in range(num_globals)])
    return Geometry(torch.tensor(allowed, dtype=torch.bool).view(length, -1), offsets, global_offsets)


def lookup(table: torch.Tensor, offsets: list[list[int]], max_distance: int) -> torch.Tensor:
    """Biases `(heads, queries, keys)` of `offsets` from a table `(buckets, heads)`."""
    buckets = [[relative_position_bucket(o, table.shape[0], max_distance) for o in row] for row in offsets]
    index = torch.tensor(buckets, dtype=torch.long).view(len(offsets), -1)
    return table[index].permute(2, 0, 1)


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    seen: Geometry,
    band_table: torch.Tensor,
    global_key: torch.Tensor | None = None,
    global_value: torch.Tensor | None = None,
    global_table: torch.Tensor | None = None,
    max_distance: int = 128,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One row's attention. query, key, value: (length, heads, d_kv); the globals': (globals, heads, d_kv).

    Returns (length, heads, d_kv) and the weights `(heads, length, length + globals)`. A query that may see
    nothing (padding) gets zeros. Scores are not divided by sqrt(d_kv): T5 folds that into its weights.
    """
    scores = torch.einsum("qhd,khd->hqk", query, key) + lookup(band_table, seen.offsets, max_distance)
    values = value
    if global_key is not None and global_key.shape[0] > 0:
        side = torch.einsum("qhd,khd->hqk", query, global_key) + lookup(
            global_table, seen.global_offsets, max_distance
        )
        scores = torch.cat([scores, side], dim=-1)
        values = torch.cat([value, global_value])
    visible = torch.where(seen.allowed, scores, torch.full_like(scores, -torch.inf))
    sees_something = seen.allowed.any(-1)[:, None]
    # A row of -inf alone has no softmax: any finite row will do there, it is set to zero below.
    weights = torch.where(sees_something, visible, torch.zeros_like(visible)).softmax(-1)
    weights = torch.where(sees_something, weights, torch.zeros_like(weights))
    return torch.einsum("hqk,khd->qhd", weights, values), weights


def feed_forward(
    states: torch.Tensor, weights: Mapping[str, torch.Tensor], prefix: str, gated: bool
) -> torch.Tensor:
    """T5's dense layers: relu, or the gated tanh-gelu of T5 1.1."""
    if gated:
        gate = torch.nn.functional.gelu(states @ weights[f"{prefix}.wi_0.weight"].T, approximate="tanh")
        inner = gate * (states @ weights[f"{prefix}.wi_1.weight"].T)
    else:
        inner = torch.relu(states @ weights[f"{prefix}.wi.weight"].T)
    return inner @ weights[f"{prefix}.wo.weight"].T


def encode_row(
    embedded: torch.Tensor, mask: Sequence[int], weights: Mapping[str, torch.Tensor], config: Any
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The encoder on one row: `embedded` (length, d_model) and a 0/1 mask; `weights` has the encoder's names.

    Returns the output (length, d_model) and each layer's weights `(heads, length, length + globals)`.
    """
    is_global = config.encoder_attention_type == "transient-global"
    kind = "TransientGlobalSelfAttention" if is_global else "LocalSelfAttention"
    first = f"block.0.layer.0.{kind}"
    epsilon = config.layer_norm_epsilon
    length = len(mask)
    blocks = block_of_tokens(mask, config.global_block_size)
    num_globals = length // config.global_block_size if is_global else 0
    seen = geometry(mask, config.local_radius, blocks, num_globals)
    states = embedded
    all_weights = []
    for layer in range(config.num_layers):
        prefix = f"block.{layer}.layer.0"

        def heads(inputs: torch.Tensor, which: str, prefix: str = prefix) -> torch.Tensor:
            projected = inputs @ weights[f"{prefix}.{kind}.{which}.weight"].T
            return projected.view(len(inputs), config.num_heads, config.d_kv)

        normed = rms_norm(states, weights[f"{prefix}.layer_norm.weight"], epsilon)
        sides: dict[str, Any] = {}
        if num_globals > 0:
            sums = global_tokens(normed, blocks, num_globals)
            globals_ = rms_norm(sums, weights[f"{prefix}.{kind}.global_input_layer_norm.weight"], epsilon)
            sides = {
                "global_key": heads(globals_, "k"),
                "global_value": heads(globals_, "v"),
                "global_table": weights[f"{first}.global_relative_attention_bias.weight"],
            }
        mixed, layer_weights = attention(
            heads(normed, "q"),
            heads(normed, "k"),
            heads(normed, "v"),
            seen,
            weights[f"{first}.relative_attention_bias.weight"],
            max_distance=config.relative_attention_max_distance,
            **sides,
        )
        all_weights.append(layer_weights)
        states = states + mixed.reshape(length, -1) @ weights[f"{prefix}.{kind}.o.weight"].T
        normed = rms_norm(states, weights[f"block.{layer}.layer.1.layer_norm.weight"], epsilon)
        dense = f"block.{layer}.layer.1.DenseReluDense"
        states = states + feed_forward(normed, weights, dense, config.feed_forward_proj == "gated-gelu")
    return rms_norm(states, weights["final_layer_norm.weight"], epsilon), all_weights


def float64_weights(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The encoder stack's weights by name, in float64, each a leaf that takes gradients."""
    return {name: tensor.detach().double().requires_grad_() for name, tensor in encoder.state_dict().items()}
