"""The encoder's attention on a GPU, without gradients: PyTorch's FlexAttention (Dong et al. 2024, arXiv 2412.05496).

What is notable about it:
- One fused kernel does a layer. The keys are [globals, text], under one softmax; the biases are one table of numbers
  by difference, read inside the kernel, and no score is ever written to memory.
- Both parts of the keys are padded to whole blocks of 128. The blocks of the band then lie against those of the
  queries as the blocks of a diagonal, which blocks anything attends to follows from their indices, and no length has
  a ragged end that the kernel would have to look out for.
- It is compiled once for all layers and lengths. torch.compile compiles again for another dtype, device, radius,
  number or size of heads, for a first batch of more than one, and for a text of one block; never for the values of a
  tensor. All that changes from call to call is a tensor, as a number in a closure would be compiled into the kernel.
- Nothing branches on the value of a tensor, so nothing waits for a GPU.

Uncompiled it writes out all scores, which serves to test it. As of 2026-11-26 it has run on one kind of GPU, an H100
with torch 2.11, and on CPUs with torch 2.13. One layer of 12 heads of 64 at 16,384 tokens took 1.0 ms there in bfloat16
(1.5 with an attention mask; the tiles 4.2) and 8.0 ms in float32 (the tiles 11.8); the first call 3 to 4 s more.
"""

from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from longt5.attention.reference import Globals

# Queries and keys in a block of the mask, FlexAttention's own default.
BLOCK = 128
# Queries and keys that the kernel treats at once. FlexAttention's own choice leaves no room for reading the biases: on
# an H100 it does not compile in halves, and in float32 takes ten times as long as this.
TILES: Any = {"BLOCK_M": 64, "BLOCK_N": 64, "num_stages": 2}
FLOAT32_TILES: Any = {"BLOCK_M": 64, "BLOCK_N": 32, "num_stages": 2}


