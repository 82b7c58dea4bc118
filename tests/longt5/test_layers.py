"""What layers are made of: matrix products, activations, feed-forward networks."""

import pytest
import torch
from torch.nn import functional as F
from transformers.activations import ACT2FN

from longt5 import memory
from longt5.attention import dispatch as kernels
from longt5.attention.dispatch import linear
from longt5.layers import LongT5LayerFF, activation
from tests.longt5.factories import assert_close, tiny_config


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


@torch.no_grad()
def test_products_of_many_tokens_are_cut(monkeypatch):
    monkeypatch.setattr(kernels, "FEWEST_PRODUCTS", 0)
    monkeypatch.setattr(memory, "TOKENS_AT_ONCE", 4)
    states, weight = torch.randn(2, 5, 3), torch.randn(7, 3)
    assert_close(linear(states, weight), F.linear(states, weight))


@torch.no_grad()
def test_an_offloaded_feed_forward_network_is_fetched_once(monkeypatch):
    monkeypatch.setattr(memory, "TOKENS_AT_ONCE", 4)
    layer = LongT5LayerFF(tiny_config())
    seen = []
    layer.DenseReluDense.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].shape[:-1].numel())
    )
    states = torch.randn(1, 10, layer.layer_norm.weight.numel())
    layer(states)
    layer.to("meta")(states.to("meta"))  # where accelerate keeps weights that are offloaded
    assert seen == [4, 4, 2, 10]


def test_gelu_as_one_operation_is_that_of_transformers():
    x = torch.linspace(-12, 12, 2001)
    assert_close(activation("gelu_new")(x), ACT2FN["gelu_new"](x))
    assert activation("relu")(x).equal(x.clamp(min=0))
