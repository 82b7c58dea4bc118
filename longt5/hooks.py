"""Hooks that act in the thread that set them alone, and only for a while; and whether a module has any."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules import module as modules


@contextmanager
def before_each(modules: Iterable[nn.Module], call: Callable[[int, tuple[Any, ...]], None]) -> Iterator[None]:
    """Within, calls `call(index, positional inputs)` before this thread runs one of the modules."""
    thread = threading.get_ident()  # the model may work for somebody else as well

    def hook_of(index: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if threading.get_ident() == thread:
                call(index, inputs)

        return hook

    handles = [module.register_forward_pre_hook(hook_of(index)) for index, module in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def is_altered(module: nn.Module) -> bool:
    """Whether calling a module does more than its class's `forward`: hooks of its own or of all, or another `forward`.

    accelerate puts one in its place to fetch weights that are offloaded.
    """
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or "forward" in vars(module)
        or modules._has_any_global_hook()
    )


def overrides(module: nn.Module, stock: type, methods: Iterable[str]) -> bool:
    """Whether one of the methods is not that of the class `stock`: a subclass or the object itself has its own."""
    return any(
        name in vars(module) or getattr(type(module), name, None) is not getattr(stock, name)
        for name in methods
    )
