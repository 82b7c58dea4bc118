"""What layers are made of: matrix products, activations, feed-forward networks."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from longt5 import memory
from longt5.attention import dispatch as kernels
from longt5.attention.dispatch import linear
from longt5.layers import LongT5LayerFF, activation, apply_linear
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


def add_a_hook(module: nn.Module, seen: list[torch.Size]) -> None:
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))


def replace_forward(module: nn.Module, seen: list[torch.Size]) -> None:
    """As accelerate does where weights are offloaded: it fetches them each time."""
    forward = module.forward

    def fetch(states: torch.Tensor) -> torch.Tensor:
        seen.append(states.shape)
        return forward(states)

    module.forward = fetch


@torch.no_grad()
@pytest.mark.parametrize("alter", [add_a_hook, replace_forward])
@pytest.mark.parametrize("name", ["DenseReluDense", "DenseReluDense.wi_0", "DenseReluDense.wo", "layer_norm"])
def test_who_looks_into_a_feed_forward_network_sees_the_whole_text_once(name, alter, monkeypatch):
    monkeypatch.setattr(memory, "TOKENS_AT_ONCE", 4)
    layer = LongT5LayerFF(tiny_config()).eval()
    states = torch.randn(2, 5, layer.layer_norm.weight.numel())
    expected = layer(states)
    seen: list[torch.Size] = []
    alter(layer.get_submodule(name), seen)
    assert_close(layer(states), expected)
    assert [shape[:-1] for shape in seen] == [(2, 5)]


@torch.no_grad()
def test_a_linear_layer_is_called_where_something_was_done_to_it(monkeypatch):
    """The product that goes round the module knows of no hook, no bias that is new and no other forward."""
    monkeypatch.setattr(kernels, "FEWEST_PRODUCTS", 0)
    layer = nn.Linear(3, 7, bias=False)
    states = torch.randn(2, 5, 3)
    expected = F.linear(states, layer.weight)
    assert_close(apply_linear(layer, states), expected)
    layer.bias = nn.Parameter(torch.arange(7.0))
    assert_close(apply_linear(layer, states), expected + layer.bias)
    seen: list[torch.Size] = []
    add_a_hook(layer, seen)
    apply_linear(layer, states)
    replace_forward(layer, seen)
    apply_linear(layer, states)
    assert seen == [(2, 5, 3)] * 3
    assert_close(apply_linear(nn.Sequential(layer), states), expected + layer.bias)


def test_gelu_as_one_operation_is_that_of_transformers():
    x = torch.linspace(-12, 12, 2001)
    assert_close(activation("gelu_new")(x), ACT2FN["gelu_new"](x))
    assert activation("relu")(x).equal(x.clamp(min=0))
