"""The decoder's attention to what the encoder has read, for a token of every beam.

A text's keys and values stay as they are while hundreds of tokens are written about it, so that on a CPU they are put
into oneDNN's own order once. For four beams PyTorch's attention reads them at half of the speed, or less.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from longt5.attention.dispatch import onednn_applies, onednn_linear
from longt5.generating.packed import pack

# From where the order is of use, as measured on two cores: the product with the values is shared out among no more.
FEWEST_BEAMS = 3
FEWEST_KEYS = 2048  # for each thread
MOST_THREADS = 2

Attend = Callable[[Tensor], Tensor]


def source_attention(key: Tensor, value: Tensor, bias: Tensor | None, beams: int, *, packed: bool) -> Attend:
    """What attends to a text: (texts, heads, beams, d_kv) queries -> `(texts * beams, heads * d_kv)`.

    Args:
        key, value: `(texts, heads, source length, d_kv)`.
        bias: `(texts or 1, 1, 1, source length)`, added to the scores.
        packed: with a copy of keys and values in oneDNN's own order, where it is of use; they are not needed then.
    """
    threads = torch.get_num_threads()
    if (
        packed
        and beams >= FEWEST_BEAMS
        and threads <= MOST_THREADS
        and key.shape[2] >= FEWEST_KEYS * threads
        and onednn_applies(key, value)
    ):
        return _PackedSource(key, value, bias, beams, threads)
    return partial(attend, key=key, value=value, bias=bias)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """Attention without scaling: (texts, heads, beams, d_kv) queries -> `(texts * beams, heads * d_kv)`."""
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
    return attended.transpose(1, 2).flatten(2).flatten(0, 1)


class _PackedSource:
    """Keys and values in oneDNN's own order: a linear layer's weights for each head."""

    def __init__(self, key: Tensor, value: Tensor, bias: Tensor | None, beams: int, together: int) -> None:
        """
        Args:
            together: heads in one product with the values, for which each head is a thread's. It costs a product of
                each head's weights with each other's values, but oneDNN shares nothing less out.
        """
        self._d_kv = key.shape[-1]
        self._keys = [[pack(head, beams) for head in text] for text in key]
        self._values = [
            [
                pack(heads.transpose(1, 2).flatten(0, 1).contiguous(), len(heads) * beams)
                for heads in text.split(together)
            ]
            for text in value
        ]
        self._together = together
        self._bias = None if bias is None else bias.expand(len(key), -1, -1, -1)

    def __call__(self, query: Tensor) -> Tensor:
        texts = [self._one_text(text, query[text]) for text in range(len(query))]
        return texts[0] if len(texts) == 1 else torch.cat(texts)

    def _one_text(self, text: int, query: Tensor) -> Tensor:
        """(heads, beams, d_kv) -> `(beams, heads * d_kv)`"""
        scores = torch.stack(
            [onednn_linear(head, key) for head, key in zip(query, self._keys[text], strict=True)]
        )
        if self._bias is not None:
            scores += self._bias[text]
        attended = [
            self._own_values(onednn_linear(weights.flatten(0, 1), values), len(weights))
            for weights, values in zip(
                scores.softmax(-1).split(self._together), self._values[text], strict=True
            )
        ]
        return torch.cat(attended, dim=-1)

    def _own_values(self, products: Tensor, heads: int) -> Tensor:
        """(heads * beams, heads * d_kv) of each with each -> `(beams, heads * d_kv)` of each head with its own"""
        if heads == 1:
            return products
        each = products.view(heads, -1, heads, self._d_kv)
        return torch.cat([each[head, :, head] for head in range(heads)], dim=-1)
