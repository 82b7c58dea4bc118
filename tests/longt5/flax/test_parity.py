"""What the Flax classes compute against our PyTorch classes: outputs, weights, gradients, step by step."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import Array

import longt5.flax.attention
from longt5.flax.attention import block_ids, block_sums, relative_position_bucket
from longt5.flax.parameters import flattened, torch_name
from tests.longt5.factories import assert_close, padded_mask, random_ids
from tests.longt5.flax.conftest import Pair

LENGTH = 40


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longt5.flax.attention, "TILE", 8)
    monkeypatch.setattr(longt5.flax.attention, "TILES", 2)


def inputs(length: int = LENGTH, *real: int, side: str = "right") -> dict[str, torch.Tensor]:
    mask = padded_mask(length, *(real or (length, max(length // 2, 1))), side=side)
    rows = len(mask)
    return {
        "input_ids": random_ids(rows, length) * mask,
        "attention_mask": mask,
        "decoder_input_ids": random_ids(rows, 6, seed=1),
    }


def arrays(tensors: dict[str, torch.Tensor]) -> dict[str, Array]:
    return {name: jnp.asarray(tensor.numpy()) for name, tensor in tensors.items()}


def close(actual: Array, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert_close(torch.from_numpy(np.array(actual, np.float32)), expected, tolerance)


@pytest.mark.parametrize("length", [1, 3, LENGTH])
def test_outputs(pair: Pair, length: int) -> None:
    batch = inputs(length)
    with torch.no_grad():
        expected = pair.torch(**batch)
    actual = pair.flax(**arrays(batch))
    real = batch["attention_mask"].bool()
    states = torch.from_numpy(np.array(actual.encoder_last_hidden_state))
    assert_close(states[real], expected.encoder_last_hidden_state[real])
    close(actual.logits, expected.logits)


# One shape, so that one compiled function serves all examples.
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, LENGTH), min_size=2, max_size=2), st.sampled_from(["left", "right"]))
def test_padding_of_any_kind(pair: Pair, real: list[int], side: str) -> None:
    batch = inputs(LENGTH, *real, side=side)
    with torch.no_grad():
        expected = pair.torch(**batch).logits
    close(pair.flax(**arrays(batch)).logits, expected)


def test_states_and_weights_of_each_layer(pair: Pair) -> None:
    batch, wanted = inputs(), {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        expected = pair.torch(**batch, **wanted)
    actual = pair.flax(**arrays(batch), **wanted)
    real = batch["attention_mask"].bool()
    for ours, theirs in zip(actual.encoder_hidden_states, expected.encoder_hidden_states, strict=True):
        assert_close(torch.from_numpy(np.array(ours))[real], theirs[real])
    for ours, theirs in zip(actual.encoder_attentions, expected.encoder_attentions, strict=True):
        assert ours.shape == tuple(theirs.shape)
        close(ours[0].swapaxes(1, 2).reshape(-1, *ours.shape[2::2])[:LENGTH], _rows(theirs[0])[:LENGTH])
    for name in ("decoder_hidden_states", "decoder_attentions", "cross_attentions"):
        for ours, theirs in zip(actual[name], expected[name], strict=True):
            close(ours, theirs)


def _rows(weights: torch.Tensor) -> torch.Tensor:
    """(blocks, heads, block, keys) -> (length, heads, keys)"""
    return weights.transpose(1, 2).flatten(0, 1)


def test_gradients_of_every_parameter(pair: Pair) -> None:
    batch = inputs()
    labels = random_ids(2, 6, seed=3)
    pair.torch.zero_grad()
    torch.nn.functional.cross_entropy(pair.torch(**batch).logits.flatten(0, 1), labels.flatten()).backward()
    expected = dict(pair.torch.named_parameters())

    def loss(params: dict) -> Array:
        chances = jax.nn.log_softmax(pair.flax(**arrays(batch), params=params).logits)
        return -jnp.take_along_axis(chances, jnp.asarray(labels.numpy())[..., None], axis=-1).mean()

    for path, gradient in flattened(jax.grad(loss)(pair.flax.params)).items():
        theirs = expected[torch_name(path)].grad
        close(gradient.T if path[-1] == "kernel" else gradient, theirs, 1e-4)


def test_tokens_beyond_the_vocabulary_are_not_a_number(pair: Pair) -> None:
    batch = arrays(inputs())
    ids = batch["input_ids"].at[1, 3].set(pair.torch.config.vocab_size)
    logits = pair.flax(**{**batch, "input_ids": ids}).logits
    assert jnp.isfinite(logits[0]).all()
    assert jnp.isnan(logits[1]).all()


def test_a_cache_gives_what_the_whole_text_gives(pair: Pair) -> None:
    batch = arrays(inputs())
    whole = pair.flax(**batch).logits
    encoded = pair.flax.encode(batch["input_ids"], batch["attention_mask"])
    start = pair.flax.prepare_inputs_for_generation(
        batch["decoder_input_ids"], 9, batch["attention_mask"], encoder_outputs=encoded
    )
    for place in range(6):
        output = pair.flax.decode(batch["decoder_input_ids"][:, place : place + 1], **start)
        np.testing.assert_allclose(output.logits[:, 0], whole[:, place], atol=2e-5)
        start = pair.flax.update_inputs_for_generation(output, start)


def test_buckets() -> None:
    from longt5.attention.reference import relative_position_bucket as torch_bucket

    offsets = np.arange(-3000, 3000)
    for bidirectional in (True, False):
        options = {"bidirectional": bidirectional, "num_buckets": 32, "max_distance": 128}
        actual = relative_position_bucket(jnp.asarray(offsets), **options)
        assert actual.tolist() == torch_bucket(torch.from_numpy(offsets), **options).tolist()


@given(st.lists(st.lists(st.booleans(), min_size=14, max_size=14), min_size=1, max_size=3))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_blocks_and_their_sums(masks: list[list[bool]]) -> None:
    from longt5.attention import reference

    mask = np.array(masks, int)
    states = np.random.default_rng(0).standard_normal((len(mask), 14, 3)).astype(np.float32)
    ids = block_ids(jnp.asarray(mask), 4)
    expected = reference.block_ids(torch.from_numpy(mask), 4)
    assert ids.tolist() == expected.tolist()
    scale = np.random.default_rng(1).standard_normal(mask.shape).astype(np.float32)
    sums = reference.block_sums(torch.from_numpy(states * scale[..., None]), expected, 3)
    actual = block_sums(jnp.asarray(states), ids, 4, jnp.asarray(scale))
    np.testing.assert_allclose(actual, sums.numpy(), atol=1e-5)


def test_equal_shapes_compile_once(pair: Pair) -> None:
    batch = arrays(inputs())
    pair.flax(**batch)
    compiled = longt5.flax.modeling._forward._cache_size()
    pair.flax(**{**batch, "input_ids": batch["input_ids"][::-1]})
    pair.flax(**batch, params=jax.tree.map(lambda x: x * 2, pair.flax.params))
    assert longt5.flax.modeling._forward._cache_size() == compiled
