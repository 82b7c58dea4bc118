"""Which kernel computes what: chosen by device, dtype, gradients and padding, with an override for tests.

Attention in the encoder: `longt5.split_attention` is the fastest on a CPU, `longt5.tiled_attention` does everything:
gradients, dropout, every kind of padding, every device. Matrix products: PyTorch's own, but on a CPU without gradients
those of oneDNN, which PyTorch has in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from longt5.attention import Globals
from longt5.split_attention import split_attention
from longt5.tiled_attention import tiled_attention

Kernel = Literal["split", "tiled"]

_forced: ContextVar[Kernel | None] = ContextVar("kernel", default=None)


@contextmanager
def use(kernel: Kernel) -> Iterator[None]:
    """Has this one compute what is called within, whatever would be chosen. For tests and comparisons."""
    token = _forced.set(kernel)
    try:
        yield
    finally:
        _forced.reset(token)


def encoder_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band_bias: Tensor,
    global_tokens: Globals | None = None,
    attention_mask: Tensor | None = None,
    *,
    dropout: float = 0.0,
) -> Tensor:
    """Local attention, or transient-global attention where there are global tokens.

    Each query attends to the keys at most `radius` tokens away and to every global token, under one softmax.
    Padding is never attended to; what a padded query gets is finite and without meaning. It can be differentiated
    once: asking for a gradient of its gradients raises RuntimeError.

    Args:
        query, key, value: (batch, length, heads, d_kv).
        band_bias: (heads, 2 * radius + 1), see `longt5.attention.band_bias_tile`.
        attention_mask: (batch, length), non-zero at text; None means that all is text.
        dropout: probability of dropping an attention weight.
    Returns:
        (batch, length, heads, d_kv)
    """
    lengths = [query.shape[1]] * len(query) if attention_mask is None else None
    kernel = _forced.get()
    if kernel is None:
        tensors = (query, key, value, band_bias, *(global_tokens or ())[:3])
        differentiated = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        on_cpu = query.device.type == "cpu" and not torch.compiler.is_compiling()
        kernel = "split" if on_cpu and not differentiated and dropout == 0 else "tiled"
    if kernel == "split" and attention_mask is not None:
        lengths = text_lengths(attention_mask)
    if kernel == "split" and lengths is not None:
        return split_attention(query, key, value, band_bias, global_tokens, lengths)
    return tiled_attention(query, key, value, band_bias, global_tokens, attention_mask, dropout=dropout)


def linear(states: Tensor, weight: Tensor) -> Tensor:
    """states @ weight.T, (..., in) and (out, in) -> (..., out).

    float32 goes to MKL in PyTorch, which on AMD's processors is slower than oneDNN: by 1.3 for a thousand tokens, by 2
    for the four tokens of four beams. (`torch.mkldnn` is where torch.compile has its products from, too.)
    """
    if (
        torch.is_grad_enabled()
        or states.dtype != torch.float32
        or weight.dtype != torch.float32
        or states.device.type != "cpu"
        or not torch.backends.mkldnn.is_available()
        or torch.compiler.is_compiling()
    ):
        return F.linear(states, weight)
    return torch.ops.mkldnn._linear_pointwise(states, weight, None, "none", [], "")


def text_lengths(attention_mask: Tensor) -> list[int] | None:
    """How many tokens of text each row of (batch, length) begins with; None if there is text behind padding."""
    text = attention_mask != 0
    lengths = text.sum(-1)
    is_prefix = torch.arange(text.shape[-1]) < lengths[:, None]
    return lengths.tolist() if torch.equal(text, is_prefix) else None
