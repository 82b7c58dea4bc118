"""Which kernel computes what: chosen by device, dtype, gradients and padding, with an override for tests.

Attention in the encoder: `longt5.attention.split` is the fastest on a CPU, `longt5.attention.flex` is for long texts on
a CUDA GPU where torch.compile works, and `longt5.attention.tiled` does everything: gradients, dropout, every kind of
padding, every device. Matrix products: PyTorch's own, but on a CPU without gradients those of oneDNN, which PyTorch
has in it.
"""

import logging
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from longt5.attention.flex import flex_encoder_attention
from longt5.attention.reference import Globals
from longt5.attention.split import split_attention
from longt5.attention.tiled import tiled_attention
from longt5.memory import in_pieces

logger = logging.getLogger(__name__)

Kernel = Literal["split", "tiled", "flex"]

# Shortest text for which FlexAttention is compiled. On an H100 in bfloat16 it saves 0.6 ms a layer here, 3 ms at 16,384
# tokens, and compiling takes some seconds once.
FLEX_LENGTH = 2048

# Multiplications from which oneDNN is worth its start, some 20 microseconds more than MKL's.
FEWEST_PRODUCTS = 2**20

_flex_failed = False
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
        band_bias: (heads, 2 * radius + 1), see `longt5.attention.reference.band_bias_tile`.
        attention_mask: (batch, length), non-zero at text; None means that all is text.
        dropout: probability of dropping an attention weight.
    Returns:
        (batch, length, heads, d_kv)
    """
    inputs = (query, key, value, band_bias, global_tokens, attention_mask)
    kernel = _forced.get()
    if kernel is None:
        tensors = (query, key, value, band_bias, *(global_tokens or ())[:3])
        differentiated = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        # What others compile is the tiles: the rest looks at masks, or at whether it could be compiled.
        only_tiles = differentiated or dropout > 0 or torch.compiler.is_compiling()
        kernel = "tiled" if only_tiles else _fastest(query)
    if kernel == "flex":
        try:
            return flex_encoder_attention(*inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # every part of torch.compile has errors of its own
            if _forced.get() is not None:
                raise
            _give_up_flex(error)
    if kernel == "split":
        lengths = [query.shape[1]] * len(query) if attention_mask is None else text_lengths(attention_mask)
        if lengths is not None:
            return split_attention(query, key, value, band_bias, global_tokens, lengths)
    return tiled_attention(*inputs, dropout=dropout)


def _fastest(query: Tensor) -> Kernel:
    """For queries (batch, length, heads, d_kv) without gradients and dropout."""
    if query.device.type == "cpu":
        return "split"
    flex_serves = (
        not _flex_failed
        and query.device.type == "cuda"
        and query.shape[1] >= FLEX_LENGTH
        and query.shape[-1] >= 16  # Triton multiplies no smaller matrices
        and query.dtype in (torch.float32, torch.float16, torch.bfloat16)
        and find_spec("triton") is not None
        # A daemonic process may start no others, as the compiler does. In a ZeroGPU Space all work is done in such
        # processes, a new one for each call, which would each compile anew.
        and not multiprocessing.current_process().daemon
    )
    return "flex" if flex_serves else "tiled"


def _give_up_flex(error: Exception) -> None:
    """Leaves FlexAttention alone from now on: without a C compiler, for one, each layer would try in vain."""
    global _flex_failed
    _flex_failed = True
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    logger.warning("FlexAttention cannot be compiled here, a slower kernel does its work (%s).", reason)


def linear(states: Tensor, weight: Tensor) -> Tensor:
    """states @ weight.T, (..., in) and (out, in) -> (..., out).

    float32 goes to MKL in PyTorch, which on AMD's processors is slower than oneDNN: by 1.3 for a thousand tokens, by 2
    for the four tokens of four beams. The operator is the one that torch.compile puts in the place of F.linear.
    """
    if (
        torch.is_grad_enabled()
        or states.dtype != torch.float32
        or weight.dtype != torch.float32
        or states.device.type != "cpu"
        or states.shape[:-1].numel() * weight.numel() < FEWEST_PRODUCTS
        or not torch.backends.mkldnn.is_available()
        or torch.is_autocast_enabled("cpu")
        or torch.compiler.is_compiling()
    ):
        return F.linear(states, weight)
    return in_pieces(
        lambda piece: torch.ops.mkldnn._linear_pointwise(piece, weight, None, "none", [], ""),
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
