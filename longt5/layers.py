"""LongT5's modules, from the norm to one layer of a stack.

They bear transformers' names, because those are the names in every checkpoint. What the encoder computes is in
`longt5.attention.reference`; here it meets its weights.

In float16 every projection saturates at the largest finite value instead of overflowing to infinity (the T5 family
does overflow: transformers #9295, #17978), without asking the device whether it did.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_layers import GradientCheckpointingLayer

from longt5.attention.dispatch import encoder_attention, faster_on_cpu, linear
from longt5.attention.reference import (
    Globals,
    block_ids,
    block_sums,
    blocked_attention,
    dense_attention,
    relative_position_bucket,
    text_block_ids,
    text_block_sums,
)
from longt5.configuration import LongT5Config
from longt5.hooks import is_altered
from longt5.interruption import interruption_point
from longt5.memory import add, in_pieces, is_cut


def saturate(x: Tensor) -> Tensor:
    """Brings float16 infinities back to the largest finite value. Other types have the range to do without."""
    if x.dtype != torch.float16:
        return x
    limit = torch.finfo(torch.float16).max
    return x.clamp(-limit, limit)


def as_autocast(states: Tensor) -> Tensor:
    """In autocast's dtype where it is on, for several products of the same states: each would cast them anew."""
    return states.to(torch.get_autocast_dtype(states.device.type)) if _is_autocast(states) else states


def _is_autocast(states: Tensor) -> bool:
    kind = states.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def activation(name: str) -> nn.Module:
    """transformers' activation of that name; T5 v1.1's GELU as one operation, where transformers has eight."""
    return nn.GELU(approximate="tanh") if name == "gelu_new" else ACT2FN[name]


def apply_linear(projection: nn.Module, states: Tensor) -> Tensor:
    """(..., in) -> (..., out), in the weight's dtype (in a float16 model `wo` is float32), or in autocast's.

    The layers are nn.Linear itself, and are called as such, so that all that others do to one holds: quantization,
    adapters, hooks, a bias, a module in its place. The faster product goes round only a layer that nothing was done to.
    """
    weight = getattr(projection, "weight", None)
    if not isinstance(weight, Tensor):  # a module that wraps or replaces the layer
        return projection(states)
    if weight.is_floating_point() and weight.dtype != states.dtype and not _is_autocast(states):
        states = states.to(weight.dtype)
    if type(projection) is nn.Linear and faster_on_cpu(states, weight) and not is_altered(projection):
        return linear(states, weight, projection.bias)
    return projection(states)


class LongT5LayerNorm(nn.Module):
    """RMS normalisation: no mean, no bias, computed in float32 (Zhang and Sennrich 2019)."""

    def __init__(self, hidden_size: int, eps: float = 1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states: Tensor) -> Tensor:
        """`(batch, length, d_model)`, in any dtype -> the same in the weight's"""
        return in_pieces(self._normed, hidden_states, hidden_states.shape[-1], self.weight.dtype)

    def _normed(self, hidden_states: Tensor) -> Tensor:
        weight, shape, eps = self.weight, self.weight.shape, self.variance_epsilon
        if weight.dtype == torch.float32:
            return F.rms_norm(hidden_states.float(), shape, weight, eps)
        return weight * F.rms_norm(hidden_states.float(), shape, eps=eps).to(weight.dtype)


class LongT5DenseActDense(nn.Module):
    """T5's feed-forward network: wo(act(wi(x)))."""

    def __init__(self, config: LongT5Config):
        super().__init__()
        self.wi = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.act = activation(config.dense_act_fn)

    def forward(self, hidden_states: Tensor) -> Tensor:
        hidden_states = self.dropout(saturate(self.act(saturate(apply_linear(self.wi, hidden_states)))))
        return apply_linear(self.wo, hidden_states)


class LongT5DenseGatedActDense(nn.Module):
    """T5 v1.1's gated feed-forward network: wo(act(wi_0(x)) * wi_1(x)) (Shazeer 2020)."""

    def __init__(self, config: LongT5Config):
        super().__init__()
        self.wi_0 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wi_1 = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.act = activation(config.dense_act_fn)

    def forward(self, hidden_states: Tensor) -> Tensor:
        hidden_states = as_autocast(hidden_states)
        gate = self.act(saturate(apply_linear(self.wi_0, hidden_states)))
        hidden_states = self.dropout(saturate(gate * saturate(apply_linear(self.wi_1, hidden_states))))
        return apply_linear(self.wo, hidden_states)


