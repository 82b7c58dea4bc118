"""What scripts and libraries do to transformers' classes can be done to ours: argument by argument, tool by tool."""

from __future__ import annotations

import warnings

import pytest
import torch
import transformers
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from longt5.attention import dispatch
from longt5.modeling import CACHE_NAME
from longt5.versions import NEWEST, OLDEST, warn_if_untested
from tests.longt5.factories import (
    ATTENTION_TYPES,
    assert_close,
    padded_mask,
    pair,
    random_ids,
    tiny_model,
)

CLASSES = ("LongT5Model", "LongT5EncoderModel", "LongT5ForConditionalGeneration")


@torch.no_grad()
@pytest.mark.parametrize("argument", ["cache", "past_key_values"])
@pytest.mark.parametrize("name", ["LongT5Model", "LongT5ForConditionalGeneration", "decoder"])
def test_the_cache_by_either_name(name, argument):
    """transformers 5.24 renamed it. A name that is swallowed would give an output without a past."""
    model = tiny_model("LongT5Model" if name == "decoder" else name)
    encoded = model.get_encoder()(random_ids(2, 30))
    ids = random_ids(2, 5)
    if name == "decoder":
        run, arguments, tokens = model.get_decoder(), {"encoder_hidden_states": encoded[0]}, "input_ids"
    else:
        run, arguments, tokens = model, {"encoder_outputs": encoded}, "decoder_input_ids"
    whole = run(**arguments, **{tokens: ids})[0]
    first = run(**arguments, **{tokens: ids[:, :3]})
    cache = first[CACHE_NAME]
    last = run(**arguments, **{tokens: ids[:, 3:], argument: cache})
    assert last[CACHE_NAME] is cache
    assert_close(last[0], whole[:, 3:])
    with pytest.raises(ValueError, match="two names of one argument"):
        run(**arguments, **{tokens: ids}, cache=cache, past_key_values=cache)


@pytest.mark.parametrize("name", [*CLASSES, "encoder", "decoder"])
def test_unknown_arguments_are_refused(name):
    model = tiny_model(name) if name in CLASSES else getattr(tiny_model("LongT5Model"), name)
    with pytest.raises(TypeError, match="attention_maks"):
        model(input_ids=random_ids(1, 4), attention_maks=torch.ones(1, 4))


def test_releases_that_were_never_tested_are_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_untested(OLDEST)
        warn_if_untested(NEWEST)
        warn_if_untested(transformers.__version__)  # the pinned release is among them
    for version in ("5.20.1", "5.25.0", "6.0.0"):
        with pytest.warns(UserWarning, match=version):
            warn_if_untested(version)


def test_the_cache_is_no_use_to_checkpointed_layers():
    model = tiny_model().train()
    model.gradient_checkpointing_enable()
    outputs = model(input_ids=random_ids(1, 20), decoder_input_ids=random_ids(1, 3), use_cache=True)
    assert outputs.get(CACHE_NAME) is None


@torch.no_grad()
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_fake_tensors(attention):
    """Memory is planned with tensors that have no values: nothing may look at those of a mask."""
    model = tiny_model(encoder_attention_type=attention)
    with FakeTensorMode(allow_non_fake_inputs=True):
        mask = padded_mask(700, 700, 10)
        outputs = model(input_ids=random_ids(2, 700), attention_mask=mask, labels=random_ids(2, 3))
    assert outputs.logits.shape == (2, 3, 83)


def flops(run) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("gradients", [True, False])
def test_operations_are_counted(gradients, monkeypatch):
    """The products of all layers, whichever operator would do them, and the attention's."""
    monkeypatch.setattr(dispatch, "FEWEST_PRODUCTS", 0)
    batch = {"input_ids": random_ids(2, 600), "decoder_input_ids": random_ids(2, 3)}
    ours, theirs = pair()
    with torch.set_grad_enabled(gradients):
        counted, expected = (flops(lambda m=model: m(**batch)) for model in (ours, theirs))
        counted_local = flops(lambda: tiny_model(encoder_attention_type="local")(**batch))
    linear = 106_772_160
    layers, scores = 2, 2 * 5 * 600 * (255 + 600 // 16)  # batch, heads, queries, keys and globals
    assert linear + layers * 4 * 8 * scores < counted < 1.2 * expected
    assert 0.9 * linear < counted_local < counted
