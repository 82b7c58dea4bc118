"""Number types, dropout, a training step and several devices."""

from __future__ import annotations

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import Array

from longt5.flax import (
    FlaxLongT5ForConditionalGeneration,
    FlaxLongT5Model,
    LongT5Module,
    shift_tokens_right,
)
from longt5.flax.parameters import flattened
from tests.longt5.factories import random_ids, tiny_config
from tests.longt5.flax.conftest import OTHER_KIND_SLOW, SIZES, Pair

IDS = random_ids(2, 40).numpy()


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 0.1), ("float16", 0.01)])
def test_half_precision(pair: Pair, dtype: str, tolerance: float) -> None:
    model = FlaxLongT5ForConditionalGeneration.from_pretrained(pair.folder, dtype=dtype)
    expected = pair.flax(IDS, decoder_input_ids=IDS[:, :6]).logits
    actual = model(IDS, decoder_input_ids=IDS[:, :6]).logits
    assert actual.dtype == dtype
    assert np.abs(actual.astype(np.float32) - expected).max() < tolerance * np.abs(expected).max()


def test_some_parameters_stay_as_they_are(pair: Pair) -> None:
    params = pair.flax.params
    mask = jax.tree_util.tree_map_with_path(lambda path, _: "norm" not in str(path), params)
    for to, dtype in (("to_bf16", "bfloat16"), ("to_fp16", "float16"), ("to_fp32", "float32")):
        some = getattr(pair.flax, to)(params, mask)
        assert some["encoder"]["final_layer_norm"]["weight"].dtype == jnp.float32
        assert some["shared"]["embedding"].dtype == dtype
        every = jax.tree.leaves(getattr(pair.flax, to)({**params, "step": jnp.asarray(3)}))
        assert {str(value.dtype) for value in every} == {dtype, "int32"}


def test_weights_are_drawn_where_there_are_none(pair: Pair) -> None:
    """Old scripts' way with `_do_init=False`: shapes to decide on shards by, and parameters apart from the model."""
    config = tiny_config(num_layers=1, num_decoder_layers=1, **SIZES)
    model = FlaxLongT5ForConditionalGeneration(config, _do_init=False)
    drawn = model.init_weights(jax.random.PRNGKey(3), (1, 1))
    assert set(flattened(drawn)) == model.required_params
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), drawn)
    assert shapes == model.params_shape_tree
    some = {"shared": jax.tree.map(jnp.zeros_like, drawn["shared"])}
    whole = model.init_weights(jax.random.PRNGKey(3), (1, 1), some)
    assert not whole["shared"]["embedding"].any()
    assert jax.tree.all(jax.tree.map(jnp.array_equal, whole["encoder"], drawn["encoder"]))
    config.tie_word_embeddings = False  # as it is where a checkpoint has a head of its own
    assert "lm_head" in model.params_shape_tree
    assert "lm_head" not in FlaxLongT5Model(config, _do_init=False).params_shape_tree


def test_float16_saturates(pair: Pair) -> None:
    """Weights that overflow it, and a text of padding alone."""
    model = FlaxLongT5ForConditionalGeneration.from_pretrained(pair.folder, dtype=jnp.float16)
    large = jax.tree.map(lambda x: x * 300, pair.flax.params)
    mask = np.ones_like(IDS)
    mask[1] = 0
    logits = model(IDS, mask, IDS[:, :6], params=large).logits
    assert jnp.isfinite(logits).all()


def loss(logits: Array, labels: Array) -> Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def test_steps_of_an_optimizer() -> None:
    """Old scripts' way: parameters apart from the model, a key for dropout, all compiled as one function."""
    config = tiny_config(num_layers=1, num_decoder_layers=1, **SIZES)
    model = FlaxLongT5ForConditionalGeneration(config, gradient_checkpointing=True)
    optimizer = optax.adamw(3e-3)
    labels = jnp.asarray(random_ids(2, 6, seed=4).numpy())
    decoder_input_ids = shift_tokens_right(labels, config.pad_token_id, config.decoder_start_token_id)

    @jax.jit
    def step(params: dict, state: optax.OptState, key: Array) -> tuple:
        def of(params: dict) -> Array:
            inputs = {"decoder_input_ids": decoder_input_ids, "train": True, "dropout_rng": key}
            return loss(model(IDS, params=params, **inputs).logits, labels)

        value, gradients = jax.value_and_grad(of)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, value

    params, state = model.params, optimizer.init(model.params)
    losses = []
    for number in range(12):
        params, state, value = step(params, state, jax.random.key(number))
        losses.append(float(value))
    assert losses[-1] < losses[0] - 0.5
    with pytest.raises(ValueError, match="dropout_rng"):
        model(IDS, decoder_input_ids=decoder_input_ids, train=True)


@OTHER_KIND_SLOW
def test_a_module_of_nnx(pair: Pair) -> None:
    module = pair.flax.module
    assert jax.tree.structure(module.params) == jax.tree.structure(pair.flax.params)
    labels = jnp.asarray(IDS[:, :6])

    @nnx.jit
    def gradients(module: LongT5Module) -> tuple:
        return nnx.value_and_grad(lambda m: loss(m(IDS, None, labels).logits, labels))(module)

    value, state = gradients(module)
    expected = loss(pair.flax(IDS, decoder_input_ids=labels).logits, labels)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert jax.tree.structure(nnx.to_pure_dict(state)) == jax.tree.structure(pair.flax.params)


SHARDED = """
import sys
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from longt5.flax import FlaxLongT5ForConditionalGeneration

jax.config.update("jax_disable_most_optimizations", True)
assert jax.device_count() == 4
model = FlaxLongT5ForConditionalGeneration.from_pretrained(sys.argv[1])
ids = np.random.default_rng(0).integers(2, 80, (4, 40))
expected = model(ids, decoder_input_ids=ids[:, :6]).logits
mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("data", "model"))
whole = NamedSharding(mesh, P())

def columns(path, x):
    last = path[-1].key
    divisible = last == "kernel" and x.shape[1] % 2 == 0
    return jax.device_put(x, NamedSharding(mesh, P(None, "model")) if divisible else whole)

params = jax.tree_util.tree_map_with_path(columns, model.params)
batch = jax.device_put(ids, NamedSharding(mesh, P("data")))
actual = model(batch, decoder_input_ids=batch[:, :6], params=params).logits
assert len(actual.sharding.device_set) == 4
print(np.abs(actual - expected).max() / np.abs(expected).max())
"""


@OTHER_KIND_SLOW
def test_several_devices(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts over two of them, columns of the kernels over the other two."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=4")
    done = subprocess.run(
        [sys.executable, "-c", SHARDED, str(pair.folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-5
