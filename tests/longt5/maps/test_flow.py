"""Rollout, value zeroing and shares of the source against the same over dense squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from longt5.generation import EncodedText
from longt5.maps import global_map, teacher_force
from longt5.maps.flow import NEGLIGIBLE, rollout, source_shares, value_zeroing
from tests.longt5 import dense_reference
from tests.longt5.factories import ATTENTION_TYPES, random_ids, tiny_model
from tests.longt5.maps.test_maps import MASKS, SMALL, dense, encoded_text


def squares(model: Any, encoded: EncodedText) -> list[np.ndarray]:
    """For each layer `(length, length)`: attention of token on token, mean of heads, globals spread over tokens."""
    found = []
    radius, length = model.config.local_radius, encoded.input_ids.shape[1]
    for band, globals_ in dense(model, encoded):
        square = np.zeros((length, length))
        for query in range(length):
            for offset in range(-radius, radius + 1):
                if 0 <= query + offset < length:
                    square[query, query + offset] = band[:, query, offset + radius].mean()
        if globals_.shape[-1]:
            for block, (start, end) in enumerate(global_map(model, encoded, 0, (0,)).column_spans):
                text = [i for i in range(start, end) if encoded.attention_mask[0, i]]
                square[:, text] += globals_[..., block].mean(0)[:, None] / max(1, end - start)
        found.append(square)
    return found


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_rollout_is_the_product_of_the_layers(attention_type: str) -> None:
    model = tiny_model(encoder_attention_type=attention_type, **SMALL)
    encoded = encoded_text(model, 70)
    start = np.random.default_rng(0).random(70)
    rows = rollout(model, encoded, start)
    expected = start
    np.testing.assert_allclose(rows[0], start, rtol=1e-6)
    for done, square in enumerate(reversed(squares(model, encoded)), 1):
        expected = expected / 2 + expected @ square / 2
        np.testing.assert_allclose(rows[done], expected, atol=1e-5)
    np.testing.assert_allclose(rows.sum(axis=1), start.sum(), rtol=1e-5)  # nothing is lost on the way


def test_rollout_leaves_out_what_is_negligible_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longt5.maps.flow.STRETCH", 16)
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 150)
    start = np.full(150, 1e-7)
    start[70] = 1.0
    done: list[float] = []
    rows = rollout(model, encoded, start, done.append)
    assert done == [0.5, 1.0]
    np.testing.assert_allclose(rows.sum(axis=1), start.sum(), rtol=1e-4)
    expected = start
    for row, square in zip(rows[1:], reversed(squares(model, encoded))):
        expected = expected / 2 + expected @ square / 2
        assert np.abs(row - expected).sum() <= 4 * NEGLIGIBLE


def test_zeroed_values_equal_a_pass_without_them() -> None:
    """The dense reference's layer again with one global's value at zero."""
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 70)
    layer, start, end = 1, 20, 26
    moved = value_zeroing(model, encoded, layer, start, end)
    assert moved.shape == (6, 17)
    attention = model.encoder.block[layer].layer[0].TransientGlobalSelfAttention
    inputs = encoded.layer_inputs[layer]
    whole = model.encoder.block[layer](inputs, position_bias=_bias(model, encoded))[0]
    for block in (0, 5, 16):
        plain = attention.global_tokens

        def without(*args: Any, block: int = block, plain: Any = plain) -> Any:
            found = plain(*args)
            value = found.value.clone()
            value[:, block] = 0
            return found._replace(value=value)

        attention.global_tokens = without
        with torch.no_grad():
            changed = model.encoder.block[layer](inputs, position_bias=_bias(model, encoded))[0]
        attention.global_tokens = plain
        cosine = torch.nn.functional.cosine_similarity(changed[0, start:end], whole[0, start:end], dim=-1)
        np.testing.assert_allclose(moved[:, block], (1 - cosine).detach().numpy(), atol=2e-6)
    assert moved.max() > 1e-6


def _bias(model: Any, encoded: EncodedText) -> torch.Tensor:
    owner = model.encoder.block[0].layer[0].TransientGlobalSelfAttention
    with torch.no_grad():
        return owner.position_bias(encoded.layer_inputs[0])


def test_zeroing_needs_globals() -> None:
    model = tiny_model(encoder_attention_type="local")
    with pytest.raises(ValueError, match="no global blocks"):
        value_zeroing(model, encoded_text(model, 70), 0, 0, 4)


def test_shares_of_the_source_equal_those_of_every_term_written_out() -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 70, MASKS["right"])
    forced = teacher_force(model, encoded, random_ids(9, seed=4).tolist())
    shares = source_shares(model, encoded, forced)
    assert shares.shape == (9,) and (shares >= 0).all() and (shares <= 1).all()
    np.testing.assert_allclose(shares, _written_out(model, encoded, forced), atol=1e-5)
    # A model whose cross-attention adds nothing writes from its own words alone.
    for block in model.decoder.block:
        torch.nn.init.zeros_(block.layer[1].EncDecAttention.o.weight)
    assert not source_shares(model, encoded, teacher_force(model, encoded, forced.summary_ids)).any()


@torch.no_grad()
def _written_out(model: Any, encoded: EncodedText, forced: Any) -> np.ndarray:
    """ALTI+ with the source as one term, a head and a step at a time."""
    config, decoder = model.config, model.decoder
    states = decoder.embed_tokens(torch.tensor([[0, *forced.summary_ids[:-1]]]))[0]
    share, steps = torch.zeros(len(states)), len(states)
    owner = decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    for block in decoder.block:
        own, cross, network = block.layer
        normed = own.layer_norm(states)
        q, k, v = (
            getattr(own.SelfAttention, name)(normed).view(steps, config.num_heads, -1) for name in "qkv"
        )
        out = own.SelfAttention.o.weight.view(config.d_model, config.num_heads, -1)
        terms = torch.zeros(steps, steps, config.d_model)
        for head in range(config.num_heads):
            for i in range(steps):
                buckets = [
                    dense_reference.relative_position_bucket(
                        j - i,
                        config.relative_attention_num_buckets,
                        config.relative_attention_max_distance,
                        False,
                    )
                    for j in range(i + 1)
                ]
                scores = k[: i + 1, head] @ q[i, head] + owner[buckets, head]
                for j, weight in enumerate(scores.softmax(0)):
                    terms[i, j] += weight * (out[:, head] @ v[j, head])
        terms[range(steps), range(steps)] += states
        whole = terms.sum(1)
        gains = (whole.abs().sum(-1)[:, None] - (whole[:, None] - terms).abs().sum(-1)).clamp(min=0).tril()
        share = (gains / gains.sum(1, keepdim=True)) @ share
        mask = torch.zeros(1, 1, 1, encoded.input_ids.shape[1]).masked_fill(
            encoded.attention_mask[0] == 0, -torch.inf
        )
        q = cross.EncDecAttention.q(cross.layer_norm(whole)).view(steps, config.num_heads, -1)
        k, v = (
            getattr(cross.EncDecAttention, name)(encoded.last_hidden_state[0]).view(
                -1, config.num_heads, config.d_kv
            )
            for name in "kv"
        )
        weights = (torch.einsum("qhd,khd->hqk", q, k) + mask[0, 0]).softmax(-1)
        paper = cross.EncDecAttention.o(torch.einsum("hqk,khd->qhd", weights, v).flatten(1))
        after = whole + paper

        def gain(term: torch.Tensor, after: torch.Tensor = after) -> torch.Tensor:
            return (after.abs().sum(-1) - (after - term).abs().sum(-1)).clamp(min=0)

        part = gain(paper) / (gain(paper) + gain(whole))
        share = part + (1 - part) * share
        states = network(after[None])[0]
    return share.numpy()
