"""LongT5 as pure functions of its parameters: what the module and the classes compute.

Parameters are the tree of `longt5.flax.parameters`, in any dtype; products run in the `dtype` of the `Setup`. In
float16 products saturate at the largest finite value, and the last one of a feed-forward network is float32, as in
`longt5.layers`: the T5 family overflows otherwise (transformers #9295, #17978).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from longt5.flax.attention import (
    MASKED,
    Dropout,
    Globals,
    Tiling,
    Window,
    attend_tile,
    band_bias_tile,
    block_ids,
    block_sums,
    dense_attention,
    over_tiles,
    relative_position_bucket,
)
from longt5.flax.outputs import (
    FlaxBaseModelOutput,
    FlaxBaseModelOutputWithPastAndCrossAttentions,
    FlaxSeq2SeqLMOutput,
    FlaxSeq2SeqModelOutput,
)
from longt5.flax.parameters import Dimensions, Params

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_new": lambda x: jax.nn.gelu(x, approximate=True),
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
}


@dataclass(frozen=True)
class Setup:
    """How a model computes: all that is fixed when one of these functions is compiled, but for the outputs wanted."""

    dimensions: Dimensions
    dtype: Any = jnp.float32
    """Of products and states; norms, scores and softmax are float32 in any."""
    gradient_checkpointing: bool = False
    """Whether a layer of the decoder is computed again in the backward pass, so that only its input is kept. Those of
    the encoder always are, a piece at a time."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", jnp.dtype(self.dtype))  # equal setups compile once
        name = self.dimensions.dense_act_fn
        if name not in ACTIVATIONS:
            raise ValueError(
                f"feed_forward_proj asks for the activation '{name}', and there are {', '.join(ACTIVATIONS)}."
            )


class Wanted(NamedTuple):
    """What a stack returns beside its output."""

    attentions: bool = False
    hidden_states: bool = False


NOTHING = Wanted()


class KeysAndValues(NamedTuple):
    """Of one attention, both `(batch, heads, length, d_kv)`."""

    key: Array
    value: Array


@dataclass
class _Chance:
    """Where dropout gets its keys; none without a key, or where nothing is dropped."""

    rate: float
    key: Array | None
    _drawn: int = field(default=0)

    def next(self) -> Dropout | None:
        if self.key is None or self.rate == 0.0:
            return None
        self._drawn += 1
        return Dropout(self.rate, jax.random.fold_in(self.key, self._drawn))

    def of_layer(self, index: int) -> "_Chance":
        """That of one layer of a stack."""
        key = None if self.key is None else jax.random.fold_in(self.key, 1_000_000 + index)
        return _Chance(self.rate, key)


def encode(
    params: Params,
    input_ids: Array,
    attention_mask: Array,
    setup: Setup,
    wanted: Wanted = NOTHING,
    dropout_key: Array | None = None,
) -> FlaxBaseModelOutput:
    """Runs the encoder over (batch, length) tokens.

    Args:
        attention_mask: (batch, length), non-zero at text.
        dropout_key: for training; nothing is dropped without it.
    """
    d, stack = setup.dimensions, params["encoder"]
    chance = _Chance(d.dropout_rate, dropout_key)
    # Tokens beyond the vocabulary give NaN, as in Flax, but at the end: with what marks them at the start XLA would
    # make the embeddings anew, as long as the text, for everything that reads them.
    is_known = input_ids < len(params["shared"]["embedding"])
    states = _dropped(_embedded(params, input_ids, setup, "clip"), chance.next())
    first = stack["block"]["0"]["layer"]["0"][d.encoder_attention]
    biases = _encoder_biases(first, states.shape[1], d)
    ids = None
    if biases[1] is not None:
        ids = block_ids(attention_mask, d.global_block_size)

    all_states: tuple[Array, ...] = ()
    all_weights: tuple[Array, ...] = ()
    for index in range(d.num_layers):
        all_states += (states,)
        layer, own_chance = stack["block"][str(index)]["layer"], chance.of_layer(index)
        states, weights = _encoder_layer(
            layer, states, biases, ids, attention_mask, setup, own_chance, wanted.attentions
        )
        all_weights += () if weights is None else (weights,)
    states = _dropped(_norm(stack["final_layer_norm"], states, setup), chance.next())
    states = jnp.where(is_known[..., None], states, jnp.nan)
    return FlaxBaseModelOutput(
        last_hidden_state=states,
        hidden_states=(*all_states, states) if wanted.hidden_states else None,
        attentions=all_weights if wanted.attentions else None,
    )


