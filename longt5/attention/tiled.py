"""The encoder's attention, one tile of queries at a time (Guo et al. 2022, section 3.1).

What is notable about it:
- A tile sees the keys within the radius of its own tokens and, in transient-global attention, the global keys. Its
  scores are the largest tensor that ever exists, so memory is linear in length, with gradients as without.
- Forward, a tile is one call of PyTorch's fused attention over [global keys, window keys]; the global keys are written
  once into the buffer that every tile reads. Backward, its weights are computed again and its gradients added in place
  to those of the whole text: the fused attention gives its mask no gradient, and T5 learns its biases.
- Nothing branches on the value of a tensor, so nothing waits for a GPU.

Scores are not scaled by sqrt(d): T5 folds the scale into its initialisation (Raffel et al. 2020).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from longt5.attention.reference import Globals, band_bias_tile, global_bias_rows
from longt5.interruption import interruption_point

# Queries in a tile. Smaller tiles waste less of the band (a tile of 512 computes 766 keys for the 255 that each query
# uses) but give matrix products too small to be fast; of 64 to 1,024 this was the fastest on a CPU at 16,384 tokens.
TILE = 512
# The same where weights are written to memory: backward, and with dropout.
GRADIENT_TILE = 256


def tiled_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band_bias: Tensor,
    global_tokens: Globals | None = None,
    attention_mask: Tensor | None = None,
    *,
    dropout: float = 0.0,
    tile: int = TILE,
) -> Tensor:
    """See `longt5.attention.dispatch.encoder_attention`. `tile`: most queries computed at once."""
    # Drawn from PyTorch's own generator: its seed decides, and a layer that is checkpointed draws the same again.
    # Drawn on the CPU and read as a NumPy number: nothing waits for a GPU.
    seed = int(torch.randint(2**62, (), device="cpu").numpy()) if dropout > 0 else 0
    return _TiledAttention.apply(
        query, key, value, band_bias, attention_mask, tile, dropout, seed, *(global_tokens or ())
    )


class _Tile(NamedTuple):
    """Some consecutive queries and all that they can attend to."""

    queries: slice
    keys: slice  # of the text, those in reach of the queries
    bias: Tensor  # (batch or 1, heads, queries, globals + keys), added to the scores; the next tile overwrites it


class _Attended:
    """What the tiles of one layer attend to."""

    def __init__(
        self,
        key: Tensor,
        value: Tensor,
        band_bias: Tensor,
        global_tokens: Globals | None,
        attention_mask: Tensor | None,
        tile: int,
        dtype: torch.dtype,
    ) -> None:
        """See `encoder_attention`; `dtype` is that of the scores."""
        self.key, self.value, self.band_bias = key, value, band_bias
        self.global_tokens, self.attention_mask = global_tokens, attention_mask
        batch, self.length, self.heads, d_kv = key.shape
        self.tile = min(tile, self.length)
        self.radius = band_bias.shape[-1] // 2
        self.num_globals = 0 if global_tokens is None else global_tokens.key.shape[1]
        window = min(self.tile + 2 * self.radius, self.length)
        self.keys = key.new_empty(batch, self.heads, self.num_globals + window, d_kv, dtype=dtype)
        self.values = torch.empty_like(self.keys)
        if global_tokens is not None:
            self.keys[:, :, : self.num_globals] = global_tokens.key.transpose(1, 2)
            self.values[:, :, : self.num_globals] = global_tokens.value.transpose(1, 2)

    def tiles(self) -> Iterator[_Tile]:
        """The tiles, one after the other; `keys` and `values` then hold what the tile attends to."""
        mask, num_globals, global_tokens = self.attention_mask, self.num_globals, self.global_tokens
        masked = torch.finfo(self.keys.dtype).min
        varies = mask is not None or (global_tokens is not None and global_tokens.ids.shape[0] > 1)
        rows = self.key.shape[0] if varies else 1
        bias = self.keys.new_empty(rows, self.heads, self.tile, self.keys.shape[2])
        band_bias = self.band_bias.to(bias.dtype)
        empty = None
        if global_tokens is not None:
            global_bias = global_tokens.bias.to(bias.dtype)
            empty = None if mask is None else global_tokens.is_empty_block()

        left_of_bias = None
        for start in range(0, self.length, self.tile):
            interruption_point()
            end = min(start + self.tile, self.length)
            first, last = max(start - self.radius, 0), min(end + self.radius, self.length)
            used = num_globals + last - first
            self.keys[:, :, num_globals:used] = self.key[:, first:last].transpose(1, 2)
            self.values[:, :, num_globals:used] = self.value[:, first:last].transpose(1, 2)
            # The band's bias moves against the window only where the text begins; elsewhere it stands from before.
            if left_of_bias != start - first or mask is not None:
                left_of_bias = start - first
                band = band_bias_tile(band_bias, self.tile, last - first, left_of_bias, masked)
                if mask is not None:
                    band = band.masked_fill(mask[:, None, None, first:last] == 0, masked)
                bias[..., num_globals:used] = band
            if global_tokens is not None:
                of_globals = global_bias_rows(global_bias, global_tokens.ids[:, start:end])
                if empty is not None:
                    of_globals = of_globals.masked_fill(empty, masked)
                bias[:, :, : end - start, :num_globals] = of_globals
            yield _Tile(slice(start, end), slice(first, last), bias[:, :, : end - start, :used])

    def weights(self, query: Tensor, tile: _Tile) -> Tensor:
        """(batch, heads, queries, globals + keys): the weights of a tile; `query` is (batch, heads, queries, d_kv)."""
        scores = torch.matmul(query, self.keys[:, :, : tile.bias.shape[-1]].transpose(2, 3))
        return scores.add_(tile.bias).softmax(-1)


class _Dropout:
    """Scales of the weights, tile by tile: 0 where dropout falls, elsewhere what makes up for it. Repeatable."""

    def __init__(self, probability: float, seed: int, device: torch.device) -> None:
        self.kept = 1.0 - probability
        self.generator = None if device.type == "meta" else torch.Generator(device).manual_seed(seed)

    def next(self, weights: Tensor) -> Tensor:
        return torch.empty_like(weights).bernoulli_(self.kept, generator=self.generator).div_(self.kept)


class _TiledAttention(torch.autograd.Function):
    """`encoder_attention`, its arguments side by side as autograd wants them."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        band_bias: Tensor,
        attention_mask: Tensor | None,
        tile: int,
        dropout: float,
        seed: int,
        *global_tokens: Any,
    ) -> Tensor:
        attended_globals = Globals(*global_tokens) if global_tokens else None
        if dropout == 0.0:
            attended = _Attended(
                key, value, band_bias, attended_globals, attention_mask, tile, dtype=query.dtype
            )
            output = _fused(query, attended)
        else:
            attended = _Attended(
                key,
                value,
                band_bias,
                attended_globals,
                attention_mask,
                min(tile, GRADIENT_TILE),
                dtype=_exact(query.dtype),
            )
            output = _dropped_out(query, attended, _Dropout(dropout, seed, query.device))
        ctx.save_for_backward(query, key, value, band_bias, attention_mask, output, *global_tokens[:4])
        ctx.settings = tile, dropout, seed, global_tokens[4:]
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, band_bias, attention_mask, output, *global_tokens = ctx.saved_tensors
        tile, dropout, seed, block_size = ctx.settings
        attended = _Attended(
            key,
            value,
            band_bias,
            Globals(*global_tokens, *block_size) if global_tokens else None,
            attention_mask,
            min(tile, GRADIENT_TILE),
            dtype=_exact(query.dtype),
        )
        gradients = _Gradients(attended, query)
        scales = _Dropout(dropout, seed, query.device) if dropout > 0 else None
        with _without_autocast(query.device):
            for one in attended.tiles():
                gradients.add(one, query, output, gradient, scales)
        of_globals: tuple[Tensor | None, ...] = ()
        if global_tokens:
            of_globals = (
                gradients.global_key.transpose(1, 2).to(key.dtype),
                gradients.global_value.transpose(1, 2).to(value.dtype),
                gradients.global_bias().to(global_tokens[2].dtype),
                None,
                None,
            )
        return (
            gradients.query,
            gradients.key.to(key.dtype),
            gradients.value.to(value.dtype),
            gradients.band_bias.to(band_bias.dtype),
            None,
            None,
            None,
            None,
            *of_globals,
        )


