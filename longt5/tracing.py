"""Whether anything but plain execution is under way, for which only PyTorch's public operators will do.

The faster ways of a layer look at the values of a mask, write into buffers of their own and call operators that few of
PyTorch's tools know. A compiler, an exporter, a function transform, a mode that counts or fakes operations and a
subclass of Tensor need what they can see and replace: ordinary operations on whole tensors.
"""

import torch
from torch import Tensor, nn


def is_plain(*tensors: Tensor) -> bool:
    """Whether these are PyTorch's own tensors, and nothing records, transforms or replaces operations on them."""
    return (
        not torch.compiler.is_compiling()
        and all(type(tensor) in (Tensor, nn.Parameter) for tensor in tensors)
        and torch._C._len_torch_dispatch_stack() == 0
        and not is_transformed()
        and not torch.jit.is_tracing()
    )


def is_transformed() -> bool:
    """Whether a transform of torch.func or forward-mode differentiation is under way."""
    return (
        torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )
