"""Products with matrices in oneDNN's own order, which a CPU reads about twice as fast as rows: for what stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from longt5.attention.dispatch import onednn_applies, onednn_linear
from longt5.layers import apply_linear

# Multiplications from which the order is worth the operator's start.
FEWEST_PRODUCTS = 2**18

Products = Callable[[Tensor], Sequence[Tensor]]


def pack(weight: Tensor, rows: int) -> Tensor:
    """A copy of `(out, in)` in the order for `rows` rows of states; nothing but `onednn_linear` can read it."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)


def products(layers: Sequence[nn.Linear], *, rows: int, packed: bool) -> Products:
    """What applies linear layers to the same `(rows, in)` states.

    Args:
        packed: as one product with a packed copy of their weights, where it is of use.
    """
    weights = [layer.weight for layer in layers]
    count = rows * sum(weight.numel() for weight in weights)
    fits = packed and count >= FEWEST_PRODUCTS and onednn_applies(*weights)
    # Asked last: an int8 layer does not fit, nor has it a bias.
    if not fits or any(layer.bias is not None for layer in layers):
        return lambda states: [apply_linear(layer, states) for layer in layers]
    weight = pack(weights[0] if len(weights) == 1 else torch.cat(weights), rows)
    sizes = [len(weight) for weight in weights]
    return lambda states: onednn_linear(states, weight).split(sizes, dim=-1)
