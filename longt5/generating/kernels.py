"""What a token of the decoder costs on a CPU, compiled by Numba: products and attention for a few rows at a time.

With the four rows of four beams a product is as fast as its matrix is read, and libraries made for many rows read it at
half of what the memory gives, or a third. Here four rows share what is read, once and in the order in which it lies: of
a linear layer as it is, of a text's keys and values in tiles of 64. Everything is float32.

Importing this module imports Numba and compiles, ten seconds the first time; what was compiled is kept beside this
file, or in the user's cache, and read from there by the next process.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

ROWS = 4
TILE = 64  # columns; keys of one tile of the source

_F = np.float32
_LINE = 16  # numbers of a processor's cache line
_AT_ONCE = 128  # numbers of a row that are fetched, and multiplied, before the next ones
# Numbers from what is computed with to what is fetched: 8 KB, used up in the time in which memory answers.
_AHEAD = 32 * TILE
_TILES_AT_ONCE = 4  # of the source: their scores and a tile are in the fastest cache
_LOWEST = _F(-1e30)  # below any score; an infinity may not be where sums change places
_LOG2_E = _F(np.log2(np.e))
_LEAST_POWER = _F(-126.0)  # of 2, the least that is a normal number


def _has_safe_threads() -> bool:
    """Whether Numba has threads that several callers may use at once: its own last resort ends the process then."""
    for layer in ("tbbpool", "omppool"):
        try:
            importlib.import_module(f"numba.np.ufunc.{layer}")
        except ImportError:
            continue
        return True
    return False


def _compiled(signature: str | None = None, *, parallel: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """`njit`: sums in any order, no exceptions from arithmetic, and the interpreter is free meanwhile.

    Args:
        signature: what it is compiled for at once, else what it is called with, when it is.
    """
    options = {
        "fastmath": True,
        "error_model": "numpy",
        "nogil": True,
        "parallel": parallel and _SAFE_THREADS,
    }

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return njit(signature, cache=True, **options)(function)
        except RuntimeError:  # there is nowhere to keep it
            return njit(signature, **options)(function)

    return decorate


_SAFE_THREADS = _has_safe_threads()


@intrinsic
def _fetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Has the line of memory at `array.ravel()[index]` brought into the second cache, even from behind its end.

    A processor looks ahead by itself too, but not far enough for the speed at which products use memory up.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [address, number(0), number(2), number(1)])  # to read, second cache, data
        return context.get_dummy_value()

    return types.void(array, index), generate


@_compiled("void(f4[:,:,:], f4[:,:,:], f4[:,:,:,::1], f4[:,:,:,::1])", parallel=True)
def tile_text(key: np.ndarray, value: np.ndarray, keys: np.ndarray, values: np.ndarray) -> None:
    """Copies the (heads, tokens, d_kv) keys and values of a text as `attend_to_source` has them, zeros behind."""
    num_heads, num_tiles, d_kv, _ = keys.shape
    tokens = key.shape[1]
    for tile in prange(num_tiles):
        first = tile * TILE
        count = min(TILE, tokens - first)
        for head in range(num_heads):  # as layers compute them, a token's heads lie beside each other
            of_text, of_tile = key[head, first : first + count], keys[head, tile]
            for i in range(d_kv):
                for j in range(count):
                    of_tile[i, j] = of_text[j, i]
            of_tile[:, count:] = 0
            values[head, tile, :count, :d_kv] = value[head, first : first + count]
            values[head, tile, count:] = 0
            values[head, tile, :, d_kv:] = 0


@_compiled()
def _add_product(rows: np.ndarray, tile: np.ndarray, out: np.ndarray) -> None:
    """(4, n) @ (n, 64) added to (4, 64), n a multiple of 4. What stands behind the tile is expected to come next."""
    out0, out1, out2, out3 = out[0], out[1], out[2], out[3]
    for i in range(0, tile.shape[0], 4):
        t0, t1, t2, t3 = tile[i], tile[i + 1], tile[i + 2], tile[i + 3]
        a0, a1, a2, a3 = rows[0, i], rows[0, i + 1], rows[0, i + 2], rows[0, i + 3]
        b0, b1, b2, b3 = rows[1, i], rows[1, i + 1], rows[1, i + 2], rows[1, i + 3]
        c0, c1, c2, c3 = rows[2, i], rows[2, i + 1], rows[2, i + 2], rows[2, i + 3]
        d0, d1, d2, d3 = rows[3, i], rows[3, i + 1], rows[3, i + 2], rows[3, i + 3]
        for line in range(0, 4 * TILE, _LINE):
            _fetch(tile, i * TILE + _AHEAD + line)
        for j in range(TILE):
            v0, v1, v2, v3 = t0[j], t1[j], t2[j], t3[j]
            out0[j] += a0 * v0 + a1 * v1 + a2 * v2 + a3 * v3
            out1[j] += b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3
            out2[j] += c0 * v0 + c1 * v1 + c2 * v2 + c3 * v3
            out3[j] += d0 * v0 + d1 * v1 + d2 * v2 + d3 * v3


@_compiled()
def _exponentiate(scores: np.ndarray, most: np.float32, bits: np.ndarray) -> np.float32:
    """Puts exp(score - most) in the place of each of (n,) scores, none above `most`, and returns their sum.

    exp(x) is 2 to the integer next to x / ln 2, put together from its bits, times a polynomial in the rest: one that
    processors compute for many numbers at once, as they do not with `np.exp`. It is off by 1 + |x| ten-millionths.

    Args:
        bits: (n,) of int32, which are written over.
    """
    powers = bits.view(_F)
    for i in range(len(scores)):
        x = max((scores[i] - most) * _LOG2_E, _LEAST_POWER)
        whole = np.floor(x + _F(0.5))
        rest = x - whole
        # (ln 2)^k / k!, from k = 6
        series = _F(1.5403530e-4)
        series = series * rest + _F(1.3333558e-3)
        series = series * rest + _F(9.6181291e-3)
        series = series * rest + _F(5.5504109e-2)
        series = series * rest + _F(2.4022651e-1)
        series = series * rest + _F(6.9314718e-1)
        scores[i] = series * rest + _F(1.0)
        bits[i] = np.int32(np.int32(np.int32(whole) + np.int32(127)) << np.int32(23))
    total = _F(0.0)
    for i in range(len(scores)):
        scores[i] *= powers[i]
        total += scores[i]
    return total


@_compiled("void(f4[:,::1], f4[::1], f4, f4[:,::1])")
def normalize(states: np.ndarray, gain: np.ndarray, eps: np.float32, out: np.ndarray) -> None:
    """RMS normalisation of (rows, d_model)."""
    width = states.shape[1]
    for row in range(states.shape[0]):
        total = _F(0.0)
        for i in range(width):
            total += states[row, i] * states[row, i]
        factor = _F(1.0) / np.sqrt(total / _F(width) + eps)
        for i in range(width):
            out[row, i] = states[row, i] * factor * gain[i]


@_compiled()
def _multiply_four(rows: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """(4, in) rows times four rows of a matrix, put into (4, 4). What stands behind them is expected to come next."""
    inner = weights.shape[1]
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = _F(0.0)
    for first in range(0, inner, _AT_ONCE):
        last = min(first + _AT_ONCE, inner)
        for i in range(ROWS):
            for line in range(first, last, _LINE):
                _fetch(weights, (ROWS + i) * inner + line)
        # Slices, as an index that may be negative keeps a loop from being computed for many numbers at once.
        w0, w1, w2, w3 = (
            weights[0, first:last],
            weights[1, first:last],
            weights[2, first:last],
            weights[3, first:last],
        )
        r0, r1, r2, r3 = rows[0, first:last], rows[1, first:last], rows[2, first:last], rows[3, first:last]
        e0 = e1 = e2 = e3 = f0 = f1 = f2 = f3 = g0 = g1 = g2 = g3 = h0 = h1 = h2 = h3 = _F(0.0)
        for i in range(len(w0)):
            v0, v1, v2, v3 = w0[i], w1[i], w2[i], w3[i]
            x0, x1, x2, x3 = r0[i], r1[i], r2[i], r3[i]
            e0, e1, e2, e3 = e0 + x0 * v0, e1 + x0 * v1, e2 + x0 * v2, e3 + x0 * v3
            f0, f1, f2, f3 = f0 + x1 * v0, f1 + x1 * v1, f2 + x1 * v2, f3 + x1 * v3
            g0, g1, g2, g3 = g0 + x2 * v0, g1 + x2 * v1, g2 + x2 * v2, g3 + x2 * v3
            h0, h1, h2, h3 = h0 + x3 * v0, h1 + x3 * v1, h2 + x3 * v2, h3 + x3 * v3
        a0, a1, a2, a3 = a0 + e0, a1 + e1, a2 + e2, a3 + e3
        b0, b1, b2, b3 = b0 + f0, b1 + f1, b2 + f2, b3 + f3
        c0, c1, c2, c3 = c0 + g0, c1 + g1, c2 + g2, c3 + g3
        d0, d1, d2, d3 = d0 + h0, d1 + h1, d2 + h2, d3 + h3
    out[0, 0], out[0, 1], out[0, 2], out[0, 3] = a0, a1, a2, a3
    out[1, 0], out[1, 1], out[1, 2], out[1, 3] = b0, b1, b2, b3
    out[2, 0], out[2, 1], out[2, 2], out[2, 3] = c0, c1, c2, c3
    out[3, 0], out[3, 1], out[3, 2], out[3, 3] = d0, d1, d2, d3


@_compiled("void(f4[:,::1], f4[:,::1], f4[:,:])", parallel=True)
def multiply(rows: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """
    Args:
        rows: (4 * groups, in).
        weights: (out, in) as a linear layer has them, 4 or more.
        out: (4 * groups, out), written over.
    """
    columns = weights.shape[0]
    for block in prange((columns + 3) // 4):
        first = min(4 * block, columns - 4)  # the last block may do again what another does
        for group in range(0, rows.shape[0], ROWS):
            _multiply_four(
                rows[group : group + ROWS],
                weights[first : first + 4],
                out[group : group + ROWS, first : first + 4],
            )


@_compiled()
def _attend_to_tiles(
    query: np.ndarray, keys: np.ndarray, values: np.ndarray, seen: int, out: np.ndarray, books: np.ndarray
) -> None:
    """Attention of a head's queries to some of a text, its weights not yet divided by their sum.

    Scores are scaled by the highest up to then (Milakov and Gimelshein 2018).

    Args:
        query: (groups, 4, d_kv).
        keys: (tiles, d_kv, 64).
        values: (tiles, 64, 64).
        seen: keys that are any, the first ones; at least one.
        out: (groups, 4, 64), written over.
        books: (2, groups, 4), written over: the highest score, and the sum of the weights.
    """
    scores = np.empty((_TILES_AT_ONCE, ROWS, TILE), _F)
    bits = np.empty(TILE, np.int32)
    out[:] = 0
    books[0], books[1] = _LOWEST, 0
    for first in range(0, len(keys), _TILES_AT_ONCE):
        count = min(_TILES_AT_ONCE, len(keys) - first)
        for group in range(len(query)):
            scores[:] = 0
            for tile in range(count):
                _add_product(query[group], keys[first + tile], scores[tile])
            for i in range(seen - first * TILE, count * TILE):
                scores[i // TILE, :, i % TILE] = _LOWEST
            for row in range(ROWS):
                before = most = books[0, group, row]
                for tile in range(count):
                    of_row = scores[tile, row]
                    for i in range(TILE):
                        most = max(most, of_row[i])
                if most > before:
                    factor = np.exp(before - most)
                    books[0, group, row] = most
                    books[1, group, row] *= factor
                    for i in range(TILE):
                        out[group, row, i] *= factor
                for tile in range(count):
                    books[1, group, row] += _exponentiate(scores[tile, row], most, bits)
            for tile in range(count):
                _add_product(scores[tile], values[first + tile], out[group])


@_compiled()
def _put_together(parts: int, outs: np.ndarray, books: np.ndarray, out: np.ndarray) -> None:
    num_rows, num_heads, d_kv = out.shape
    for row in range(num_rows):
        group, place = row // ROWS, row % ROWS
        for head in range(num_heads):
            most = _LOWEST
            for task in range(head * parts, head * parts + parts):
                most = max(most, books[task, 0, group, place])
            total = _F(0.0)
            out[row, head] = 0
            for task in range(head * parts, head * parts + parts):
                factor = np.exp(books[task, 0, group, place] - most)
                total += factor * books[task, 1, group, place]
                for i in range(d_kv):
                    out[row, head, i] += factor * outs[task, group, place, i]
            for i in range(d_kv):
                out[row, head, i] /= total


@_compiled(
    "void(f4[:,:,:,::1], f4[:,:,:,::1], f4[:,:,:,::1], i8, i8, f4[:,:,:,::1], f4[:,:,:,::1], f4[:,:,::1])",
    parallel=True,
)
def attend_to_source(
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    seen: int,
    parts: int,
    outs: np.ndarray,
    books: np.ndarray,
    out: np.ndarray,
) -> None:
    """Attention without scaling, of some beams to their text.

    Args:
        query: (heads, groups, 4, d_kv), d_kv a multiple of 4 and at most 64.
        keys: (heads, tiles, d_kv, 64).
        values: (heads, tiles, 64, 64), columns from d_kv on without meaning. Both are of `tile_text`.
        seen: keys that are any, the first ones; at least one.
        parts: into how many the text is cut, for as many threads to share a head.
        outs, books: (heads * parts, groups, 4, 64) and (heads * parts, 2, groups, 4), written over.
        out: (rows, heads, d_kv), where groups hold `rows` rows.
    """
    num_heads, num_tiles = keys.shape[:2]
    each = -(-num_tiles // parts)
    for task in prange(num_heads * parts):
        head, first = task // parts, task % parts * each
        last = min(first + each, num_tiles)
        _attend_to_tiles(
            query[head],
            keys[head, first:last],
            values[head, first:last],
            seen - first * TILE,
            outs[task],
            books[task],
        )
    _put_together(parts, outs, books, out)


@_compiled()
def _attend_to_written(
    query: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    slots: np.ndarray,
    bias: np.ndarray,
    out: np.ndarray,
) -> None:
    """(d_kv,) attends to what stands in `slots` (length,) of (length, rows, d_kv), with (length,) of bias."""
    length, d_kv = len(slots), len(query)
    scores, bits = np.empty(length, _F), np.empty(length, np.int32)
    most = _LOWEST
    for token in range(length):
        key = keys[token, slots[token]]
        score = _F(0.0)
        for i in range(d_kv):
            score += query[i] * key[i]
        scores[token] = score + bias[length - 1 - token]
        most = max(most, scores[token])
    total = _exponentiate(scores, most, bits)
    out[:] = 0
    for token in range(length):
        value, weight = values[token, slots[token]], scores[token] / total
        for i in range(d_kv):
            out[i] += weight * value[i]


@_compiled(
    "void(f4[:,::1], f4[:,:,:,::1], f4[:,:,:,::1], i4[:,::1], f4[:,::1], i8, f4[:,::1])", parallel=True
)
def attend_to_past(
    projected: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    slots: np.ndarray,
    bias: np.ndarray,
    written: int,
    out: np.ndarray,
) -> None:
    """Adds a token of every row to what is written, and attends to it and to what each row has before it.

    Args:
        projected: (rows or more, 3 * heads * d_kv), queries, keys and values of the token.
        keys, values: (heads, capacity, rows, d_kv); of each token before, those of all rows.
        slots: (rows, capacity), by which row each token that a row has before it was written.
        bias: (heads, capacity), by how many tokens before the query a key stands.
        written: tokens that stand there.
        out: (rows or more, heads * d_kv).
    """
    num_heads, _, num_rows, d_kv = keys.shape
    inner = num_heads * d_kv
    for head in prange(num_heads):
        at = head * d_kv
        for row in range(num_rows):
            for i in range(d_kv):
                keys[head, written, row, i] = projected[row, inner + at + i]
                values[head, written, row, i] = projected[row, 2 * inner + at + i]
        for row in range(num_rows):
            _attend_to_written(
                projected[row, at : at + d_kv],
                keys[head],
                values[head],
                slots[row, : written + 1],
                bias[head],
                out[row, at : at + d_kv],
            )
