"""LongT5's attention as pure functions on arrays (Guo et al. 2022, section 3.1), in memory linear in the length.

The encoder's runs one tile of queries at a time, under `lax.map`: a tile sees the keys within the radius of its own
tokens and, in transient-global attention, the global keys. Beside the states its scores are the largest array, with
gradients too: `jax.checkpoint` has the backward pass compute them again. Scores and softmax are float32 in any dtype.

What is computed is that of `longt5.attention.reference`, where positions, blocks and biases are explained.
"""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

# Queries in a tile: smaller ones waste less of the band, larger ones have products large enough to be fast.
TILE = 256
# Tiles in a piece, at least: with fewer of them more keys are computed twice, with more a piece takes more memory.
TILES = 4
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


def block_sums(hidden_states: Array, ids: Array, block_size: int, scale: Array) -> Array:
    """The sum of the scaled hidden states of each global block, (batch, length // block_size, width) in float32.

    Nothing of the hidden states' size is made for it, as it is a product with the scale.

    Args:
        hidden_states: (batch, length, width).
        ids: (batch, length) from `block_ids`.
        scale: (batch, length), what each state is multiplied by.
    """
    batch, length, width = hidden_states.shape
    count = length // block_size
    whole = count * block_size
    is_own = ids == jnp.arange(length) // block_size
    own = jnp.where(is_own, scale, 0.0)[:, :whole].reshape(batch, count, block_size)
    blocks = hidden_states[:, :whole].reshape(batch, count, block_size, width)
    sums = jnp.einsum("bnt,bntw->bnw", own, blocks, preferred_element_type=jnp.float32)
    joined = jnp.where((ids >= 0) & ~is_own, scale, 0.0)
    joined = jnp.einsum("bt,btw->bw", joined, hidden_states, preferred_element_type=jnp.float32)
    is_last = jnp.arange(count) == ids.max(-1, keepdims=True)
    return sums + jnp.where(is_last[..., None], joined[:, None], 0.0)


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


