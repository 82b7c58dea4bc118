"""Matrix products in 8 bits: the bound of their error, what they make of a model, and that sizes don't matter."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from longt5.loading.int8 import LARGEST, Int8Linear, quantize, rounded
from tests.longt5.factories import ATTENTION_TYPES, random_ids, tiny_model


def linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(outputs))
    return layer


@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    # oneDNN's products of one input are wrong (torch 2.13), but no model has such a layer.
    inputs=st.integers(2, 200),
    outputs=st.integers(1, 70),
    power=st.integers(-20, 20),
)
@torch.no_grad()
def test_no_product_is_off_by_more_than_roundings_can_add_up_to(shape, inputs, outputs, power):
    layer = linear(inputs, outputs)
    states = torch.randn(*shape, inputs, generator=torch.Generator().manual_seed(inputs)) * 2.0**power
    actual = Int8Linear(layer)(states)
    assert actual.shape == (*shape, outputs)
    weight, states = layer.weight.double(), states.double()
    of_states, of_weight = (x.abs().amax(-1, keepdim=True) / LARGEST / 2 for x in (states, weight))
    bound = (
        of_states * weight.abs().sum(-1)
        + states.abs().sum(-1, keepdim=True) * of_weight.T
        + inputs * of_states * of_weight.T
    )
    expected = states @ weight.T
    assert ((actual - expected).abs() <= bound * 1.001 + expected.abs() * 1e-5).all()


@torch.no_grad()
def test_whole_numbers_up_to_127_are_exact():
    layer = nn.Linear(3, 2, bias=False)
    layer.weight.copy_(torch.tensor([[127.0, -3.0, 0.0], [5.0, 64.0, -127.0]]))
    states = torch.tensor([[[-127.0, 1.0, 2.0], [0.0, 0.0, 0.0]]])
    torch.testing.assert_close(Int8Linear(layer)(states), torch.tensor([[[-16132.0, -825.0], [0.0, 0.0]]]))


def test_rows_are_rounded_each_to_its_own_scale():
    codes, scale = rounded(torch.tensor([[1e4, 1.0, -1e4], [0.02, -0.0075, 0.0]]))
    assert codes.tolist() == [[127, 0, -127], [127, -48, 0]]
    assert codes.dtype == torch.int8
    torch.testing.assert_close(scale, torch.tensor([[1e4 / 127], [0.02 / 127]]))


@torch.no_grad()
def test_tokens_do_not_touch_each_other(monkeypatch):
    layer = Int8Linear(linear(20, 7))
    states = torch.randn(3, 11, 20)
    together = layer(states)
    monkeypatch.setattr("longt5.memory.TOKENS_AT_ONCE", 4)
    assert torch.equal(layer(states), together)
    assert torch.equal(layer(states[1:2, 3:4]), together[1:2, 3:4])


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
@torch.no_grad()
def test_a_model_in_int8_is_near_its_original(attention, feed_forward):
    model = tiny_model(encoder_attention_type=attention, feed_forward_proj=feed_forward)
    ids, decoder_ids = random_ids(2, 300), random_ids(2, 9, seed=1)
    whole = model(input_ids=ids, decoder_input_ids=decoder_ids)
    quantize(model)
    rough = model(input_ids=ids, decoder_input_ids=decoder_ids)
    for name in ("encoder_last_hidden_state", "logits"):
        expected, actual = getattr(whole, name), getattr(rough, name)
        error = ((actual - expected).norm() / expected.norm()).item()
        assert 0 < error < 0.05, f"{name} is off by {error:.1%}"
    assert model.generate(ids, num_beams=3, max_new_tokens=4).shape[0] == 2
