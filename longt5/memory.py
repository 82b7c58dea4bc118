"""Memory of a pass over a long text: some tokens at a time, into buffers that the layers use one after the other.

A large tensor that is freed goes back to the system, and what takes its place in the next layer is mapped and cleared
page by page: with 16,384 tokens and a base model that was 2.3 million page faults, 4 to 5 of 25 s on two CPU cores.
PyTorch keeps freed memory on a GPU, but not on a CPU. And whether there was none left.
"""

import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from longt5.interruption import interruption_point
from longt5.tracing import is_plain

# Tokens treated at once where tokens do not depend on each other. Products of 512 and 1,024 tokens are as fast as those
# of 16,384 on a CPU, those of 256 are slower; what 512 leave behind is little enough for malloc to keep. On a GPU this
# bounds the memory, and its speed has not been measured.
TOKENS_AT_ONCE = 512
TOKENS_AT_ONCE_ON_GPU = 16_384


class _Buffers:
    """Freed memory by its size in bytes, until it is closed."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[Tensor]] = defaultdict(list)
        self._open = True

    def empty(self, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        size = shape.numel() * dtype.itemsize
        memory = self._free[size].pop() if self._free[size] else torch.empty(size, dtype=torch.uint8)
        # The tensor's storage holds this array and nothing else does: when it goes, no view of the tensor is left.
        array = memory.numpy()
        weakref.finalize(array, self._take_back, memory).atexit = False
        return torch.from_numpy(array).view(dtype).view(shape)

    def _take_back(self, memory: Tensor) -> None:
        if self._open:
            self._free[len(memory)].append(memory)

    def close(self) -> None:
        """Lets go of what is free now, and of the rest as soon as it is."""
        self._open = False
        self._free.clear()


_buffers: ContextVar[_Buffers | None] = ContextVar("buffers", default=None)


@contextmanager
def shared_buffers() -> Iterator[None]:
    """Within, `empty` gives memory again that it gave before, once no tensor is left that uses it."""
    buffers = _Buffers()
    token = _buffers.set(buffers)
    try:
        yield
    finally:
        _buffers.reset(token)
        buffers.close()


def empty(shape: tuple[int, ...], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of any content, as `like.new_empty` makes one."""
    buffers = _buffers.get()
    if buffers is None or like.device.type != "cpu" or not is_plain(like):
        return like.new_empty(shape, dtype=dtype)
    return buffers.empty(torch.Size(shape), dtype or like.dtype)


def add(a: Tensor, b: Tensor) -> Tensor:
    """a + b, of the same shape; `b`'s dtype is no wider than `a`'s."""
    if torch.is_grad_enabled() or _is_short(a) or not is_plain(a, b):
        return a + b
    return torch.add(a, b, out=empty(a.shape, a))


def in_pieces(function: Callable[[Tensor], Tensor], states: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """`function(states)`, a function of each token alone, computed for some tokens after the others.

    What it holds in between then stays in a CPU's caches, and does not grow with the text. With gradients all is kept
    anyway.

    Args:
        states: (..., d_model).
        width, dtype: of the result, (..., width).
    """
    if not is_cut(states):
        return function(states)
    tokens = states.flatten(0, -2)
    result = empty((len(tokens), width), states, dtype)
    size = _tokens_at_once(states)
    for piece, of_piece in zip(tokens.split(size), result.split(size), strict=True):
        interruption_point()
        of_piece.copy_(function(piece))
    return result.unflatten(0, states.shape[:-1])


def is_cut(states: Tensor) -> bool:
    """Whether `in_pieces` goes through (..., d_model) states piece by piece."""
    return not (torch.is_grad_enabled() or _is_short(states)) and is_plain(states)


def _is_short(states: Tensor) -> bool:
    """Whether (..., d_model) states are too few to be cut."""
    return states.shape[:-1].numel() <= _tokens_at_once(states)


def _tokens_at_once(states: Tensor) -> int:
    return TOKENS_AT_ONCE if states.device.type == "cpu" else TOKENS_AT_ONCE_ON_GPU


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left: on a CPU PyTorch raises a plain RuntimeError for it."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