def flex_encoder_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band_bias: Tensor,
    global_tokens: Globals | None = None,
    attention_mask: Tensor | None = None,
) -> Tensor:
    """See `longt5.attention.dispatch.encoder_attention`; a query that can attend to nothing gets zero.

    Raises what torch.compile raises where it cannot compile, and on a GPU for less than 16 numbers a head.
    """
    batch, length, _, _ = query.shape
    num_globals = 0 if global_tokens is None else global_tokens.key.shape[1]
    layout = _layout(length, num_globals, band_bias.shape[-1] // 2, attention_mask is not None, query.device)
    keys, values, biases = [_in_blocks(key)], [_in_blocks(value)], [band_bias]
    own_block = torch.zeros(1, length, dtype=torch.int32, device=query.device)
    may_attend_to = [layout.exists[None]] if attention_mask is None else [_in_blocks(attention_mask != 0)]
    if global_tokens is not None:
        keys.insert(0, _in_blocks(global_tokens.key))
        values.insert(0, _in_blocks(global_tokens.value))
        biases.append(global_tokens.bias)
        own_block = global_tokens.ids.int()
        if attention_mask is not None:
            has_text = ~global_tokens.is_empty_block()[:, 0, 0].expand(batch, -1)
            may_attend_to.insert(0, _in_blocks(has_text))
    attended = _compiled()(
        _in_blocks(query).transpose(1, 2),
        torch.cat(keys, dim=1).transpose(1, 2),
        torch.cat(values, dim=1).transpose(1, 2),
        torch.cat(biases, dim=-1).to(torch.promote_types(band_bias.dtype, torch.float32)),
        _in_blocks(own_block).expand(batch, -1).contiguous(),
        torch.cat(may_attend_to, dim=1).expand(batch, -1).contiguous(),
        layout,
        band_bias.shape[-1] - 1,
    )
    return attended.transpose(1, 2)[:, :length]


def _in_blocks(x: Tensor) -> Tensor:
    """(batch, n, ...) -> (batch, n rounded up to whole blocks, ...), with zeros behind."""
    missing = -x.shape[1] % BLOCK
    return F.pad(x, (0, 0) * (x.dim() - 2) + (0, missing)) if missing else x


class _Layout(NamedTuple):
    """What follows from the shapes alone. Keys are the globals and the text, both in whole blocks."""

    exists: Tensor  # bool (keys,): not there to fill up a block
    is_global: Tensor  # bool (keys,)
    place: Tensor  # int32 (keys,): which of the biases it would have for query 0, or own block 0
    partial_count: Tensor  # int32 (1, 1, query blocks): of key blocks of which some pairs are attended to
    partial: Tensor  # int32 (1, 1, query blocks, key blocks): these blocks, then others
    full_count: Tensor  # the same of key blocks of which all pairs are
    full: Tensor


@lru_cache(maxsize=8)
def _layout(length: int, num_globals: int, radius: int, has_padding: bool, device: torch.device) -> _Layout:
    """Shared by all layers of a pass. `has_padding`: any key may be barred, so that no block is sure to be full."""
    query_blocks, global_blocks = -(-length // BLOCK), -(-num_globals // BLOCK)
    positions = torch.arange(query_blocks * BLOCK, device=device)
    globals_ = torch.arange(global_blocks * BLOCK, device=device)
    last = max(num_globals - 1, 0)
    exists = torch.cat([globals_ < num_globals, positions < length])
    # The globals' biases lie behind the band's 2 * radius + 1, the first of them that of the difference -last.
    place = torch.cat([2 * radius + 1 + last + globals_.clamp(max=last), radius + positions])

    # How many blocks a key block lies from the query block; tokens then lie at least and at most so far apart:
    apart = (
        torch.arange(query_blocks, device=device) - torch.arange(query_blocks, device=device)[:, None]
    ).abs()
    nearest, farthest = (apart - 1) * BLOCK + 1, (apart + 1) * BLOCK - 1
    of_globals = torch.ones(query_blocks, global_blocks, dtype=torch.bool, device=device)
    reached = torch.cat([of_globals, nearest <= radius], dim=1)
    within = torch.cat([of_globals, farthest <= radius], dim=1)
    full = within & exists.view(-1, BLOCK).all(-1) & (not has_padding)
    return _Layout(
        exists,
        torch.arange(len(place), device=device) < len(globals_),
        place.int(),
        *_listed(reached & ~full),
        *_listed(full),
    )


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """bool (query blocks, key blocks) -> how many of each row are set, and their indices before those of the others."""
    count = blocks.sum(-1, dtype=torch.int32)
    indices = blocks.int().argsort(dim=-1, descending=True, stable=True).int()
    return count[None, None], indices[None, None]


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    own_block: Tensor,
    may_attend_to: Tensor,
    layout: _Layout,
    diameter: int,
) -> Tensor:
    """What is compiled. Its closures know nothing but these tensors, and the radius, which is a model's own.

    Args:
        query: (batch, heads, queries, d_kv), in whole blocks.
        key, value: (batch, heads, keys, d_kv), the globals before the text, both in whole blocks.
        bias: (heads, diameter + 1 + 2 * globals).
        own_block: int32 (batch, queries), the global block of each query or -1.
        may_attend_to: bool (batch, keys).
        diameter: of the band, 2 * radius.
    Returns:
        (batch, heads, queries, d_kv)
    """

    def biased(score: Tensor, row: Tensor, head: Tensor, query_at: Tensor, key_at: Tensor) -> Tensor:
        place = layout.place[key_at]
        # In a block that is attended to in part, this is also asked about what lies outside the band.
        in_band = (place - query_at).clamp(0, diameter)
        index = torch.where(layout.is_global[key_at], place - own_block[row, query_at], in_band)
        return score + bias[head, index]

    def allowed(row: Tensor, head: Tensor, query_at: Tensor, key_at: Tensor) -> Tensor:
        in_band = layout.place[key_at] - query_at
        near = layout.is_global[key_at] | ((in_band >= 0) & (in_band <= diameter))
        return may_attend_to[row, key_at] & near

    mask = BlockMask.from_kv_blocks(
        layout.partial_count,
        layout.partial,
        layout.full_count,
        layout.full,
        BLOCK_SIZE=BLOCK,
        mask_mod=allowed,
        seq_lengths=(query.shape[2], key.shape[2]),
        compute_q_blocks=False,  # these serve gradients
    )
    tiles = FLOAT32_TILES if query.dtype == torch.float32 else TILES
    return flex_attention(
        query, key, value, score_mod=biased, block_mask=mask, scale=1.0, kernel_options=tiles
    )


@cache
def _compiled() -> Any:
    """`_attend`, compiled when it is first called, with all sizes open that FlexAttention does not close."""
    return torch.compile(_attend, dynamic=True, fullgraph=True)
