"""LongT5's attention as pure functions on arrays (Guo et al. 2022, section 3.1), in memory linear in the length.

The encoder's runs one tile of queries at a time, under `lax.map`: a tile sees the keys within the radius of its own
tokens and, in transient-global attention, the global keys. Its scores are the largest array that exists, with gradients
too, as `jax.checkpoint` has the backward pass compute them again. Scores and softmax are float32 in any dtype.

What is computed is that of `longt5.attention.reference`, where positions, blocks and biases are explained.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

# Queries in a tile: smaller ones waste less of the band, larger ones have products large enough to be fast.
TILE = 256
MASKED = float(jnp.finfo(jnp.float32).min)


def relative_position_bucket(
    relative_position: Array, *, bidirectional: bool, num_buckets: int, max_distance: int
) -> Array:
    """The bucket of T5's relative position bias for each (key position - query position), int32 of the same shape.

    Half of the buckets hold one distance each, the others grow logarithmically up to `max_distance` (Raffel et al.
    2020, section 2.1). With `bidirectional=False` keys after the query fall into bucket 0.
    """
    offset = jnp.zeros_like(relative_position, dtype=jnp.int32)
    if bidirectional:
        num_buckets //= 2
        offset = jnp.where(relative_position > 0, num_buckets, 0)
        distance = jnp.abs(relative_position)
    else:
        distance = jnp.maximum(-relative_position, 0)
    num_exact = num_buckets // 2
    # A distance of 0 takes the exact branch below.
    growth = jnp.log(jnp.maximum(distance, 1).astype(jnp.float32) / num_exact)
    growth = growth / math.log(max_distance / num_exact) * (num_buckets - num_exact)
    logarithmic = num_exact + jnp.clip(growth.astype(jnp.int32), 0, num_buckets - num_exact - 1)
    return offset + jnp.where(distance < num_exact, distance, logarithmic)


def block_ids(attention_mask: Array, block_size: int) -> Array:
    """The global block that each token belongs to, int32 (batch, length); -1 at padding and where no block is whole.

    Only blocks whose last position holds text count; text after the last of them joins it.
    """
    text = attention_mask != 0
    positions = jnp.arange(text.shape[-1])
    is_block_end = positions % block_size == block_size - 1
    last_block = (text & is_block_end).sum(-1, keepdims=True) - 1
    return jnp.minimum(jnp.where(text, positions // block_size, -1), last_block)


def block_sums(hidden_states: Array, ids: Array, block_size: int) -> Array:
    """The sum of the hidden states of each global block, (batch, length // block_size, width) in float32.

    Args:
        hidden_states: (batch, length, width).
        ids: (batch, length) from `block_ids`.
    """
    batch, length, width = hidden_states.shape
    count = length // block_size
    states = hidden_states.astype(jnp.float32)
    is_own = ids == jnp.arange(length) // block_size
    own = jnp.where(is_own[..., None], states, 0.0)[:, : count * block_size]
    sums = own.reshape(batch, count, block_size, width).sum(2)
    joined = jnp.where(((ids >= 0) & ~is_own)[..., None], states, 0.0).sum(1, keepdims=True)
    is_last = jnp.arange(count) == ids.max(-1, keepdims=True)
    return sums + jnp.where(is_last[..., None], joined, 0.0)


class Globals(NamedTuple):
    """The transient global tokens of one layer, as its queries see them."""

    key: Array
    """(batch, heads, globals, d_kv)"""
    value: Array
    """(batch, heads, globals, d_kv)"""
    bias: Array
    """(heads, 2 * globals): of each (global block - own block) from 1 - globals to globals; the last one is for queries
    without a block."""
    ids: Array
    """(batch, length), see `block_ids`."""
    block_size: int


class Dropout(NamedTuple):
    """What is dropped from weights and states: a share of them, drawn with a key."""

    rate: float
    key: Array

    def __call__(self, x: Array, index: Array | int = 0) -> Array:
        """`x` with some values zero and the others larger for it; pieces of one array differ by their `index`."""
        kept = jax.random.bernoulli(jax.random.fold_in(self.key, index), 1.0 - self.rate, x.shape)
        return jnp.where(kept, x / (1.0 - self.rate), jnp.zeros_like(x))


def _band_bias_tile(band_bias: Array, tile: int, margin: int) -> Array:
    """The bias of (heads, tile queries, `margin` + tile + `margin` keys), `MASKED` beyond the radius.

    Args:
        band_bias: (heads, 2 * radius + 1), of each offset from -radius to radius.
    """
    heads, width = band_bias.shape
    radius, keys = width // 2, tile + 2 * margin
    around = tile - 1 + margin - radius
    table = jnp.pad(band_bias, ((0, 0), (around, around + 1)), constant_values=MASKED)
    # Read with rows one entry shorter than the table, each row begins one entry further back than the one above it.
    table = jnp.roll(table, 1 - tile, axis=1)
    rows = jnp.tile(table, (1, tile))[:, : tile * (table.shape[1] - 1)]
    return rows.reshape(heads, tile, -1)[..., :keys]


def _global_bias_tile(global_tokens: Globals, ids: Array, start: Array) -> Array:
    """The globals' bias (batch, heads, queries, globals) for queries from the position `start` on.

    Nearly all of them belong to the block in which they stand, the others to the text's last.
    """
    bias, size = global_tokens.bias, global_tokens.block_size
    count, queries = bias.shape[1] // 2, ids.shape[1]

    def row(block: Array) -> Array:
        return lax.dynamic_slice_in_dim(bias, count - 1 - block, count, axis=1)

    first = start // size
    blocks = jnp.minimum(first + jnp.arange(-(-queries // size) + 1), count - 1)
    of_blocks = jnp.repeat(jax.vmap(row, out_axes=1)(blocks), size, axis=1)
    of_own = lax.dynamic_slice_in_dim(of_blocks, start - first * size, queries, axis=1)
    of_last = jax.vmap(row)(global_tokens.ids.max(-1))[:, :, None]
    is_own = ids == (start + jnp.arange(queries)) // size
    return jnp.where(is_own[:, None, :, None], of_own[None], of_last)


def encoder_attention(
    query: Array,
    key: Array,
    value: Array,
    band_bias: Array,
    global_tokens: Globals | None,
    attention_mask: Array,
    *,
    dropout: Dropout | None = None,
    with_weights: bool = False,
) -> tuple[Array, Array | None]:
    """Attends from each token to those within the radius and, if there are any, to the global tokens.

    Args:
        query, key, value: (batch, heads, length, d_kv).
        band_bias: (heads, 2 * radius + 1), float32.
        attention_mask: (batch, length), non-zero at text.
    Returns:
        output: (batch, heads, length, d_kv).
        weights: None, or as transformers lays them out, in blocks of radius + 1 queries against the block before,
            themselves, the block after and the globals: (batch, blocks, heads, radius + 1, 3 * (radius + 1) + globals).
    """
    batch, heads, length, d_kv = query.shape
    radius = band_bias.shape[1] // 2
    tile, margin = (radius + 1, radius + 1) if with_weights else (min(TILE, length), radius)
    count = -(-length // tile)
    rest = count * tile - length
    around = (margin, margin + rest)
    key, value = (jnp.pad(x, ((0, 0), (0, 0), around, (0, 0))) for x in (key, value))
    is_text = jnp.pad(attention_mask != 0, ((0, 0), around))
    band = _band_bias_tile(band_bias, tile, margin)
    ids = attention_mask if global_tokens is None else global_tokens.ids
    tiles = (
        jnp.arange(count) * tile,
        jnp.pad(query, ((0, 0), (0, 0), (0, rest), (0, 0)))
        .reshape(batch, heads, count, tile, d_kv)
        .transpose(2, 0, 1, 3, 4),
        jnp.pad(ids, ((0, 0), (0, rest)), constant_values=-1).reshape(batch, count, tile).swapaxes(0, 1),
    )

    @jax.checkpoint
    def attend(start: Array, queries: Array, ids: Array) -> tuple[Array, Array | None]:
        reach = tile + 2 * margin
        keys, values = (lax.dynamic_slice_in_dim(x, start, reach, axis=2) for x in (key, value))
        visible = lax.dynamic_slice_in_dim(is_text, start, reach, axis=1)
        scores = jnp.where(visible[:, None, None], _product(queries, keys) + band, MASKED)
        if global_tokens is not None:
            bias = _global_bias_tile(global_tokens, ids, start)
            of_globals = _product(queries, global_tokens.key) + bias
            # Blocks of padding alone, which nothing may attend to.
            empty = jnp.arange(bias.shape[-1]) > global_tokens.ids.max(-1, keepdims=True)
            scores = jnp.concatenate([scores, jnp.where(empty[:, None, None], MASKED, of_globals)], axis=-1)
        weights = jax.nn.softmax(scores, axis=-1)
        if dropout is not None:
            weights = dropout(weights, start)
        weights = weights.astype(values.dtype)
        output = _weighted(weights[..., :reach], values)
        if global_tokens is not None:
            output = output + _weighted(weights[..., reach:], global_tokens.value)
        return output.astype(queries.dtype), weights if with_weights else None

    output, weights = lax.map(lambda one: attend(*one), tiles)
    output = output.transpose(1, 2, 0, 3, 4).reshape(batch, heads, count * tile, d_kv)[:, :, :length]
    return output, None if weights is None else weights.swapaxes(0, 1)


def _product(query: Array, key: Array) -> Array:
    """(..., queries, d_kv) and (..., keys, d_kv) -> (..., queries, keys) in float32. T5's scores are not scaled."""
    return jnp.einsum("...qd,...kd->...qk", query, key, preferred_element_type=jnp.float32)


def _weighted(weights: Array, value: Array) -> Array:
    """(..., queries, keys) and (..., keys, d_kv) -> (..., queries, d_kv) in float32."""
    return jnp.einsum("...qk,...kd->...qd", weights, value, preferred_element_type=jnp.float32)


def dense_attention(
    query: Array, key: Array, value: Array, bias: Array, *, dropout: Dropout | None = None
) -> tuple[Array, Array]:
    """The decoder's attention: every query against every key.

    The keys may be shared by several groups of queries, the beams of one text: their batch then divides the queries'.

    Args:
        query: (batch * groups, heads, queries, d_kv).
        key, value: (batch, heads, keys, d_kv).
        bias: additive, float32, broadcastable to (batch * groups or batch, heads, queries, keys).
    Returns:
        output (batch * groups, heads, queries, d_kv) and weights (batch * groups, heads, queries, keys).
    """
    rows, heads, queries, d_kv = query.shape
    batch = key.shape[0]
    grouped = query.reshape(batch, rows // batch, heads, queries, d_kv)
    scores = _product(grouped, key[:, None])
    if bias.shape[0] == rows and rows > batch:
        bias = bias.reshape(batch, rows // batch, *bias.shape[1:])
    else:
        bias = bias[:, None]
    weights = jax.nn.softmax(scores + bias, axis=-1)
    if dropout is not None:
        weights = dropout(weights)
    weights = weights.astype(value.dtype)
    output = _weighted(weights, value[:, None]).astype(query.dtype)
    return output.reshape(query.shape), weights.reshape(rows, heads, queries, -1)