def forward(
    params: Params,
    input_ids: Array,
    attention_mask: Array,
    decoder_input_ids: Array,
    decoder_attention_mask: Array,
    setup: Setup,
    wanted: Wanted = NOTHING,
    dropout_key: Array | None = None,
    *,
    with_head: bool,
) -> FlaxSeq2SeqLMOutput | FlaxSeq2SeqModelOutput:
    """Encodes (batch, source length) tokens and decodes (batch, length), see `encode`, `decode` and `logits`."""
    keys = (None, None) if dropout_key is None else jax.random.split(dropout_key)
    encoded = encode(params, input_ids, attention_mask, setup, wanted, keys[0])
    decoded = decode(
        params,
        decoder_input_ids,
        decoder_attention_mask,
        encoded.last_hidden_state,
        attention_mask,
        setup,
        wanted,
        dropout_key=keys[1],
    )
    beside: dict[str, Any] = {
        "decoder_hidden_states": decoded.hidden_states,
        "decoder_attentions": decoded.attentions,
        "cross_attentions": decoded.cross_attentions,
        "encoder_last_hidden_state": encoded.last_hidden_state,
        "encoder_hidden_states": encoded.hidden_states,
        "encoder_attentions": encoded.attentions,
    }
    if with_head:
        return FlaxSeq2SeqLMOutput(logits=logits(params, decoded.last_hidden_state, setup), **beside)
    return FlaxSeq2SeqModelOutput(last_hidden_state=decoded.last_hidden_state, **beside)


def _encoder_biases(first: Params, length: int, d: Dimensions) -> tuple[Array, Array | None]:
    """The biases by offset that the first layer owns: (heads, 2 * radius + 1), (heads, 2 * globals) or None."""
    radius, count = d.local_radius, length // d.global_block_size
    band = _bias_by_offset(first["relative_attention_bias"], jnp.arange(-radius, radius + 1), d, True)
    if d.encoder_attention_type == "local" or count == 0:
        return band, None
    offsets = jnp.arange(1 - count, count + 1)
    return band, _bias_by_offset(first["global_relative_attention_bias"], offsets, d, True)


def _encoder_layer(
    layer: Params,
    states: Array,
    biases: tuple[Array, Array | None],
    ids: Array | None,
    attention_mask: Array,
    setup: Setup,
    chance: _Chance,
    with_weights: bool,
) -> tuple[Array, Array | None]:
    """Attention and feed-forward network over (batch, length, d_model) states, a tile of them at a time.

    Args:
        biases, ids: of the band and the globals, see `Globals`.
    Returns:
        the new states and None, or the weights as transformers lays them out, in blocks of radius + 1 queries against
        the block before, themselves, the block after and the globals:
        (batch, blocks, heads, radius + 1, 3 * (radius + 1) + globals).
    """
    d = setup.dimensions
    attention, norm = layer["0"][d.encoder_attention], layer["0"]["layer_norm"]
    tiling = Tiling.of(states.shape[1], d.local_radius, by_blocks=with_weights)
    band_bias = band_bias_tile(biases[0], tiling)
    of_weights, of_update = chance.next(), chance.next()
    of_network = chance.next(), chance.next()

    def keys_and_values(normed: Array) -> KeysAndValues:
        return KeysAndValues(*(_heads(_linear(attention[name], normed, setup), d) for name in "kv"))

    global_tokens = None
    if biases[1] is not None and ids is not None:
        sums = block_sums(states, ids, d.global_block_size, _inverse_rms(states, setup)[..., 0])
        sums = sums * norm["weight"].astype(jnp.float32)
        of_globals = keys_and_values(_norm(attention["global_input_layer_norm"], sums, setup))
        global_tokens = Globals(*of_globals, biases[1], ids, d.global_block_size)

    def run(start: Array, states: Array, window: Window) -> tuple[Array, Array | None]:
        query = _heads(_linear(attention["q"], _norm(norm, states, setup), setup), d)
        attended, weights = attend_tile(start, query, window, band_bias, global_tokens, of_weights)
        update = _linear(attention["o"], _merged(attended), setup)
        states = _add(states, _dropped(update, of_update, start), setup)
        states = _with_feed_forward(layer["1"], states, setup, of_network, start)
        return states, jnp.concatenate(weights, axis=-1) if with_weights else None

    states, weights = over_tiles(
        states, attention_mask, tiling, lambda states: keys_and_values(_norm(norm, states, setup)), run
    )
    return states, None if weights is None else weights.swapaxes(0, 1)


