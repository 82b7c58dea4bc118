"""Points at which a long pass through the model can be interrupted by whoever asked for it.

The model passes one before each part of a layer and before each piece of a part that takes long: twelve times for a
token of four decoder layers, and after some tenths of a second in the encoder of a base model on two CPU cores. What
happens there is up to the caller; raising an exception ends the pass. It holds for the caller's thread alone, as the
model may work for somebody else in another one, and nothing is left in the model afterwards.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Within, `check` is called at each interruption point that this thread passes."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def interruption_point() -> None:
    """Calls the check of this thread, if there is one. It is no part of what torch.compile compiles."""
    if torch.compiler.is_compiling():
        return
    check = _check.get()
    if check is not None:
        check()
