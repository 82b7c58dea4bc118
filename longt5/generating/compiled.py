"""One token of the decoder for every row on a CPU, in float32, by kernels that read each of its matrices once.

It reads the weights where they are, and has the texts' keys and values in the order in which they are read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn
from transformers.cache_utils import EncoderDecoderCache

from longt5.generating import kernels
from longt5.generating.kernels import ROWS, TILE
from longt5.generating.step import Step
from longt5.interruption import interruption_point

Product = Callable[[np.ndarray], np.ndarray]

_PROCESS = os.getpid()


def survives() -> bool:
    """Whether this is no fork of the process that imported Numba, whose threads end a process that is one."""
    return os.getpid() == _PROCESS


class CompiledStep(Step):
    """By the kernels of this project, for float32 on a CPU."""

    def _take(self, model: Any, cache: EncoderDecoderCache, encoder_mask: Tensor | None, rows: int) -> None:
        _share_threads()
        decoder = model.decoder
        own: list[Any] = cache.self_attention_cache.layers
        cross: list[Any] = cache.cross_attention_cache.layers
        self._rows = rows
        self._slots = np.repeat(_numbers(rows), self.written, axis=1)
        self._embed, self._norm = decoder.embed_tokens, _Norm(decoder.final_layer_norm)
        is_text = None if encoder_mask is None else (encoder_mask != 0).numpy()
        seen = None if is_text is None or is_text.all() else is_text
        self._layers = []
        # One layer after the other gives its keys and values up: of a long text two copies may be too large.
        for block in decoder.block:
            written, source = own.pop(0), cross.pop(0)
            past = _Past(written.keys, written.values)
            self._layers.append(_Layer(block, past, _Source(source.keys, source.values, seen, rows)))
            del written, source
        self._scale = np.float32(model.model_dim**-0.5 if model.config.scale_decoder_outputs else 1.0)
        self._head = _product([model.lm_head])

    def _reserve(self, bias: Tensor) -> None:
        length = bias.shape[1]
        more = np.repeat(_numbers(self._rows), length - self._slots.shape[1], axis=1)
        self._slots = np.concatenate([self._slots, more], axis=1)
        self._bias = np.ascontiguousarray(bias.detach().numpy())
        for layer in self._layers:
            layer.past.reserve(length)

    def reorder(self, rows: Tensor) -> None:
        self._slots[:, : self.written] = self._slots[rows.numpy(), : self.written]

    def _logits(self, tokens: Tensor) -> Tensor:
        _share_threads()
        states = _in_groups(self._embed(tokens[:, 0]).detach().numpy())
        for layer in self._layers:
            layer(states, self._slots, self._bias, self.written)
        return torch.from_numpy(self._head(self._norm(states) * self._scale)[: self._rows])


class _Layer:
    """A layer of the decoder, which changes (4 * groups, d_model) states in place."""

    def __init__(self, block: Any, past: _Past, source: _Source) -> None:
        own, cross, network = block.layer
        self.past, self._source = past, source
        self._norms = [_Norm(layer.layer_norm) for layer in block.layer]
        mine, its, dense = own.SelfAttention, cross.EncDecAttention, network.DenseReluDense
        self._qkv, self._o = _product([mine.q, mine.k, mine.v]), _product([mine.o])
        self._cross_q, self._cross_o = _product([its.q]), _product([its.o])
        self._is_gated = hasattr(dense, "wi_0")
        self._wi = _product([dense.wi_0, dense.wi_1] if self._is_gated else [dense.wi])
        self._act, self._wo = dense.act, _product([dense.wo])

    def __call__(self, states: np.ndarray, slots: np.ndarray, bias: np.ndarray, written: int) -> None:
        interruption_point()
        projected = self._qkv(self._norms[0](states))
        states += self._o(self.past.attended(projected, slots, bias, written))
        states += self._cross_o(self._source.attended(self._cross_q(self._norms[1](states))))
        inner = self._wi(self._norms[2](states))
        width = inner.shape[1] // 2 if self._is_gated else inner.shape[1]
        gate = self._act(torch.from_numpy(inner[:, :width])).detach().numpy()
        states += self._wo(gate * inner[:, width:] if self._is_gated else gate)


class _Norm:
    """An RMS normalisation of (4 * groups, d_model)."""

    def __init__(self, module: Any) -> None:
        self._gain, self._eps = _in_place(module.weight), np.float32(module.variance_epsilon)

    def __call__(self, states: np.ndarray) -> np.ndarray:
        out = np.empty_like(states)
        kernels.normalize(states, self._gain, self._eps, out)
        return out


def _product(layers: Sequence[Any]) -> Product:
    """What applies linear layers to the same (4 * groups, in) states, their results side by side."""
    if any(
        type(layer) is not nn.Linear or layer.bias is not None or layer.out_features < ROWS
        for layer in layers
    ):
        return lambda states: np.concatenate(
            [layer(torch.from_numpy(states)).detach().numpy() for layer in layers], axis=1
        )
    weights = [_in_place(layer.weight) for layer in layers]
    *starts, columns = accumulate((len(weight) for weight in weights), initial=0)

    def multiply(states: np.ndarray) -> np.ndarray:
        out = np.empty((len(states), columns), dtype=np.float32)
        for weight, start in zip(weights, starts, strict=True):
            kernels.multiply(states, weight, out[:, start : start + len(weight)])
        return out

    return multiply


class _Past:
    """What a layer's self-attention has of each token: keys and values of all rows side by side."""

    def __init__(self, key: Tensor, value: Tensor) -> None:
        """
        Args:
            key, value: `(rows, heads, written, d_kv)`.
        """
        # (heads, written, rows, d_kv)
        self._key, self._value = (x.detach().permute(1, 2, 0, 3).numpy() for x in (key, value))

    def reserve(self, length: int) -> None:
        """Makes room for `length` tokens in all."""
        self._key, self._value = (_with_room(x, length) for x in (self._key, self._value))

    def attended(
        self, projected: np.ndarray, slots: np.ndarray, bias: np.ndarray, written: int
    ) -> np.ndarray:
        """(4 * groups, 3 * heads * d_kv) queries, keys and values of a token -> `(4 * groups, heads * d_kv)`."""
        out = np.zeros((len(projected), projected.shape[1] // 3), dtype=np.float32)
        kernels.attend_to_past(projected, self._key, self._value, slots, bias, written, out)
        return out


class _Source:
    """The texts' keys and values of a layer, in tiles, without what nobody sees."""

    def __init__(self, key: Tensor, value: Tensor, seen: np.ndarray | None, rows: int) -> None:
        """
        Args:
            key, value: `(texts, heads, source length, d_kv)`.
            seen: `(texts or 1, source length)`; None where all is text.
            rows: of all texts, those of one beside each other.
        """
        self._beams = rows // len(key)
        self._texts = []
        for text in range(len(key)):
            of_text = key[text].detach().numpy(), value[text].detach().numpy()
            if seen is not None:
                of_text = _seen(*of_text, seen[text % len(seen)])
            self._texts.append(_TiledText(*of_text))

    def attended(self, query: np.ndarray) -> np.ndarray:
        """(4 * groups, heads * d_kv) -> the same, what each row gets of its text."""
        out = np.zeros_like(query)
        for number, text in enumerate(self._texts):
            rows = slice(number * self._beams, (number + 1) * self._beams)
            text.attend(query[rows], out[rows])
        return out


def _seen(key: np.ndarray, value: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those of (heads, source length, d_kv) keys and values that are seen."""
    if seen.any():
        return key[:, seen], value[:, seen]
    # A text in which nothing is seen: all scores are the lowest number, and so the same.
    return np.zeros_like(key), value


class _TiledText:
    """A text's keys and values of a layer."""

    def __init__(self, key: np.ndarray, value: np.ndarray) -> None:
        """
        Args:
            key, value: (heads, tokens, d_kv).
        """
        num_heads, self._tokens, d_kv = key.shape
        num_tiles = -(-self._tokens // TILE)
        self._keys = np.empty((num_heads, num_tiles, d_kv, TILE), dtype=np.float32)
        self._values = np.empty((num_heads, num_tiles, TILE, TILE), dtype=np.float32)
        kernels.tile_text(key, value, self._keys, self._values)

    def attend(self, query: np.ndarray, out: np.ndarray) -> None:
        """What (beams, heads * d_kv) queries get, put into the same of `out`."""
        beams = len(query)
        num_heads, num_tiles, d_kv, _ = self._keys.shape
        threads = numba.get_num_threads()
        # As many tasks for each thread, if there are as many tiles.
        parts = min(threads // math.gcd(num_heads, threads), num_tiles)
        groups = -(-beams // ROWS)
        by_head = np.zeros((num_heads, groups * ROWS, d_kv), dtype=np.float32)
        by_head[:, :beams] = query.reshape(beams, num_heads, d_kv).transpose(1, 0, 2)
        kernels.attend_to_source(
            by_head.reshape(num_heads, groups, ROWS, d_kv),
            self._keys,
            self._values,
            self._tokens,
            parts,
            np.empty((num_heads * parts, groups, ROWS, TILE), dtype=np.float32),
            np.empty((num_heads * parts, 2, groups, ROWS), dtype=np.float32),
            out.reshape(beams, num_heads, d_kv),
        )


def _share_threads() -> None:
    """Numba's threads in this one are as many as PyTorch's, which may be limited."""
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))


def _in_place(weight: Tensor) -> np.ndarray:
    """The numbers of a weight where they are, unless that is no place for a kernel to read them."""
    return np.require(weight.detach().numpy(), requirements=["C", "A"])


def _numbers(rows: int) -> np.ndarray:
    return np.arange(rows, dtype=np.int32)[:, None]


def _in_groups(states: np.ndarray) -> np.ndarray:
    """(rows, d_model) with rows of zeros after them up to whole groups."""
    return np.pad(states, ((0, -len(states) % ROWS), (0, 0)))


def _with_room(x: np.ndarray, length: int) -> np.ndarray:
    """(heads, written, rows, d_kv) at the beginning of (heads, length, rows, d_kv)."""
    larger = np.empty((x.shape[0], length, *x.shape[2:]), dtype=np.float32)
    larger[:, : x.shape[1]] = x
    return larger