def cross_keys_and_values(params: Params, encoder_states: Array, setup: Setup) -> tuple[KeysAndValues, ...]:
    """What each layer of the decoder attends to of an encoder's output (batch, source length, d_model)."""
    return tuple(
        _keys_and_values(params["decoder"]["block"][str(index)]["layer"]["1"], encoder_states, setup)
        for index in range(setup.dimensions.num_decoder_layers)
    )


def _keys_and_values(layer: Params, encoder_states: Array, setup: Setup) -> KeysAndValues:
    attention = layer["EncDecAttention"]
    return KeysAndValues(
        *(_heads(_linear(attention[name], encoder_states, setup), setup.dimensions) for name in "kv")
    )


def empty_cache(batch: int, max_length: int, setup: Setup) -> dict[str, Any]:
    """A decoder's cache without tokens; see `FlaxLongT5PreTrainedModel.init_cache`."""
    d = setup.dimensions
    zeros = jnp.zeros((batch, d.num_heads, max_length, d.d_kv), setup.dtype)

    def layer() -> dict[str, Any]:
        cache = {"cached_key": zeros, "cached_value": zeros, "cache_index": jnp.zeros((), jnp.int32)}
        return {"layer": {"0": {"SelfAttention": cache}}}

    return {"decoder": {"block": {str(index): layer() for index in range(d.num_decoder_layers)}}}


def decode(
    params: Params,
    decoder_input_ids: Array,
    decoder_attention_mask: Array,
    encoder_states: Array | tuple[KeysAndValues, ...],
    encoder_attention_mask: Array,
    setup: Setup,
    wanted: Wanted = NOTHING,
    past_key_values: dict[str, Any] | None = None,
    dropout_key: Array | None = None,
) -> FlaxBaseModelOutputWithPastAndCrossAttentions:
    """Runs the decoder over (batch, length) tokens, those that follow the ones in the cache if there is one.

    Args:
        decoder_attention_mask: (batch, keys), non-zero at text; keys are the tokens, or with a cache all of its places.
        encoder_states: (batch, source length, d_model), or `cross_keys_and_values` of it. Its batch may divide that
            of the tokens: consecutive rows then share one source.
        encoder_attention_mask: (batch, source length), non-zero at text.
    """
    d, stack = setup.dimensions, params["decoder"]
    chance = _Chance(d.dropout_rate, dropout_key)
    states = _dropped(_embedded(params, decoder_input_ids, setup), chance.next())
    caches = None if past_key_values is None else past_key_values["decoder"]["block"]
    past = jnp.zeros((), jnp.int32) if caches is None else _self_attention_of(caches["0"])["cache_index"]
    bias = _causal_bias(stack, states.shape[1], decoder_attention_mask, past, d)
    is_source = (encoder_attention_mask != 0)[:, None, None]
    cross_bias = jnp.where(is_source, 0.0, MASKED)

    def run(
        layer: Params,
        states: Array,
        bias: Array,
        source: Array | KeysAndValues,
        cache: Params | None,
        chance_key: Array | None,
    ) -> tuple[Array, Params | None, tuple[Array, Array]]:
        chance = _Chance(d.dropout_rate, chance_key)
        update, weights, cache = _decoder_self_attention(layer["0"], states, bias, cache, setup, chance)
        states = _add(states, update, setup)
        if not isinstance(source, KeysAndValues):
            source = _keys_and_values(layer["1"], source, setup)
        update, cross_weights = _cross_attention(layer["1"], states, cross_bias, source, setup, chance)
        of_network = chance.next(), chance.next()
        states = _with_feed_forward(layer["2"], _add(states, update, setup), setup, of_network)
        return states, cache, (weights, cross_weights)

    run = jax.checkpoint(run) if setup.gradient_checkpointing else run
    all_states: tuple[Array, ...] = ()
    all_weights: list[tuple[Array, Array]] = []
    new_caches = {}
    for index in range(d.num_decoder_layers):
        all_states += (states,)
        name = str(index)
        states, new_caches[name], weights = run(
            stack["block"][name]["layer"],
            states,
            bias,
            encoder_states[index] if isinstance(encoder_states, tuple) else encoder_states,
            None if caches is None else caches[name],
            chance.of_layer(index).key,
        )
        all_weights.append(weights)
    states = _dropped(_norm(stack["final_layer_norm"], states, setup), chance.next())
    return FlaxBaseModelOutputWithPastAndCrossAttentions(
        last_hidden_state=states,
        past_key_values=None if caches is None else {"decoder": {"block": new_caches}},
        hidden_states=(*all_states, states) if wanted.hidden_states else None,
        attentions=tuple(own for own, _ in all_weights) if wanted.attentions else None,
        cross_attentions=tuple(cross for _, cross in all_weights) if wanted.attentions else None,
    )