def _without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Lets operations run in the dtypes that they are given. The meta device knows neither this nor random numbers."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _exact(dtype: torch.dtype) -> torch.dtype:
    """The dtype of weights that are written to memory: at least float32."""
    return torch.promote_types(dtype, torch.float32)


def _fused(query: Tensor, attended: _Attended) -> Tensor:
    """The output without dropout, (batch, length, heads, d_kv)."""
    output = torch.empty_like(query)
    for tile in attended.tiles():
        used = tile.bias.shape[-1]
        output[:, tile.queries] = F.scaled_dot_product_attention(
            query[:, tile.queries].transpose(1, 2),
            attended.keys[:, :, :used],
            attended.values[:, :, :used],
            attn_mask=tile.bias.expand(len(query), -1, -1, -1),
            scale=1.0,
        ).transpose(1, 2)
    return output


def _dropped_out(query: Tensor, attended: _Attended, scales: _Dropout) -> Tensor:
    """The output with dropout, (batch, length, heads, d_kv)."""
    output = torch.empty_like(query)
    with _without_autocast(query.device):
        for tile in attended.tiles():
            weights = attended.weights(query[:, tile.queries].transpose(1, 2).to(attended.keys.dtype), tile)
            weights.mul_(scales.next(weights))
            values = attended.values[:, :, : tile.bias.shape[-1]]
            output[:, tile.queries] = torch.matmul(weights, values).transpose(1, 2)
    return output