class LongT5LayerFF(nn.Module):
    """Norm, feed-forward network, residual."""

    def __init__(self, config: LongT5Config):
        super().__init__()
        network = LongT5DenseGatedActDense if config.is_gated_act else LongT5DenseActDense
        self.DenseReluDense = network(config)
        self.layer_norm = LongT5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: Tensor) -> Tensor:
        """`(batch, length, d_model)` -> the same"""
        interruption_point()
        if is_cut(hidden_states) and any(
            is_altered(module) for module in self.modules() if module is not self
        ):
            # Hooks are to see all of it, and accelerate's would fetch the weights for each piece.
            return self._updated(hidden_states)
        return in_pieces(self._updated, hidden_states, hidden_states.shape[-1], hidden_states.dtype)

    def _updated(self, hidden_states: Tensor) -> Tensor:
        update = self.dropout(self.DenseReluDense(self.layer_norm(hidden_states)))
        return saturate((hidden_states + update).to(hidden_states.dtype))


class Projections(nn.Module):
    """The four projections of an attention and, in a stack's first layer, its position bias."""

    def __init__(self, config: LongT5Config, has_relative_attention_bias: bool):
        super().__init__()
        self.n_heads = config.num_heads
        self.key_value_proj_dim = config.d_kv
        self.inner_dim = config.num_heads * config.d_kv
        self.dropout = config.dropout_rate
        self.has_relative_attention_bias = has_relative_attention_bias
        self.bucketing = {
            "bidirectional": not config.is_decoder,
            "num_buckets": config.relative_attention_num_buckets,
            "max_distance": config.relative_attention_max_distance,
        }
        self.q = nn.Linear(config.d_model, self.inner_dim, bias=False)
        self.k = nn.Linear(config.d_model, self.inner_dim, bias=False)
        self.v = nn.Linear(config.d_model, self.inner_dim, bias=False)
        self.o = nn.Linear(self.inner_dim, config.d_model, bias=False)
        if has_relative_attention_bias:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, self.n_heads)

    def project(self, projection: nn.Module, states: Tensor) -> Tensor:
        """`(batch, length, d_model)` -> `(batch, length, heads, d_kv)`"""
        return saturate(apply_linear(projection, states)).unflatten(
            -1, (self.n_heads, self.key_value_proj_dim)
        )

    def bias_by_offset(self, embedding: nn.Embedding, offsets: Tensor) -> Tensor:
        """(...,) offsets -> `(heads, ...)`. Calls the module, as its weights may be offloaded until it is called."""
        return embedding(relative_position_bucket(offsets, **self.bucketing)).movedim(-1, 0)


def _masked(bias: Tensor, mask: Tensor) -> Tensor:
    """A bias `(1 or batch, 1 or heads, queries, keys)` with a boolean or an additive mask in it."""
    lowest = torch.finfo(bias.dtype).min
    if mask.dtype == torch.bool:
        return bias.masked_fill(~mask, lowest)
    # An additive mask made for float32 is infinite in float16, and a row of infinities has no softmax.
    return (bias + mask.to(bias.dtype)).clamp(min=lowest)


