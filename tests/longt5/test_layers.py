"""Layers that treat some tokens after the others, and the matrix products that they are made of."""

import pytest
import torch
from torch.nn import functional as F
from transformers.activations import ACT2FN

from longt5 import kernels, layers
from longt5.kernels import linear
from longt5.layers import activation, in_pieces
from tests.longt5.factories import ATTENTION_TYPES, assert_close, padded_mask, random_ids, tiny_model


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
def test_the_size_of_pieces_does_not_matter(attention, feed_forward, monkeypatch):
    model = tiny_model("LongT5EncoderModel", encoder_attention_type=attention, feed_forward_proj=feed_forward)
    ids, mask = random_ids(2, 90), padded_mask(90, 90, 50)
    whole = model(ids, attention_mask=mask).last_hidden_state.detach()  # with gradients, nothing is cut
    for size in (1, 7, 64, 180):
        monkeypatch.setattr(layers, "TOKENS_AT_ONCE", size)
        with torch.no_grad():
            assert_close(model(ids, attention_mask=mask).last_hidden_state[mask.bool()], whole[mask.bool()])


def pieces_of(weight: torch.Tensor) -> list[int]:
    """How many tokens a function was given at a time, of 10 tokens in 2 rows."""
    seen = []

    def double(states):
        seen.append(states.numel() // 3)
        return states * 2

    states = torch.randn(2, 5, 3)
    assert torch.equal(in_pieces(double, states, weight, states.dtype), states * 2)
    return seen


def test_tokens_are_cut_into_pieces_unless_weights_would_be_fetched_for_each(monkeypatch):
    monkeypatch.setattr(layers, "TOKENS_AT_ONCE", 4)
    with torch.no_grad():
        assert pieces_of(torch.ones(3)) == [4, 4, 2]
        assert pieces_of(torch.ones(3, device="meta")) == [
            10
        ]  # where accelerate keeps those that are offloaded
    assert pieces_of(torch.ones(3)) == [10]


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 5, 3), (0, 3)], ids=str)
@pytest.mark.parametrize("fewest", [0, 2**20], ids=["oneDNN", "MKL"])
def test_products_are_pytorchs(shape, fewest, monkeypatch):
    monkeypatch.setattr(kernels, "FEWEST_PRODUCTS", fewest)
    generator = torch.Generator().manual_seed(0)
    states, weight = torch.randn(*shape, generator=generator), torch.randn(7, 3, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(linear(states, weight), F.linear(states, weight))
        halves = linear(states.bfloat16(), weight.bfloat16())
        with torch.autocast("cpu", torch.bfloat16):
            cast = linear(states, weight)
    assert halves.dtype == cast.dtype == torch.bfloat16
    weight.requires_grad_()
    linear(states, weight).sum().backward()
    torch.testing.assert_close(weight.grad, states.reshape(-1, 3).sum(0).expand(7, -1))


def test_gelu_as_one_operation_is_that_of_transformers():
    x = torch.linspace(-12, 12, 2001)
    assert_close(activation("gelu_new")(x), ACT2FN["gelu_new"](x))
    assert activation("relu")(x).equal(x.clamp(min=0))
