"""Which kernel computes what: chosen by device, dtype, gradients and padding, with an override for tests.

Attention in the encoder: `longt5.attention.split` is the fastest on a CPU, `longt5.attention.fused` on a CUDA GPU,
with and without gradients, and `longt5.attention.tiled` does everything: every device, dtype and kind of padding.
Matrix products: PyTorch's own, but on a CPU without gradients those of oneDNN, which PyTorch has in it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from longt5.attention.fused import fused_attention, serves
from longt5.attention.reference import Globals, blocked_attention
from longt5.attention.split import split_attention
from longt5.attention.tiled import tiled_attention
from longt5.memory import in_pieces
from longt5.tracing import is_plain, is_transformed

logger = logging.getLogger(__name__)

Kernel = Literal["split", "tiled", "fused"]

# Multiplications from which oneDNN is worth its start, some 20 microseconds more than MKL's.
FEWEST_PRODUCTS = 2**20

_fused_failed = False
_forced: Kernel | None = None


@contextmanager
def use(kernel: Kernel) -> Iterator[None]:
    """Has this one compute what is called within, whatever would be chosen. For tests and comparisons."""
    global _forced
    before, _forced = _forced, kernel
    try:
        yield
    finally:
        _forced = before


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
    once: asking for a gradient of its gradients raises RuntimeError. Under torch.func, in forward mode, where
    attentions are returned, and compiled with dropout outside a GPU, `blocked_attention` is in its place, which knows
    all derivatives and takes its memory.

    Args:
        query, key, value: (batch, length, heads, d_kv).
        band_bias: (heads, 2 * radius + 1), see `longt5.attention.reference.band_bias_tile`.
        attention_mask: (batch, length), non-zero at text; None means that all is text.
        dropout: probability of dropping an attention weight.
    Returns:
        (batch, length, heads, d_kv)
    """
    inputs = (query, key, value, band_bias, global_tokens, attention_mask)
    compiling = torch.compiler.is_compiling()
    if not compiling and is_transformed():
        # The kernels' gradients are for backward() alone.
        return blocked_attention(*inputs, dropout=dropout)[0]
    kernel = _forced or _fastest(inputs, dropout)
    if compiling and kernel == "tiled" and dropout > 0:
        # Its dropout is drawn anew in the backward pass, from a generator that no compiler can trace.
        return blocked_attention(*inputs, dropout=dropout)[0]
    if kernel == "fused":
        if compiling or _forced is not None:
            return fused_attention(*inputs, dropout=dropout)
        try:
            return fused_attention(*inputs, dropout=dropout)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # Triton, its compiler and the driver have errors of their own
            _give_up_fused(error)
    if kernel == "split":
        lengths = [query.shape[1]] * len(query) if attention_mask is None else text_lengths(attention_mask)
        if lengths is not None:
            return split_attention(query, key, value, band_bias, global_tokens, lengths)
    return tiled_attention(*inputs, dropout=dropout)


Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Globals | None, Tensor | None]


def _fastest(inputs: Inputs, dropout: float) -> Kernel:
    """The kernel for the first six arguments of `encoder_attention`."""
    query, key, value, band_bias, global_tokens, _ = inputs
    if query.device.type == "cuda":
        alike = all(tensor.dtype == query.dtype for tensor in (key, value, *(global_tokens or ())[:2]))
        served = alike and serves(query.shape[-1], query.dtype, query.device)
        return "fused" if served and not _fused_failed else "tiled"
    if query.device.type != "cpu" or dropout > 0 or not is_plain(query):
        return "tiled"  # `split` looks at the mask
    learned = (query, key, value, band_bias, *(global_tokens or ())[:3])
    differentiated = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in learned)
    return "tiled" if differentiated else "split"


def _give_up_fused(error: Exception) -> None:
    """Leaves the fused kernels alone from now on: without a C compiler, for one, each layer would try in vain."""
    global _fused_failed
    _fused_failed = True
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    logger.warning("Triton cannot compile here, a slower kernel does its work (%s).", reason)


def faster_on_cpu(states: Tensor, weight: Tensor) -> bool:
    """Whether `linear` has a faster way than F.linear with these."""
    return onednn_applies(states, weight) and states.shape[:-1].numel() * weight.numel() >= FEWEST_PRODUCTS


def onednn_applies(*tensors: Tensor) -> bool:
    """Whether oneDNN can multiply these, and is the faster library.

    float32 goes to MKL in PyTorch, which on AMD's processors is slower than oneDNN: by 1.3 for a thousand tokens, by 2
    for the four tokens of four beams.
    """
    return is_plain(*tensors) and not (
        torch.is_grad_enabled()
        or any(tensor.dtype != torch.float32 or tensor.device.type != "cpu" for tensor in tensors)
        or not torch.backends.mkldnn.is_available()
        or torch.is_autocast_enabled("cpu")
    )


def onednn_linear(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `linear`, by oneDNN, by the operator that torch.compile puts in the place of F.linear; `onednn_applies`."""
    return torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")


def linear(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """states @ weight.T + bias, (..., in), (out, in) and (out,) -> (..., out)."""
    if not faster_on_cpu(states, weight):
        return F.linear(states, weight, bias)
    return in_pieces(
        lambda piece: onednn_linear(piece, weight, bias),
        states,
        len(weight),
        states.dtype,
    )


def text_lengths(attention_mask: Tensor) -> list[int] | None:
    """How many tokens of text each row of (batch, length) begins with; None if there is text behind padding."""
    text = attention_mask != 0
    lengths = text.sum(-1)
    is_prefix = torch.arange(text.shape[-1]) < lengths[:, None]
    return lengths.tolist() if torch.equal(text, is_prefix) else None