class _Gradients:
    """The gradients of one layer's attention, to which tiles are added."""

    def __init__(self, attended: _Attended, query: Tensor) -> None:
        self.attended = attended
        batch, _, heads, d_kv = attended.key.shape
        new = attended.keys.new_zeros
        self.query = torch.empty_like(query)
        self.key, self.value = new(attended.key.shape), new(attended.key.shape)
        self.band_bias = new(attended.band_bias.shape)
        count = attended.num_globals
        self.global_key, self.global_value = new(batch, heads, count, d_kv), new(batch, heads, count, d_kv)
        # Queries of the same block share a row of the bias; row r has the differences from 1 - count + r on.
        self._global_rows = new(count + 1, heads, count)

    def add(
        self, tile: _Tile, query: Tensor, output: Tensor, gradient: Tensor, scales: _Dropout | None
    ) -> None:
        """Adds what goes through one tile, given the gradient of the whole output (batch, length, heads, d_kv)."""
        attended, count = self.attended, self.attended.num_globals
        used = tile.bias.shape[-1]
        keys, values = attended.keys[:, :, :used], attended.values[:, :, :used]
        of_output = gradient[:, tile.queries].transpose(1, 2).to(keys.dtype)
        queries = query[:, tile.queries].transpose(1, 2).to(keys.dtype)
        # The mean gradient of each query's weights, by the weights: what softmax takes off each of them.
        taken_off = (of_output * output[:, tile.queries].transpose(1, 2)).sum(-1, keepdim=True)
        weights = attended.weights(queries, tile)
        of_weights = torch.matmul(of_output, values.transpose(2, 3))
        if scales is None:
            of_values = torch.matmul(weights.transpose(2, 3), of_output)
        else:
            scale = scales.next(weights)
            of_weights.mul_(scale)
            of_values = torch.matmul(scale.mul_(weights).transpose(2, 3), of_output)
        of_scores = of_weights.sub_(taken_off).mul_(weights)
        of_keys = torch.matmul(of_scores.transpose(2, 3), queries)
        self.query[:, tile.queries] = torch.matmul(of_scores, keys).transpose(1, 2)
        self.key[:, tile.keys] += of_keys[:, :, count:].transpose(1, 2)
        self.value[:, tile.keys] += of_values[:, :, count:].transpose(1, 2)
        self.band_bias += self._band_sums(tile, of_scores[..., count:].sum(0))
        if attended.global_tokens is not None:
            self.global_key += of_keys[:, :, :count]
            self.global_value += of_values[:, :, :count]
            ids = attended.global_tokens.ids[:, tile.queries].expand(len(query), -1)
            rows = (
                of_scores[..., :count].permute(0, 2, 1, 3).flatten(0, 1)
            )  # (batch * queries, heads, globals)
            self._global_rows.index_add_(0, (count - 1 - ids).flatten(), rows)

    def _band_sums(self, tile: _Tile, of_scores: Tensor) -> Tensor:
        """(heads, 2 * radius + 1): the sums of (heads, queries, keys) over all pairs of the same offset."""
        radius = self.attended.radius
        queries = tile.queries.stop - tile.queries.start
        width = queries + 2 * radius
        # As if all keys in reach were there. A step of one row and one column then stays on its offset.
        padded = of_scores.new_zeros(len(of_scores), queries, width)
        first = tile.keys.start - (tile.queries.start - radius)
        padded[..., first : first + of_scores.shape[-1]] = of_scores
        by_offset = padded.as_strided(
            (len(of_scores), queries, 2 * radius + 1), (queries * width, width + 1, 1)
        )
        return by_offset.sum(1)

    def global_bias(self) -> Tensor:
        """(heads, 2 * globals): the sums of the rows over all entries of the same difference."""
        rows, heads, count = self._global_rows.shape
        # Each row moved one column further than the one before.
        moved = self._global_rows.new_zeros(heads, rows * (2 * count + 1))
        moved.as_strided((heads, rows, count), (moved.shape[1], 2 * count + 1, 1)).copy_(
            self._global_rows.transpose(0, 1)
        )
        return moved[:, : rows * 2 * count].view(heads, rows, 2 * count).sum(1)
