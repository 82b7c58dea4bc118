"""generate() of the Flax class against that of our PyTorch class, token for token."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from longt5.flax import processors
from tests.longt5.factories import ENDS, padded_mask, random_ids
from tests.longt5.flax.conftest import Pair

LIMITS = {"max_new_tokens": 14, "eos_token_id": list(ENDS)}
# Each compiles a loop of its own: options that do not meet stand together.
ORDINARY = (
    {"min_new_tokens": 9, "no_repeat_ngram_size": 2},
    {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True},
    {
        "num_beams": 4,
        "num_return_sequences": 3,
        "length_penalty": -1.0,
        "early_stopping": "never",
        "no_repeat_ngram_size": 3,
        "encoder_no_repeat_ngram_size": 4,
        "repetition_penalty": 3.5,
    },
)
MORE = (
    {},
    {"encoder_no_repeat_ngram_size": 2},
    {"repetition_penalty": 3.5},
    {"encoder_repetition_penalty": 1.5},
    {
        "forced_bos_token_id": 12,
        "forced_eos_token_id": 3,
        "suppress_tokens": [30, 31],
        "begin_suppress_tokens": [40],
    },
    {"num_beams": 2},
    {"num_beams": 4, "length_penalty": 0.0, "num_return_sequences": 3},
    {"num_beams": 3, "renormalize_logits": True},
    {"num_beams": 4, "length_penalty": 2.0, "early_stopping": "never"},
    {"num_beams": 3, "min_new_tokens": 9},
)


def same_tokens(pair: Pair, options: dict) -> None:
    mask = padded_mask(40, 40, 21, 5)
    ids = random_ids(3, 40) * mask
    expected = pair.torch.generate(ids, attention_mask=mask, **{**LIMITS, **options}).numpy()
    output = pair.flax.generate(ids.numpy(), attention_mask=mask.numpy(), **{**LIMITS, **options})
    actual = np.asarray(output.sequences)
    assert actual.shape == (len(expected), 15)
    for row, theirs in zip(actual.tolist(), expected.tolist()):
        # Behind the end stands the padding token, 0; transformers' beams then have the first end token.
        end = next((place + 1 for place, token in enumerate(row) if token in ENDS), len(row))
        assert row[:end] == theirs[:end]
        assert not any(row[end:])


@pytest.mark.parametrize("options", ORDINARY, ids=str)
def test_the_same_tokens(pair: Pair, options: dict) -> None:
    same_tokens(pair, options)


@pytest.mark.slow
@pytest.mark.parametrize("options", MORE, ids=str)
def test_the_same_tokens_with_other_options(pair: Pair, options: dict) -> None:
    same_tokens(pair, options)


def test_sampling_draws_what_is_likely(pair: Pair) -> None:
    ids = random_ids(1, 40).numpy()
    options = {**LIMITS, "do_sample": True, "top_k": 5, "num_return_sequences": 8}
    first, second, again = (
        pair.flax.generate(ids, prng_key=jax.random.key(seed), **options).sequences for seed in (1, 2, 1)
    )
    assert first.tolist() == again.tolist() != second.tolist()
    logits = pair.flax(ids, decoder_input_ids=first[:1, :1]).logits[0, 0]
    assert set(first[:, 1].tolist()) <= set(jax.lax.top_k(logits, 5)[1].tolist())


@pytest.mark.parametrize("top_p", [0.0, 0.3, 0.8, 1.0])
def test_top_p_against_transformers(top_p: float) -> None:
    import torch
    from transformers import TopPLogitsWarper

    scores = np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32) * 3
    expected = TopPLogitsWarper(top_p)(None, torch.from_numpy(scores)) if top_p < 1 else scores
    options = processors.Settings(9, 1, 0, (1,), do_sample=True, top_p=top_p)
    np.testing.assert_array_equal(processors._narrowed(jax.numpy.asarray(scores), options), expected)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_beams": 2, "do_sample": True}, "does not sample with beams"),
        ({"typical_p": 0.5}, "no typical_p in JAX"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences"),
        ({"min_new_tokens": 30}, "raise max_new_tokens"),
        ({"num_beam": 2}, "does not know num_beam"),
        ({"do_sample": True, "temperature": 0.0}, "leave out do_sample"),
        ({"do_sample": True, "temperature": -1.0}, "temperature must be above 0"),
        ({"do_sample": True, "top_k": -1}, "top_k must be a number"),
        ({"do_sample": True, "top_p": -0.1}, "top_p must be from 0 to 1"),
        ({"do_sample": True, "top_p": 1.5}, "top_p must be from 0 to 1"),
    ],
)
def test_what_is_not_there_is_refused(pair: Pair, options: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        pair.flax.generate(random_ids(1, 40).numpy(), **{**LIMITS, **options})