class Tiling(NamedTuple):
    """How a text is cut into pieces, and each piece into tiles of queries; all of one size."""

    tile: int
    """Queries in a tile."""
    margin: int
    """Keys before and after them; no more than a piece has, if there are several."""
    tiles: int
    """Tiles in a piece."""
    pieces: int

    @classmethod
    def of(cls, length: int, radius: int, *, by_blocks: bool = False) -> "Tiling":
        """That of a text; `by_blocks`: as transformers has it, with one block of radius + 1 keys on either side."""
        if by_blocks:
            return cls(radius + 1, radius + 1, -(-length // (radius + 1)), 1)
        number = -(-length // TILE)
        pieces = max(1, min(number // TILES, length // radius))
        tiles = -(-number // pieces)
        # Rounding up made them too many: each is as much smaller, so that nearly nothing is computed for nothing.
        return cls(-(-length // (pieces * tiles)), radius, tiles, pieces)

    @property
    def piece(self) -> int:
        """Queries in a piece."""
        return self.tiles * self.tile


def band_bias_tile(band_bias: Array, tiling: Tiling) -> Array:
    """The band's bias laid out for a tile, (heads, tile, margin + tile + margin), `MASKED` beyond the radius.

    Args:
        band_bias: (heads, 2 * radius + 1), of each offset from -radius to radius.
    """
    heads, width = band_bias.shape
    tile, margin = tiling.tile, tiling.margin
    radius, keys = width // 2, tile + 2 * margin
    around = tile - 1 + margin - radius
    table = jnp.pad(band_bias, ((0, 0), (around, around + 1)), constant_values=MASKED)
    # Read with rows one entry shorter than the table, each row begins one entry further back than the one above it.
    table = jnp.roll(table, 1 - tile, axis=1)
    rows = jnp.tile(table, (1, tile))[:, : tile * (table.shape[1] - 1)]
    return rows.reshape(heads, tile, -1)[..., :keys]


def _global_bias_tile(global_tokens: Globals, start: Array, queries: int) -> Array:
    """The globals' bias (batch, heads, queries, globals) for some queries from the position `start` on.

    Nearly all of them belong to the block in which they stand, the others to the text's last.
    """
    bias, size = global_tokens.bias, global_tokens.block_size
    count = bias.shape[1] // 2

    def row(block: Array) -> Array:
        return lax.dynamic_slice_in_dim(bias, count - 1 - block, count, axis=1)

    first = start // size
    blocks = jnp.minimum(first + jnp.arange(-(-queries // size) + 1), count - 1)
    of_blocks = jnp.repeat(jax.vmap(row, out_axes=1)(blocks), size, axis=1)
    of_own = lax.dynamic_slice_in_dim(of_blocks, start - first * size, queries, axis=1)
    of_last = jax.vmap(row)(global_tokens.ids.max(-1))[:, :, None]
    positions = start + jnp.arange(queries)
    is_own = jnp.take(global_tokens.ids, positions, axis=1, mode="clip") == positions // size
    return jnp.where(is_own[:, None, :, None], of_own[None], of_last)


class Window(NamedTuple):
    """What a tile of queries attends to, but for the globals."""

    key: Array
    """(batch, heads, keys, d_kv)"""
    value: Array
    """(batch, heads, keys, d_kv)"""
    is_text: Array
    """(batch, keys)"""


def over_tiles(
    states: Array,
    attention_mask: Array,
    tiling: Tiling,
    project: Callable[[Array], tuple[Array, Array]],
    run: Callable[[Array, Array, Window], tuple[Array, Array | None]],
) -> tuple[Array, Array | None]:
    """Runs a layer piece by piece and tile by tile; nothing as long as the text is kept for it but its input.

    Args:
        states: (batch, length, width).
        attention_mask: (batch, length), non-zero at text.
        project: from states (batch, tokens, width) to keys and values (batch, heads, tokens, d_kv).
        run: the layer, of a tile's first position, its states (batch, tile, width) and its window: new states of the
            same shape, and whatever else is wanted of each tile.
    Returns:
        the new states (batch, length, width), and what `run` returns beside them, stacked.
    """
    (batch, length, _), (tile, margin, tiles, pieces) = states.shape, tiling
    missing = pieces * tiling.piece - length
    own = _cut(jnp.pad(states, ((0, 0), (0, missing), (0, 0))), pieces)
    before = after = jnp.zeros((1, batch, margin, states.shape[2]), states.dtype)
    if pieces > 1:
        before = jnp.concatenate([before, own[:-1, :, tiling.piece - margin :]])
        after = jnp.concatenate([own[1:, :, :margin], after])
    is_text = jnp.pad(attention_mask != 0, ((0, 0), (margin, missing + margin)))

    # A piece has its keys and values computed at once, and again in the backward pass. Slices of keys and values of the
    # whole text would have gradients as long as the text, for every tile; in a piece that is little.
    @partial(jax.checkpoint, prevent_cse=False)  # a scan's body is not merged with its backward pass anyway
    def run_piece(first: Array, before: Array, own: Array, after: Array) -> tuple[Array, Array | None]:
        own = own.reshape(batch, tiling.piece, -1)
        keys, values = project(jnp.concatenate([before, own, after], axis=1))

        @partial(jax.checkpoint, prevent_cse=False)
        def run_tile(one: tuple[Array, Array]) -> tuple[Array, Array | None]:
            start, queries = one
            key, value = (
                lax.dynamic_slice_in_dim(x, start, tile + 2 * margin, axis=2) for x in (keys, values)
            )
            visible = lax.dynamic_slice_in_dim(is_text, first + start, tile + 2 * margin, axis=1)
            return run(first + start, queries, Window(key, value, visible))

        new, beside = lax.map(run_tile, (jnp.arange(tiles) * tile, _cut(own, tiles)))
        return _joined(new).reshape(batch * tiling.piece, -1), beside

    def step(new: Array, piece: tuple[Array, ...]) -> tuple[Array, Array | None]:
        index, *inputs = piece
        states, beside = run_piece(index * tiling.piece, *inputs)
        return lax.dynamic_update_index_in_dim(new, states, index, axis=0), beside

    # Written over a copy of the old states instead of stacked: the zeros of stacks XLA makes for all layers before the
    # first one runs. And without an axis for the batch, for which XLA makes copies even where it is 1.
    own = own.reshape(pieces, batch * tiling.piece, -1)
    new, beside = lax.scan(step, lax.stop_gradient(own), (jnp.arange(pieces), before, own, after))
    new = _joined(new.reshape(pieces, batch, tiling.piece, -1))[:, :length]
    return new, None if beside is None else beside.reshape(-1, *beside.shape[2:])


def _cut(x: Array, number: int) -> Array:
    """(batch, number * size, width) -> (number, batch, size, width)"""
    return x.reshape(x.shape[0], number, -1, x.shape[2]).swapaxes(0, 1)


def _joined(x: Array) -> Array:
    """(number, batch, size, width) -> (batch, number * size, width)"""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1, x.shape[3])


def attend_tile(
    start: Array,
    query: Array,
    window: Window,
    band_bias: Array,
    global_tokens: Globals | None,
    dropout: Dropout | None = None,
) -> tuple[Array, tuple[Array, ...]]:
    """Attends from the queries of a tile to its window and, if there are any, to the global tokens.

    Args:
        start: the tile's first position.
        query: (batch, heads, tile, d_kv).
        band_bias: (heads, tile, keys), see `band_bias_tile`.
    Returns:
        output (batch, heads, tile, d_kv) and weights, of the keys (batch, heads, tile, keys) and, if there are any, of
        the globals (batch, heads, tile, globals).
    """
    scores = _product(query, window.key) + band_bias
    parts = [(jnp.where(window.is_text[:, None, None], scores, MASKED), window.value)]
    if global_tokens is not None:
        bias = _global_bias_tile(global_tokens, start, query.shape[2])
        # Blocks of padding alone, which nothing may attend to.
        empty = jnp.arange(bias.shape[-1]) > global_tokens.ids.max(-1, keepdims=True)
        scores = _product(query, global_tokens.key) + bias
        parts.append((jnp.where(empty[:, None, None], MASKED, scores), global_tokens.value))
    # One softmax over both parts, without an array that holds them side by side; what is divided is its product.
    largest = lax.stop_gradient(reduce(jnp.maximum, (scores.max(-1, keepdims=True) for scores, _ in parts)))
    shares = [jnp.exp(scores - largest) for scores, _ in parts]
    total = reduce(jnp.add, (x.sum(-1, keepdims=True) for x in shares))
    if dropout is not None:
        shares = [dropout(x, 2 * start + part) for part, x in enumerate(shares)]
    weighted = [_weighted(x.astype(query.dtype), value) for x, (_, value) in zip(shares, parts)]
    output = reduce(jnp.add, weighted) / total
    return output.astype(query.dtype), tuple((x / total).astype(query.dtype) for x in shares)


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
