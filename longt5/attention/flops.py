"""What the attention costs, for torch.utils.flop_counter, which takes operators that it does not know to be free.

PyTorch has no formula for its own fused attention on a CPU (2.13), and none can know our operators.
"""

from typing import Any

import torch
from torch.utils.flop_counter import (
    flop_registry,
    register_flop_formula,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from longt5.attention import fused as _fused  # noqa: F401  # defines the operators

Shape = tuple[int, ...]


def _multiplications(query: Shape, band_bias: Shape, global_key: Shape | None) -> int:
    """Of one product of queries (batch, length, heads, d_kv) with all that they attend to, times two for the sums."""
    batch, length, heads, d_kv = query
    return 2 * batch * length * heads * d_kv * (band_bias[1] + (global_key[1] if global_key else 0))


def _fused_flop(
    query: Shape, key: Shape, value: Shape, bias: Shape, global_key: Any, *_: Any, **__: Any
) -> int:
    return 2 * _multiplications(query, bias, global_key)


def _fused_backward_flop(
    gradient: Shape,
    output: Shape,
    log_sums: Shape,
    query: Shape,
    key: Shape,
    value: Shape,
    bias: Shape,
    global_key: Any,
    *_: Any,
    **__: Any,
) -> int:
    """Scores again, then the gradients of weights, queries, keys and values."""
    return 5 * _multiplications(query, bias, global_key)


def _cpu_flop(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _cpu_backward_flop(gradient: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


for _operator, _formula in {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_flop,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _cpu_backward_flop,
    torch.ops.longt5.fused_attention: _fused_flop,
    torch.ops.longt5.fused_attention_backward: _fused_backward_flop,
}.items():
    if _operator not in flop_registry:
        register_flop_formula(_operator)(_formula)  # type: ignore[arg-type]  # its types say "no arguments"