def _self_attention_of(cache: Params) -> Params:
    return cache["layer"]["0"]["SelfAttention"]


def _causal_bias(stack: Params, queries: int, mask: Array, past: Array, d: Dimensions) -> Array:
    """The position bias (batch, heads, queries, keys), `MASKED` at keys to come and at padding."""
    embedding = stack["block"]["0"]["layer"]["0"]["SelfAttention"]["relative_attention_bias"]
    offsets = jnp.arange(mask.shape[1]) - (past + jnp.arange(queries))[:, None]
    visible = (offsets <= 0) & (mask != 0)[:, None]
    return jnp.where(visible[:, None], _bias_by_offset(embedding, offsets, d, False), MASKED)


def _decoder_self_attention(
    layer: Params, states: Array, bias: Array, cache: Params | None, setup: Setup, chance: _Chance
) -> tuple[Array, Array, Params | None]:
    """What is added to the states (batch, queries, d_model), the weights, and the cache with the new keys in it."""
    d, attention = setup.dimensions, layer["SelfAttention"]
    normed = _norm(layer["layer_norm"], states, setup)
    query, key, value = (_heads(_linear(attention[name], normed, setup), d) for name in "qkv")
    if cache is not None:
        old = _self_attention_of(cache)
        start = old["cache_index"]
        key = lax.dynamic_update_slice_in_dim(old["cached_key"], key, start, axis=2)
        value = lax.dynamic_update_slice_in_dim(old["cached_value"], value, start, axis=2)
        new = {"cached_key": key, "cached_value": value, "cache_index": start + states.shape[1]}
        cache = {"layer": {"0": {"SelfAttention": new}}}
    attended, weights = dense_attention(query, key, value, bias, dropout=chance.next())
    update = _dropped(_linear(attention["o"], _merged(attended), setup), chance.next())
    return update, weights, cache


def _cross_attention(
    layer: Params, states: Array, bias: Array, source: KeysAndValues, setup: Setup, chance: _Chance
) -> tuple[Array, Array]:
    """What is added to the states (batch, queries, d_model), and the weights."""
    attention = layer["EncDecAttention"]
    normed = _norm(layer["layer_norm"], states, setup)
    query = _heads(_linear(attention["q"], normed, setup), setup.dimensions)
    attended, weights = dense_attention(query, *source, bias, dropout=chance.next())
    return _dropped(_linear(attention["o"], _merged(attended), setup), chance.next()), weights


def logits(params: Params, states: Array, setup: Setup) -> Array:
    """(batch, length, d_model) of the decoder -> (batch, length, vocabulary), by the head or else by the embedding."""
    if setup.dimensions.scale_decoder_outputs:
        states = states * setup.dimensions.d_model**-0.5
    if "lm_head" in params:
        return _linear(params["lm_head"], states, setup)
    return _linear({"kernel": params["shared"]["embedding"].T}, states, setup)


