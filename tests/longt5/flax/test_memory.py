"""Memory of base's encoder by the compiler's own account; nothing is run.

What is counted is `temp_size_in_bytes` of the compiled function: one allocation for whatever it makes on its way, in
which buffers that are never needed at once share their place. Arguments and outputs are not in it (parameters, states,
and with gradients theirs), nor what a library takes within one operation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import pytest
from jax import Array

from longt5 import LongT5Config
from longt5.flax import core
from longt5.flax.attention import block_ids
from longt5.flax.parameters import Dimensions, Params, initial_params


def model(attention: str, layers: int = 1) -> tuple[core.Setup, Params]:
    """Base in all but the number of layers and of words."""
    sizes = {
        "d_model": 768,
        "d_ff": 2048,
        "num_heads": 12,
        "d_kv": 64,
        "num_layers": layers,
        "vocab_size": 32,
    }
    config = LongT5Config(feed_forward_proj="gated-gelu", encoder_attention_type=attention, **sizes)
    setup = core.Setup(Dimensions.of(config))
    return setup, jax.eval_shape(lambda: initial_params(setup.dimensions, jax.random.key(0), with_head=False))


def megabytes(function: Callable, *inputs: object) -> float:
    return jax.jit(function).lower(*inputs).compile().memory_analysis().temp_size_in_bytes / 1e6


@cache
def of_layer(attention: str, length: int, *, gradients: bool) -> float:
    """Megabytes of one layer, or of the gradients of its parameters and of its input."""
    setup, params = model(attention)
    d = setup.dimensions
    layer = params["encoder"]["block"]["0"]["layer"]
    mask = jnp.ones((1, length), jnp.int32)
    states = jax.ShapeDtypeStruct((1, length, d.d_model), jnp.float32)

    def run(layer: Params, states: Array) -> Array:
        biases = core._encoder_biases(layer["0"][d.encoder_attention], length, d)
        ids = block_ids(mask, d.global_block_size)
        chance = core._Chance(d.dropout_rate, None)
        return core._encoder_layer(layer, states, biases, ids, mask, setup, chance, False)[0]

    def loss(layer: Params, states: Array) -> Array:
        return jnp.square(run(layer, states)).sum()

    return megabytes(jax.grad(loss, argnums=(0, 1)) if gradients else run, layer, states)


# The largest array that there must be is the states', 50 MB.
@pytest.mark.parametrize(
    ("attention", "forward", "with_gradients"),
    [("transient-global", 85, 291), pytest.param("local", 50, 210, marks=pytest.mark.slow)],
)
def test_a_layer_of_base(attention: str, forward: int, with_gradients: int) -> None:
    assert of_layer(attention, 16_384, gradients=False) < forward
    assert of_layer(attention, 16_384, gradients=True) < with_gradients


def test_it_is_linear_in_the_length() -> None:
    short, long = (of_layer("transient-global", length, gradients=True) for length in (16_384, 65_536))
    assert long < 4 * short


@pytest.mark.slow
def test_more_layers_take_no_more() -> None:
    def needed(layers: int) -> float:
        setup, params = model("local", layers)
        ids = jax.ShapeDtypeStruct((1, 16_384), jnp.int32)
        return megabytes(
            lambda params, ids: core.encode(params, ids, jnp.ones_like(ids), setup).last_hidden_state,
            params,
            ids,
        )

    assert needed(4) < 1.1 * needed(2)
