"""The encoder's attention on a CPU, band and globals apart, merged by their log-sum-exp (Guo et al. 2022, section 3.1).

What is notable about it:
- Both biases depend on differences alone, so the bias of many queries is one small table read with overlapping
  strides. No bias of queries by globals is ever written out, and no key is copied for a second block.
- The band is few fused calls of many blocks of queries, each against its own window of the keys.
- The globals are few calls of many queries: those at the same position of their blocks go side by side, each one global
  block further on than the one before.
- Padding behind the text is not computed at all.

It knows neither gradients nor dropout, nor padding elsewhere: `longt5.attention.tiled` does.
"""

import torch
from torch import Tensor

from longt5.attention.reference import Globals, band_bias_tile
from longt5.interruption import interruption_point
from longt5.memory import empty

# Queries in a block of the band. More of them have more keys outside the band: with the usual radius of 127, blocks of
# 128 took 1.2 times as long; so did blocks of 32 at times, whose products are small.
BLOCK = 64
# About as many queries are in one fused call. More of them were not faster, and take more memory.
QUERIES = 4096


def split_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band_bias: Tensor,
    global_tokens: Globals | None,
    lengths: list[int],
) -> Tensor:
    """See `longt5.attention.dispatch.encoder_attention`.

    Args:
        lengths: how many tokens of text each row begins with; all behind them is padding, and its output is zero.
    """
    output = empty(query.shape, query)
    for row, length in enumerate(lengths):
        text = output[row, :length]
        output[row, length:] = 0
        if length == 0:
            continue
        log_sums = _attend_to_band(
            text, query[row, :length], key[row, :length], value[row, :length], band_bias
        )
        if global_tokens is not None:
            _add_globals(text, log_sums, query[row, :length], global_tokens, row)
    return output


def _attend_to_band(output: Tensor, query: Tensor, key: Tensor, value: Tensor, band_bias: Tensor) -> Tensor:
    """Writes to `output` what each query gets of the keys within the radius, all (length, heads, d_kv).

    Returns:
        (length, heads): the logarithm of what the softmax of each query divided by.
    """
    length = len(query)
    radius = band_bias.shape[-1] // 2
    bias = band_bias_tile(
        band_bias.to(query.dtype), BLOCK, BLOCK + 2 * radius, radius, torch.finfo(query.dtype).min
    )
    log_sums = query.new_empty(length, query.shape[1], dtype=torch.promote_types(query.dtype, torch.float32))

    def attend(first: int, blocks: int, queries: int, before: int, keys: int) -> None:
        """Attends from `blocks` blocks of `queries` to windows of `keys` that begin `before` the blocks."""
        part = slice(first, first + blocks * queries)
        attended, of_part = _fused(
            _windows(query, first, blocks, queries, BLOCK),
            _windows(key, first - before, blocks, keys, BLOCK),
            _windows(value, first - before, blocks, keys, BLOCK),
            bias[:, :queries, radius - before : radius - before + keys].expand(blocks, -1, -1, -1),
        )
        output[part] = attended.transpose(1, 2).flatten(0, 1)
        log_sums[part] = of_part.transpose(1, 2).flatten(0, 1)

    # Blocks whose windows lie within the text go together; those at its ends have windows of their own lengths.
    count = -(-length // BLOCK)
    first_whole = min(-(-radius // BLOCK), count)
    end_whole = max(first_whole, (length - radius) // BLOCK)
    for index in [*range(first_whole), *range(end_whole, count)]:
        first = index * BLOCK
        before, end = min(first, radius), min(first + BLOCK, length)
        attend(first, 1, end - first, before, min(end + radius, length) - first + before)
    step = max(1, QUERIES // BLOCK)
    for index in range(first_whole, end_whole, step):
        attend(index * BLOCK, min(step, end_whole - index), BLOCK, radius, BLOCK + 2 * radius)
    return log_sums


def _windows(x: Tensor, first: int, count: int, size: int, step: int) -> Tensor:
    """(length, heads, d_kv) -> (count, heads, size, d_kv): `count` overlapping views, `step` tokens apart."""
    token, head, one = x.stride()
    shape, strides = (count, x.shape[1], size, x.shape[2]), (step * token, head, token, one)
    return x.as_strided(shape, strides, x.storage_offset() + first * token)


def _add_globals(output: Tensor, log_sums: Tensor, query: Tensor, global_tokens: Globals, row: int) -> None:
    """Mixes what the queries get of the globals into what they got of the band.

    Args:
        output, query: (length, heads, d_kv).
        log_sums: (length, heads) of the band.
        row: of the batch.
    """
    length, heads, _ = query.shape
    block = global_tokens.block_size
    count = length // block  # of blocks that are whole, to which the rest of the text also belongs
    if count == 0:
        return
    # With keys and table the other way round, the bias of the next own block begins one entry further on.
    key = global_tokens.key[row, :count].flip(0).transpose(0, 1)[None]
    value = global_tokens.value[row, :count].flip(0).transpose(0, 1)[None]
    table = global_tokens.bias.to(query.dtype).flip(-1).contiguous()
    width = table.shape[1]
    start_of_own = width // 2 - count + 1  # in the table, for queries of the first block

    def mix(own: int, bias_step: int, output: Tensor, log_sums: Tensor, query: Tensor) -> None:
        """All `(own blocks, positions in them, heads, ...)`; the first block is `own`, the next `bias_step` further."""
        own_blocks, positions = log_sums.shape[:2]
        attended, of_globals = _fused(
            query.permute(1, 2, 0, 3),
            key.expand(positions, -1, -1, -1),
            value.expand(positions, -1, -1, -1),
            table.as_strided(
                (positions, heads, own_blocks, count), (0, width, bias_step, 1), start_of_own + own
            ),
        )
        share = torch.sigmoid(of_globals.permute(2, 0, 1) - log_sums)[..., None].to(output.dtype)
        output.lerp_(attended.permute(2, 0, 1, 3), share)

    whole = count * block
    in_blocks = [x[:whole].unflatten(0, (count, block)) for x in (output, log_sums, query)]
    positions = max(1, QUERIES // count)
    for first in range(0, block, positions):
        mix(0, 1, *(x[:, first : first + positions] for x in in_blocks))
    if length > whole:
        mix(count - 1, 0, *(x[None, whole:] for x in (output, log_sums, query)))


def _fused(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """PyTorch's fused attention with the logarithm of the softmax's sums, which its public function keeps to itself.

    Args:
        query: (batch, heads, queries, d_kv).
        key, value: (batch, heads, keys, d_kv).
        bias: (batch, heads, queries, keys), of any strides.
    Returns:
        output like the query and log-sum-exp (batch, heads, queries), at least float32.
    """
    interruption_point()
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, False, attn_mask=bias, scale=1.0
    )