def _with_feed_forward(
    layer: Params, states: Array, setup: Setup, dropout: tuple[Dropout | None, ...], index: Array | int = 0
) -> Array:
    """(batch, length, d_model) states after norm, feed-forward network and residual."""
    network, act = layer["DenseReluDense"], ACTIVATIONS[setup.dimensions.dense_act_fn]
    normed = _norm(layer["layer_norm"], states, setup)
    if setup.dimensions.is_gated_act:
        hidden = act(_linear(network["wi_0"], normed, setup)) * _linear(network["wi_1"], normed, setup)
    else:
        hidden = act(_linear(network["wi"], normed, setup))
    hidden = _dropped(_saturated(hidden, setup), dropout[0], index)
    update = _linear(network["wo"], hidden, setup, in_float32=True)
    return _add(states, _dropped(update, dropout[1], index), setup)


def _embedded(params: Params, input_ids: Array, setup: Setup, mode: str = "fill") -> Array:
    """(batch, length) tokens -> (batch, length, d_model), by default NaN for those beyond the vocabulary."""
    return jnp.take(params["shared"]["embedding"], input_ids, axis=0, mode=mode).astype(setup.dtype)


def _bias_by_offset(embedding: Params, offsets: Array, d: Dimensions, bidirectional: bool) -> Array:
    """(...,) offsets -> (heads, ...) in float32"""
    buckets = relative_position_bucket(
        offsets,
        bidirectional=bidirectional,
        num_buckets=d.relative_attention_num_buckets,
        max_distance=d.relative_attention_max_distance,
    )
    return jnp.moveaxis(embedding["embedding"].astype(jnp.float32)[buckets], -1, 0)


def _norm(norm: Params, states: Array, setup: Setup) -> Array:
    """RMS normalisation, in float32: no mean, no bias (Zhang and Sennrich 2019)."""
    exact = states.astype(jnp.float32) * _inverse_rms(states, setup)
    return (exact * norm["weight"].astype(jnp.float32)).astype(setup.dtype)


def _inverse_rms(states: Array, setup: Setup) -> Array:
    """(..., width) -> (..., 1) in float32"""
    variance = jnp.square(states.astype(jnp.float32)).mean(-1, keepdims=True)
    return lax.rsqrt(variance + setup.dimensions.layer_norm_epsilon)


def _linear(layer: Params, states: Array, setup: Setup, *, in_float32: bool = False) -> Array:
    """(..., in) -> (..., out) in the setup's dtype, or in float32 where that is float16 and `in_float32`."""
    dtype = jnp.dtype(jnp.float32) if in_float32 and setup.dtype == jnp.float16 else setup.dtype
    product = jnp.matmul(
        states.astype(dtype), layer["kernel"].astype(dtype), preferred_element_type=jnp.float32
    )
    return product if dtype == jnp.float32 else _saturated(product, setup).astype(dtype)


def _saturated(x: Array, setup: Setup) -> Array:
    """Within what float16 holds, where that is the setup's."""
    if setup.dtype != jnp.float16:
        return x
    limit = float(jnp.finfo(jnp.float16).max)
    return jnp.clip(x, -limit, limit)


def _add(states: Array, update: Array, setup: Setup) -> Array:
    """The residual."""
    return _saturated(states + update, setup).astype(states.dtype)


def _dropped(x: Array, dropout: Dropout | None, index: Array | int = 0) -> Array:
    return x if dropout is None else dropout(x, index)


def _heads(states: Array, d: Dimensions) -> Array:
    """(batch, length, heads * d_kv) -> (batch, heads, length, d_kv)"""
    return states.reshape(*states.shape[:2], d.num_heads, d.d_kv).swapaxes(1, 2)


def _merged(attended: Array) -> Array:
    """(batch, heads, length, d_kv) -> (batch, length, heads * d_kv)"""
    attended = attended.swapaxes(1, 2)
    return attended.reshape(*attended.shape[:2], -1)
