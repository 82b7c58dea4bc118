"""One token of the decoder for every row: the same computation as the modules', with as little around it as can be.

On a GPU the step is recorded as a CUDA graph, as its thousand kernels take less time than starting them does; on a CPU
`longt5.generating.compiled` has a faster one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.cache_utils import EncoderDecoderCache

from longt5.generating.graph import record
from longt5.generating.past import Ancestors, Past
from longt5.interruption import interruption_point
from longt5.layers import apply_linear, saturate

FIRST_CAPACITY = 256  # tokens; more are made room for as they come


class Step(ABC):
    """Goes on from where a cache stands, of which nothing is left: what the steps need they have in their own order."""

    def __init__(
        self, model: Any, cache: EncoderDecoderCache, encoder_mask: Tensor | None, rows: int, length: int
    ) -> None:
        """
        Args:
            model: a LongT5ForConditionalGeneration.
            cache: what the decoder has read and written up to now, of `rows` rows and as many texts or fewer.
            encoder_mask: `(texts or 1, source length)`, non-zero at text.
            length: the most tokens that the decoder will read, those it has read among them.
        """
        keys = cache.self_attention_cache.layers[0].keys
        self.written = keys.shape[2]
        """Tokens that every row has."""
        self._length, self._capacity, self._device = length, 0, keys.device
        self._attention = model.decoder.block[0].layer[0].SelfAttention
        self._take(model, cache, encoder_mask, rows)

    def __call__(self, tokens: Tensor) -> Tensor:
        """`(rows, 1)` tokens -> `(rows, 1, vocabulary)` logits of the ones after them."""
        if self.written >= self._capacity:
            self._make_room()
        interruption_point()
        logits = self._logits(tokens)
        self.written += 1
        return logits[:, None]

    def _make_room(self) -> None:
        wanted = min(self._length, max(FIRST_CAPACITY, 2 * self._capacity))
        # Attention on a GPU wants rows of a mask to be aligned.
        self._capacity = -(-max(wanted, self.written + 1) // 8) * 8
        distances = torch.arange(self._capacity, device=self._device)
        self._reserve(self._attention.bias_by_offset(self._attention.relative_attention_bias, -distances))

    @abstractmethod
    def _take(self, model: Any, cache: EncoderDecoderCache, encoder_mask: Tensor | None, rows: int) -> None:
        """Has what is in the cache, from which the text's layers are taken out one by one."""

    @abstractmethod
    def _reserve(self, bias: Tensor) -> None:
        """Makes room for as many tokens in all as there are columns.

        Args:
            bias: `(heads, length)`, of a key so many tokens before the query.
        """

    @abstractmethod
    def _logits(self, tokens: Tensor) -> Tensor:
        """`(rows, 1)` tokens -> `(rows, vocabulary)`, for which there is room."""

    @abstractmethod
    def reorder(self, rows: Tensor) -> None:
        """Row i goes on from what row `rows[i]` wrote; the next token is its own."""


class DecoderStep(Step):
    """By PyTorch, on any device and in any type."""

    def _take(self, model: Any, cache: EncoderDecoderCache, encoder_mask: Tensor | None, rows: int) -> None:
        decoder = model.decoder
        own: list[Any] = cache.self_attention_cache.layers
        cross: list[Any] = cache.cross_attention_cache.layers
        keys = own[0].keys
        beams = rows // cross[0].keys.shape[0]
        self._ancestors = Ancestors(rows, beams, self.written, keys.device)
        self._pasts = [Past(layer.keys, layer.values, beams) for layer in own]
        source_bias = _bias_of_padding(encoder_mask, keys.dtype)
        self._embed, self._norm = decoder.embed_tokens, decoder.final_layer_norm
        self._layers = []
        for block, past in zip(decoder.block, self._pasts, strict=True):
            source = cross.pop(0)
            # Head after head, as they are read at every token.
            key, value = source.keys.contiguous(), source.values.contiguous()
            del source
            self._layers.append(_Layer(block, past, partial(attend, key=key, value=value, bias=source_bias)))
        self._scale = model.model_dim**-0.5 if model.config.scale_decoder_outputs else None
        self._head = model.lm_head
        self._recorded: Callable[[Tensor], Tensor] | None = None

    def _reserve(self, bias: Tensor) -> None:
        self._ancestors.reserve(bias.to(self._pasts[0].key.dtype))
        for past in self._pasts:
            past.reserve(bias.shape[1])
        self._recorded = None

    def reorder(self, rows: Tensor) -> None:
        self._ancestors.reorder(rows)

    def _logits(self, tokens: Tensor) -> Tensor:
        if tokens.device.type != "cuda":
            return self._computed(tokens, length=self.written + 1)
        if self._recorded is None:
            self._recorded = record(partial(self._computed, length=self._capacity), tokens, self._ancestors)
        return self._recorded(tokens)

    def _computed(self, tokens: Tensor, length: int) -> Tensor:
        """`(rows, 1)` tokens -> `(rows, vocabulary)`; the first `length` places of the memory are looked at."""
        states = self._embed(tokens[:, 0])
        places, bias = self._ancestors.places(), self._ancestors.bias(length)
        for layer in self._layers:
            states = layer(states, places, bias)
        self._ancestors.advance()
        states = self._norm(states)
        if self._scale is not None:
            states = states * self._scale
        return saturate(apply_linear(self._head, states))


class _Layer:
    """A layer of the decoder, on `(rows, d_model)` states."""

    def __init__(self, block: Any, past: Past, to_source: Callable[[Tensor], Tensor]) -> None:
        own, cross, network = block.layer
        self._past, self._to_source = past, to_source
        self._own, self._cross, self._network = (
            own.SelfAttention,
            cross.EncDecAttention,
            network.DenseReluDense,
        )
        self._d_kv = self._own.key_value_proj_dim
        self._norms = [layer.layer_norm for layer in block.layer]

    def __call__(self, states: Tensor, places: Tensor, bias: Tensor) -> Tensor:
        interruption_point()
        normed, texts = self._norms[0](states), self._past.key.shape[0]
        query, key, value = (
            self._heads(apply_linear(projection, normed), texts)
            for projection in (self._own.q, self._own.k, self._own.v)
        )
        self._past.add(key, value, places)
        seen = bias.shape[-1]
        attended = attend(query, self._past.key[:, :, :seen], self._past.value[:, :, :seen], bias)
        states = saturate(states + saturate(apply_linear(self._own.o, attended)))
        query = self._heads(apply_linear(self._cross.q, self._norms[1](states)), texts)
        states = saturate(states + saturate(apply_linear(self._cross.o, self._to_source(query))))
        update = self._network(self._norms[2](states))
        return saturate((states + update).to(states.dtype))

    def _heads(self, x: Tensor, texts: int) -> Tensor:
        """(rows, heads * d_kv) -> `(texts, heads, beams, d_kv)`"""
        return saturate(x).view(texts, -1, x.shape[-1] // self._d_kv, self._d_kv).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Attention without scaling: (texts, heads, beams, d_kv) queries -> `(texts * beams, heads * d_kv)`."""
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
    return attended.transpose(1, 2).flatten(2).flatten(0, 1)


def _bias_of_padding(encoder_mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """`(texts or 1, 1, 1, source length)`; None where all is text, for which the fastest kernels are."""
    if encoder_mask is None or bool(encoder_mask.all()):
        return None
    barred = (encoder_mask == 0)[:, None, None]
    return torch.zeros_like(barred, dtype=dtype).masked_fill(barred, torch.finfo(dtype).min)
