"""Memory of the encoder by the compiler's own account, beside arguments and outputs; nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import jax
import jax.numpy as jnp
import pytest
from jax import Array

from longt5 import LongT5Config
from longt5.flax import core
from longt5.flax.attention import block_ids
from longt5.flax.parameters import Dimensions, Params, initial_params


@pytest.fixture(autouse=True)
def optimized() -> Iterator[None]:
    """Compiles as for users."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


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
    return setup, initial_params(setup.dimensions, jax.random.key(0), with_head=False)


def megabytes(function: Callable, *inputs: object) -> float:
    return jax.jit(function).lower(*inputs).compile().memory_analysis().temp_size_in_bytes / 1e6


@cache
def of_layer(attention: str, length: int, *, gradients: bool) -> float:
    """Megabytes of one layer, with or without the gradients of its parameters and of its input."""
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

    def run_back(layer: Params, states: Array, gradient: Array) -> tuple[Params, Array]:
        return jax.vjp(run, layer, states)[1](gradient)

    return megabytes(run_back, layer, states, states) if gradients else megabytes(run, layer, states)


# The largest array that there must be is the states', 50 MB.
@pytest.mark.parametrize(
    ("attention", "forward", "with_gradients"), [("transient-global", 85, 280), ("local", 50, 205)]
)
def test_a_layer_of_base(attention: str, forward: int, with_gradients: int) -> None:
    assert of_layer(attention, 16_384, gradients=False) < forward
    assert of_layer(attention, 16_384, gradients=True) < with_gradients


def test_it_is_linear_in_the_length() -> None:
    times = of_layer("transient-global", 65_536, gradients=True) / of_layer(
        "transient-global", 16_384, gradients=True
    )
    assert times < 4


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
