"""What LongT5's attention is made of, as pure functions on tensors (Guo et al. 2022, section 3.1).

Position biases are lookups by offset: `2 * radius + 1` values a head for the band, and for the globals one value for
each difference between a global block and the query's own block. The encoder's attention itself is
behind `longt5.attention.dispatch`; what is here also serves those who want to see its weights.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from longt5.tracing import is_transformed


def relative_position_bucket(
    relative_position: Tensor, *, bidirectional: bool, num_buckets: int, max_distance: int
) -> Tensor:
    """The bucket of T5's relative position bias for each (key position - query position).

    Half of the buckets hold one distance each, the other half grow logarithmically up to `max_distance`, and all
    larger distances share the last one (Raffel et al. 2020, section 2.1). With `bidirectional=False` keys after
    the query fall into bucket 0.

    Args:
        relative_position: integers of any shape.
    Returns:
        int64 buckets in [0, num_buckets) of the same shape.
    """
    offset = torch.zeros_like(relative_position, dtype=torch.int64)
    if bidirectional:
        num_buckets //= 2
        offset = (relative_position > 0).long() * num_buckets
        distance = relative_position.abs()
    else:
        distance = (-relative_position).clamp(min=0)
    num_exact = num_buckets // 2
    # log(0) is -inf: harmless, as those positions take the exact branch below.
    logarithmic = num_exact + (
        torch.log(distance.float() / num_exact)
        / math.log(max_distance / num_exact)
        * (num_buckets - num_exact)
    ).nan_to_num(neginf=0.0).long().clamp(max=num_buckets - num_exact - 1)
    return offset + torch.where(distance < num_exact, distance, logarithmic)


def block_ids(attention_mask: Tensor, global_block_size: int) -> Tensor:
    """The global block that each token belongs to.

    Blocks are `global_block_size` positions long. Only blocks whose last position holds text count; text after the
    last of them joins it. Padding, and all text where no block is whole, gets -1.

    Args:
        attention_mask: (batch, length), non-zero at text.
    Returns:
        int64 (batch, length) in [-1, length // global_block_size).
    """
    text = attention_mask != 0
    positions = torch.arange(text.shape[-1], device=text.device)
    is_block_end = positions % global_block_size == global_block_size - 1
    last_block = (text & is_block_end).sum(-1, keepdim=True) - 1
    return torch.where(text, positions // global_block_size, -1).minimum(last_block)


def block_sums(hidden_states: Tensor, ids: Tensor, num_blocks: int) -> Tensor:
    """The sum of the hidden states of each global block, in float32.

    Args:
        hidden_states: (batch, length, d_model).
        ids: (batch, length) from `block_ids`; tokens at -1 are left out.
    Returns:
        (batch, num_blocks, d_model) float32: 16 saturated float16 states add up to more than float16 holds.
    """
    batch, _, width = hidden_states.shape
    # Row 0 collects the tokens that belong to no block.
    rows = ids + 1 + torch.arange(batch, device=ids.device)[:, None] * (num_blocks + 1)
    sums = hidden_states.new_zeros(batch * (num_blocks + 1), width, dtype=torch.float32)
    sums = sums.index_add(0, rows.flatten(), hidden_states.flatten(0, 1).float())
    return sums.view(batch, num_blocks + 1, width)[:, 1:]


def text_block_ids(length: int, global_block_size: int, device: torch.device) -> Tensor:
    """`block_ids` where all is text, (1, length), in fewer operations."""
    blocks = torch.arange(length, device=device)[None] // global_block_size
    return blocks.clamp(max=length // global_block_size - 1)


def text_block_sums(hidden_states: Tensor, global_block_size: int) -> Tensor:
    """`block_sums` where all is text: (batch, length, d_model) -> (batch, length // global_block_size, d_model)."""
    num_blocks = hidden_states.shape[1] // global_block_size
    whole = num_blocks * global_block_size
    blocks = hidden_states[:, :whole].unflatten(1, (num_blocks, global_block_size))
    sums = blocks.sum(2, dtype=torch.float32)
    if whole == hidden_states.shape[1]:
        return sums
    rest = hidden_states[:, whole:].sum(1, keepdim=True, dtype=torch.float32)
    return torch.cat([sums[:, :-1], sums[:, -1:] + rest], dim=1)


def band_bias_tile(band_bias: Tensor, queries: int, keys: int, left: int, masked: float) -> Tensor:
    """The band's bias laid out for consecutive queries and keys, with `masked` outside the band.

    Args:
        band_bias: (heads, 2 * radius + 1), the bias of each offset -radius..radius.
        left: how many of the keys come before the first query, at most `radius` and fewer than all.
    Returns:
        (heads, queries, keys)
    """
    radius = band_bias.shape[-1] // 2
    # The bias of each offset from the last query's first key to the first query's last key. A row further down, it
    # stands one entry further on. (Gathering each entry takes twenty times as long.)
    table = F.pad(band_bias, (queries - 1 + left - radius, keys - 1 - left - radius), value=masked)
    heads, width = table.shape
    rows = table[:, None].expand(-1, queries, -1).contiguous()
    return rows.as_strided((heads, queries, keys), (queries * width, width - 1, 1), queries - 1)


def global_bias_rows(global_bias: Tensor, ids: Tensor) -> Tensor:
    """The globals' bias for some queries.

    Args:
        global_bias: (heads, 2 * globals), the bias of each (global block - own block) from 1 - globals to globals;
            the last one is for queries without a block.
        ids: (batch, queries) from `block_ids`.
    Returns:
        (batch, heads, queries, globals)
    """
    num_globals = global_bias.shape[1] // 2
    # Row j of the unfolded table starts at the difference j + 1 - globals: it is that of block globals - 1 - j.
    # (`index_select` would write the whole unfolded table out before it takes rows of it.)
    return global_bias.unfold(-1, num_globals, 1)[:, num_globals - 1 - ids].transpose(0, 1)


class Globals(NamedTuple):
    """The transient global tokens of one layer, as its queries see them."""

    key: Tensor  # (batch, globals, heads, d_kv)
    value: Tensor  # (batch, globals, heads, d_kv)
    bias: Tensor  # (heads, 2 * globals), see `global_bias_rows`
    ids: Tensor  # (batch or 1, length), see `block_ids`
    block_size: int  # tokens in a global block

    def is_empty_block(self) -> Tensor:
        """(batch or 1, 1, 1, globals): blocks of padding alone, which nothing may attend to."""
        blocks = torch.arange(self.key.shape[1], device=self.ids.device)
        return (blocks > self.ids.amax(-1, keepdim=True))[:, None, None]


def tile_weights(
    query: Tensor,
    key: Tensor,
    band_bias: Tensor,
    global_key: Tensor,
    global_bias: Tensor,
    visible: Tensor | None,
) -> Tensor:
    """The attention weights of some consecutive queries, in float32.

    Args:
        query: (batch, heads, queries, d_kv).
        key: (batch, heads, queries + 2 * radius, d_kv), from the key `radius` before the first query to that `radius`
            after the last one.
        band_bias: (heads, 2 * radius + 1).
        global_key: (batch, heads, globals, d_kv), where there are no global tokens of no globals.
        global_bias: (batch or 1, heads, queries, globals), see `global_bias_rows`.
        visible: which keys and globals are there to be attended to, broadcastable to the weights; None if all are.
    Returns:
        (batch, heads, queries, 2 * radius + 1 + globals): those of the keys by their offset -radius..radius, then those
        of the globals. Rows sum to 1, also where nothing is visible.
    """
    batch, heads, queries, _ = query.shape
    width, reach = band_bias.shape[-1], key.shape[2]
    query = query.float()
    # Query i meets the keys i to i + 2 * radius: a row of the band starts one key after the row above it.
    products = (query @ key.mT.float()).float().contiguous()
    strides = (heads * queries * reach, queries * reach, reach + 1, 1)
    band = products.as_strided((batch, heads, queries, width), strides)
    scores = query.new_empty(batch, heads, queries, width + global_key.shape[2])
    scores[..., :width] = band
    scores[..., :width] += band_bias[:, None]
    scores[..., width:] = global_bias
    scores.flatten(0, 1)[..., width:].baddbmm_(query.flatten(0, 1), global_key.flatten(0, 1).mT.float())
    if visible is not None:
        scores = scores.masked_fill_(~visible, torch.finfo(scores.dtype).min)
    return scores.softmax(-1)


def dense_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    *,
    dropout: float = 0.0,
    with_weights: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """The decoder's attention: every query against every key, fused unless the weights are asked for.

    The keys may be shared by several groups of queries (the beams of one text): their batch then divides the
    queries' batch, and the groups are laid side by side as more queries of the same keys.

    Args:
        query: (batch * groups, heads, queries, d_kv).
        key, value: (batch, heads, keys, d_kv).
        bias: additive, broadcastable to (batch * groups or batch, heads, queries, keys).
    Returns:
        output (batch * groups, queries, heads, d_kv) and, when asked for, weights
        (batch * groups, heads, queries, keys).
    """
    groups = query.shape[0] // key.shape[0]
    queries = query.shape[2]
    if groups > 1:
        query = query.unflatten(0, (-1, groups)).transpose(1, 2).flatten(2, 3)
    # The fused attention has no derivative in forward mode.
    if with_weights or (not torch.compiler.is_compiling() and is_transformed()):
        scores = torch.matmul(query, key.transpose(2, 3))
        weights = (scores if bias is None else scores + bias).softmax(-1)
        output = torch.matmul(F.dropout(weights, dropout), value)
    else:
        weights = None
        output = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=dropout, scale=1.0
        )
    if groups > 1:
        output = _split_groups(output, groups, queries)
        weights = None if weights is None else _split_groups(weights, groups, queries)
    output = output.transpose(1, 2)
    if (
        torch.compiler.is_exporting()
    ):  # an export's decomposition has another layout, of which heads are no view
        output = output.clone(memory_format=torch.contiguous_format)
    return output, weights if with_weights else None


def _split_groups(x: Tensor, groups: int, queries: int) -> Tensor:
    """(batch, heads, groups * queries, n) -> (batch * groups, heads, queries, n)"""
    return x.unflatten(2, (groups, queries)).transpose(1, 2).flatten(0, 1)


def blocked_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band_bias: Tensor,
    global_tokens: Globals | None,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """`encoder_attention` by way of all its weights, laid out as transformers does: blocks of radius + 1 queries.

    Returns:
        output: (batch, length, heads, d_kv), computed from the weights, so that these can be asked for gradients.
        weights: (batch, blocks, heads, radius + 1, 3 * (radius + 1) + globals): each block's queries against the block
            before, itself and the block after, then against the globals, after dropout. Large: 16,384 tokens and 12
            heads take 1.1 GB in float32.
    """
    length, radius = query.shape[1], band_bias.shape[-1] // 2
    block, count = radius + 1, -(-length // (radius + 1))
    text = query.new_ones(1, length) if attention_mask is None else attention_mask
    is_text = F.pad(text != 0, (radius, radius))  # False before the text begins and behind its end
    padded_key = F.pad(key, (0, 0, 0, 0, radius, radius)).transpose(1, 2)
    global_key, has_text = key.new_zeros(len(key), key.shape[2], 0, key.shape[3]), None
    if global_tokens is not None:
        global_key, has_text = global_tokens.key.transpose(1, 2), ~global_tokens.is_empty_block()

    blocks = []
    for start in range(0, length, block):
        end = min(start + block, length)
        visible = is_text[:, None, start : end + 2 * radius].unfold(-1, 2 * radius + 1, 1)
        global_bias = key.new_zeros(1, key.shape[2], end - start, 0)
        if global_tokens is not None and has_text is not None:
            global_bias = global_bias_rows(global_tokens.bias, global_tokens.ids[:, start:end])
            visible = torch.cat([visible, has_text.expand(len(visible), -1, end - start, -1)], dim=-1)
        weights = tile_weights(
            query[:, start:end].transpose(1, 2),
            padded_key[:, :, start : end + 2 * radius],
            band_bias,
            global_key,
            global_bias,
            visible,
        )
        in_blocks = _in_three_blocks(weights[..., : 2 * radius + 1])
        weights = torch.cat([in_blocks, weights[..., 2 * radius + 1 :]], dim=-1)
        blocks.append(F.pad(weights, (0, 0, 0, block - (end - start))))
    weights = F.dropout(torch.stack(blocks, dim=1).to(query.dtype), dropout)

    padded = F.pad(value, (0, 0, 0, 0, block, block + count * block - length))
    windows = padded.unfold(1, 3 * block, block)  # (batch, blocks, heads, d_kv, 3 * block)
    output = torch.einsum("bnhqk,bnhdk->bnqhd", weights[..., : 3 * block], windows)
    if global_tokens is not None:
        output = output + torch.einsum("bnhqg,bghd->bnqhd", weights[..., 3 * block :], global_tokens.value)
    return output.flatten(1, 2)[:, :length], weights


def _in_three_blocks(band: Tensor) -> Tensor:
    """(..., queries, 2 * radius + 1) weights by offset -> (..., queries, 3 * (radius + 1)) by key.

    The keys are those of the queries' block, with a block on either side.
    """
    queries, width = band.shape[-2], band.shape[-1]
    keys = 3 * (width // 2 + 1)
    # Offset -radius of the first query is key 1. Read as rows of `keys`, each row moves one key on from the one above.
    rows = F.pad(band, (1, keys - width)).flatten(-2)
    return rows[..., : queries * keys].unflatten(-1, (queries, keys))
