import pytest
import torch

from longt5 import LongT5ForConditionalGeneration
from longt5.widening import widen
from tests.longt5.factories import random_ids, randomize, tiny_config


def tied_model(**changes: object) -> LongT5ForConditionalGeneration:
    config = tiny_config(tie_word_embeddings=True, **changes)
    return randomize(LongT5ForConditionalGeneration(config), seed=1).eval()


@pytest.mark.parametrize("attention", ["local", "transient-global"])
@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
def test_a_wider_model_computes_the_same(attention: str, feed_forward: str) -> None:
    model = tied_model(encoder_attention_type=attention, feed_forward_proj=feed_forward)
    old = model.config
    wide = widen(model, d_model=old.d_model + 24, num_heads=old.num_heads + 1, d_ff=old.d_ff + 8).eval()
    inputs = {"input_ids": random_ids(2, 90), "decoder_input_ids": random_ids(2, 7)}
    with torch.no_grad():
        torch.testing.assert_close(wide(**inputs).logits, model(**inputs).logits, rtol=1e-4, atol=1e-5)
    assert wide.config.d_model == old.d_model + 24


def test_what_is_new_can_be_learned() -> None:
    model = tied_model(feed_forward_proj="gated-gelu")
    old = model.config
    wide = widen(model, d_model=old.d_model + 24, num_heads=old.num_heads + 1, d_ff=old.d_ff + 8)
    before = {name: parameter.clone() for name, parameter in wide.named_parameters()}
    optimizer = torch.optim.Adam(wide.parameters(), lr=0.01)
    for step in range(6):
        wide(input_ids=random_ids(1, 90, seed=step), labels=random_ids(1, 7)).loss.backward()
        optimizer.step()
    for name, parameter in wide.named_parameters():
        changed = parameter != before[name]
        changed[tuple(map(slice, model.get_parameter(name).shape))] = False
        assert changed.any() or changed.shape == model.get_parameter(name).shape, name


def test_what_cannot_be_widened_is_refused() -> None:
    model = tied_model()
    with pytest.raises(ValueError, match="wider"):
        widen(model, d_model=model.config.d_model - 8, num_heads=4, d_ff=64)
    untied = LongT5ForConditionalGeneration(tiny_config(tie_word_embeddings=False))
    with pytest.raises(ValueError, match="tie_word_embeddings"):
        widen(untied, d_model=256, num_heads=8, d_ff=512)