class LongT5Attention(Projections):
    """The decoder's attention, to its own past or (given `key_value_states`) to the encoder's output."""

    def __init__(
        self, config: LongT5Config, has_relative_attention_bias: bool = False, layer_idx: int | None = None
    ):
        super().__init__(config, has_relative_attention_bias)
        self.layer_idx = layer_idx

    def forward(
        self,
        hidden_states: Tensor,
        mask: Tensor | None = None,
        key_value_states: Tensor | None = None,
        position_bias: Tensor | None = None,
        past_key_values: Cache | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Attends from `hidden_states` `(batch, queries, d_model)`.

        Args:
            mask: boolean, True where attention is allowed, or added to the scores; broadcastable to
                `(batch, heads, queries, keys)`.
            key_value_states: (batch or fewer, keys, d_model), see `dense_attention` for fewer.
            position_bias: (1, heads, queries, keys) with the mask already in it, from the first layer.
        Returns:
            output `(batch, queries, d_model)`, position bias, weights `(batch, heads, queries, keys)` or None.
        """
        hidden_states = as_autocast(hidden_states)
        query = self.project(self.q, hidden_states).transpose(1, 2)
        key, value, past_length = self._keys_and_values(hidden_states, key_value_states, past_key_values)
        if position_bias is None:
            position_bias = self._bias(query, key, mask, past_length)
        attended, weights = dense_attention(
            query,
            key,
            value,
            position_bias,
            dropout=self.dropout if self.training else 0.0,
            with_weights=output_attentions,
        )
        return saturate(apply_linear(self.o, attended.flatten(2))), position_bias, weights

    def _keys_and_values(
        self, hidden_states: Tensor, key_value_states: Tensor | None, past_key_values: Cache | None
    ) -> tuple[Tensor, Tensor, int | Tensor]:
        """Keys and values `(batch, heads, keys, d_kv)`, through the cache if there is one, and the past's length."""
        is_cross_attention = key_value_states is not None
        past_length: int | Tensor = 0
        cache = past_key_values
        if past_key_values is not None:
            past_length = past_key_values.get_seq_length(self.layer_idx)
            if isinstance(past_length, Tensor):
                past_length = past_length.clone()  # a static cache counts in place
        if isinstance(past_key_values, EncoderDecoderCache):
            if is_cross_attention and past_key_values.is_updated.get(self.layer_idx):
                layer = past_key_values.cross_attention_cache.layers[self.layer_idx]
                return layer.keys, layer.values, past_length
            cache = (
                past_key_values.cross_attention_cache
                if is_cross_attention
                else past_key_values.self_attention_cache
            )
        states = hidden_states if key_value_states is None else key_value_states
        key = self.project(self.k, states).transpose(1, 2)
        value = self.project(self.v, states).transpose(1, 2)
        if cache is not None:
            key, value = cache.update(key, value, self.layer_idx)
            if is_cross_attention and isinstance(past_key_values, EncoderDecoderCache):
                past_key_values.is_updated[self.layer_idx] = True
        return key, value, past_length

    def _bias(
        self, query: Tensor, key: Tensor, mask: Tensor | None, past_length: int | Tensor
    ) -> Tensor | None:
        """What is added to the scores: the relative position bias and the mask, the lowest number where it bars."""
        if not self.has_relative_attention_bias:
            if mask is None:
                return None
            return _masked(torch.zeros_like(mask, dtype=query.dtype), mask)
        positions = torch.arange(query.shape[2], device=query.device)[:, None] + past_length
        offsets = torch.arange(key.shape[2], device=query.device) - positions
        bias = self.bias_by_offset(self.relative_attention_bias, offsets)[None].to(query.dtype)
        return bias if mask is None else _masked(bias, mask)


class _EncoderAttention(Projections):
    """What local and transient-global attention share: a band of keys around each query."""

    def __init__(self, config: LongT5Config, has_relative_attention_bias: bool = False):
        super().__init__(config, has_relative_attention_bias)
        self.local_radius = config.local_radius

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Attends within `hidden_states` `(batch, length, d_model)`.

        Args:
            attention_mask: `(batch, length)`, non-zero at text; None means that all is text.
            position_bias: from the first layer, `(heads, 2 * radius + 1 + 2 * globals)`: the band's by offset, then the
                globals'. One tensor, as re-entrant checkpointing gives no gradient to tensors inside tuples.
        Returns:
            output `(batch, length, d_model)`, the position bias for the next layers, and None or the weights
            (batch, blocks, heads, radius + 1, 3 * (radius + 1) + globals), see `blocked_attention`.
        """
        hidden_states = as_autocast(hidden_states)
        if position_bias is None:
            position_bias = self.position_bias(hidden_states)
        band_width = 2 * self.local_radius + 1
        band_bias, global_bias = position_bias[:, :band_width], position_bias[:, band_width:]
        global_tokens = self.global_tokens(hidden_states, attention_mask, global_bias)
        query, key, value = (self.project(p, hidden_states) for p in (self.q, self.k, self.v))
        inputs = (query, key, value, band_bias, global_tokens, attention_mask)
        dropout = self.dropout if self.training else 0.0
        if output_attentions:
            attended, weights = blocked_attention(*inputs, dropout=dropout)
        else:
            attended, weights = encoder_attention(*inputs, dropout=dropout), None
        return saturate(apply_linear(self.o, attended.flatten(2))), position_bias, weights

    def position_bias(self, hidden_states: Tensor) -> Tensor:
        """The bias by offset that this layer, the first of its stack, owns."""
        radius = self.local_radius
        offsets = torch.arange(-radius, radius + 1, device=hidden_states.device)
        return self.bias_by_offset(self.relative_attention_bias, offsets)

    def global_tokens(
        self, hidden_states: Tensor, attention_mask: Tensor | None, global_bias: Tensor
    ) -> Globals | None:
        """The global tokens of `(batch, length, d_model)` hidden states, None where there are none."""
        return None


class LongT5LocalAttention(_EncoderAttention):
    """Local attention: each token attends to the `local_radius` tokens on either side (section 3.1.1)."""


class LongT5TransientGlobalAttention(_EncoderAttention):
    """Transient-global attention: local attention, and one token for each block of the text (section 3.1.2)."""

    def __init__(self, config: LongT5Config, has_relative_attention_bias: bool = False):
        super().__init__(config, has_relative_attention_bias)
        self.global_block_size = config.global_block_size
        if has_relative_attention_bias:
            self.global_relative_attention_bias = nn.Embedding(
                config.relative_attention_num_buckets, self.n_heads
            )
        self.global_input_layer_norm = LongT5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)

    def position_bias(self, hidden_states: Tensor) -> Tensor:
        band_bias = super().position_bias(hidden_states)
        num_globals = hidden_states.shape[1] // self.global_block_size
        if num_globals == 0:
            return band_bias
        offsets = torch.arange(1 - num_globals, num_globals + 1, device=hidden_states.device)
        return torch.cat(
            [band_bias, self.bias_by_offset(self.global_relative_attention_bias, offsets)], dim=-1
        )

    def global_tokens(
        self, hidden_states: Tensor, attention_mask: Tensor | None, global_bias: Tensor
    ) -> Globals | None:
        if global_bias.shape[-1] == 0:
            return None
        block_size, length = self.global_block_size, hidden_states.shape[1]
        if attention_mask is None:
            ids = text_block_ids(length, block_size, hidden_states.device)
            sums = text_block_sums(hidden_states, block_size)
        else:
            ids = block_ids(attention_mask, block_size)
            sums = block_sums(hidden_states, ids, length // block_size)
        states = self.global_input_layer_norm(sums)
        key, value = self.project(self.k, states), self.project(self.v, states)
        return Globals(key, value, global_bias, ids, block_size)


class LongT5LayerAttention(nn.Module):
    """Norm, attention, residual. The attention's name tells its kind: that is how checkpoints have it."""

    def __init__(self, config: LongT5Config, name: str, attention: LongT5Attention | _EncoderAttention):
        super().__init__()
        self.attention_name = name
        self.add_module(name, attention)
        self.layer_norm = LongT5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Returns hidden states `(batch, length, d_model)`, position bias and weights, see the attention."""
        interruption_point()
        attention = self.get_submodule(self.attention_name)
        update, position_bias, weights = attention(self.layer_norm(hidden_states), **kwargs)
        return saturate(add(hidden_states, self.dropout(update))), position_bias, weights


class LongT5Block(GradientCheckpointingLayer):
    """One layer of a stack: self-attention, in the decoder cross-attention, feed-forward network."""

    def __init__(
        self, config: LongT5Config, has_relative_attention_bias: bool = False, layer_idx: int | None = None
    ):
        super().__init__()
        self.is_decoder = config.is_decoder
        self.layer = nn.ModuleList()
        attentions: dict[str, LongT5Attention | _EncoderAttention]
        if config.is_decoder:
            attentions = {
                "SelfAttention": LongT5Attention(config, has_relative_attention_bias, layer_idx),
                "EncDecAttention": LongT5Attention(config, layer_idx=layer_idx),
            }
        elif config.encoder_attention_type == "local":
            attentions = {"LocalSelfAttention": LongT5LocalAttention(config, has_relative_attention_bias)}
        else:
            attentions = {
                "TransientGlobalSelfAttention": LongT5TransientGlobalAttention(
                    config, has_relative_attention_bias
                )
            }
        for name, attention in attentions.items():
            self.layer.append(LongT5LayerAttention(config, name, attention))
        self.layer.append(LongT5LayerFF(config))

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        encoder_decoder_position_bias: Tensor | None = None,
        past_key_values: Cache | None = None,
        output_attentions: bool = False,
    ) -> tuple[Tensor | None, ...]:
        """Returns hidden states, position bias, weights, and in the decoder cross-attention's bias and weights."""
        inputs = {"position_bias": position_bias, "output_attentions": output_attentions}
        if not self.is_decoder:
            hidden_states, position_bias, weights = self.layer[0](
                hidden_states, attention_mask=attention_mask, **inputs
            )
            return self.layer[1](hidden_states), position_bias, weights

        hidden_states, position_bias, weights = self.layer[0](
            hidden_states, mask=attention_mask, past_key_values=past_key_values, **inputs
        )
        cross_weights = None
        if encoder_hidden_states is not None:
            hidden_states, encoder_decoder_position_bias, cross_weights = self.layer[1](
                hidden_states,
                mask=encoder_attention_mask,
                key_value_states=encoder_hidden_states,
                position_bias=encoder_decoder_position_bias,
                past_key_values=past_key_values,
                output_attentions=output_attentions,
            )
        hidden_states = self.layer[2](hidden_states)
        return hidden_states, position_bias, weights, encoder_decoder_position_bias, cross_weights
