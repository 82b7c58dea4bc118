"""Ours against what transformers 4.57.6 computed with the same parameters, read from the files that it wrote.

`tests/longt5/flax/recorded/record.py` made them; it says how.
"""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from longt5.flax import FlaxLongT5ForConditionalGeneration

RECORDED = Path(__file__).parent / "recorded"


@pytest.mark.parametrize("name", ["local", "global", "tied"])
def test_the_same_outputs(name: str) -> None:
    recorded = dict(np.load(RECORDED / name / "outputs.npz"))
    model = FlaxLongT5ForConditionalGeneration.from_pretrained(RECORDED / name)
    assert ("lm_head" in model.params) == (name != "tied")
    names = ("input_ids", "attention_mask", "decoder_input_ids")
    inputs = {key: jnp.asarray(recorded[key]) for key in names}
    output = model(**inputs, output_hidden_states=True, output_attentions=True)
    assert list(output.keys()) == recorded["keys"].tolist()
    np.testing.assert_allclose(output.logits, recorded["logits"], atol=2e-5, rtol=1e-5)
    real = recorded["attention_mask"] == 1
    states = output.encoder_last_hidden_state
    np.testing.assert_allclose(states[real], recorded["encoder_last_hidden_state"][real], atol=2e-5)
    np.testing.assert_allclose(output.decoder_hidden_states[1], recorded["decoder_hidden_state"], atol=2e-5)
    # The first text is whole: 22 of the 24 queries of its blocks are real.
    weights, expected = output.encoder_attentions[1][0], recorded["encoder_attention"][0]
    assert weights.shape == expected.shape
    weights, expected = (
        np.asarray(x).swapaxes(1, 2).reshape(-1, *x.shape[1::2]) for x in (weights, expected)
    )
    np.testing.assert_allclose(weights[:22], expected[:22], atol=1e-5)
    np.testing.assert_allclose(output.decoder_attentions[1], recorded["decoder_attention"], atol=1e-5)
    np.testing.assert_allclose(output.cross_attentions[1], recorded["cross_attention"], atol=1e-5)


def test_the_same_text() -> None:
    recorded = np.load(RECORDED / "global" / "outputs.npz")
    model = FlaxLongT5ForConditionalGeneration.from_pretrained(RECORDED / "global")
    inputs = (jnp.asarray(recorded[key]) for key in ("input_ids", "attention_mask"))
    tokens, mask = inputs
    assert (
        model.generate(tokens, attention_mask=mask, max_length=12).sequences.tolist()
        == recorded["greedy"].tolist()
    )
