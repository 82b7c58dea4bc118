"""Stands in for the package `spaces` of ZeroGPU Spaces: runs each call in a forked process with its own memory.

As in release 0.51.3: arguments, what is yielded and errors are pickled; a process is forked for a call and may be used
for the next one; a generator that is closed is closed in the process after its next yield; "cuda" is taken only from
the thread that imported this, and is the CPU here. Refusals are the errors that the package raises, and are ordered by
a file named in STAND_IN_REFUSES.
"""

from __future__ import annotations

import contextvars
import inspect
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio
import torch
from gradio.context import LocalContext

from . import zero

_fork = multiprocessing.get_context("fork")
_main_thread = threading.current_thread()
_to = torch.nn.Module.to


def _to_emulated(module: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.nn.Module:
    if args == ("cuda",):
        if threading.current_thread() is not _main_thread:
            raise RuntimeError("Low-level CUDA init (`torch._C._cuda_init`) reached.")
        return module
    return _to(module, *args, **kwargs)


torch.nn.Module.to = _to_emulated  # type: ignore[method-assign, assignment]


def GPU(task: Callable[..., Any], *, duration: Callable[..., int]) -> Callable[..., Iterator[Any]]:
    """Of the decorator what is used: a generator function, and a duration that is computed from its arguments."""
    assert inspect.isgeneratorfunction(task)
    zero.decorated.append(task)

    def lent(*arguments: Any) -> Iterator[Any]:
        assert zero.started, "No @spaces.GPU function detected during startup"
        seconds = duration(*arguments)
        _note(f"{seconds} s for {_visitor()}")
        _refuse()
        here, there = _fork.Pipe()
        closing = _fork.Event()
        process = _fork.Process(target=_serve, args=(task, there, here, closing), daemon=True)
        process.start()
        there.close()
        here.send(arguments)
        try:
            while True:
                try:
                    kind, content = here.recv()
                except EOFError:
                    raise _error("ZeroGPU worker error", "GPU task aborted") from None
                if kind == "end":
                    return
                if kind == "error":
                    raise _error("ZeroGPU worker error", content)
                try:
                    yield content
                except GeneratorExit:
                    closing.set()
                    while kind != "end":
                        kind, _ = here.recv()
                    raise
        finally:
            here.close()
            process.join()

    return lent


def _serve(task: Callable[..., Any], there: Any, here: Any, closing: Any) -> None:
    here.close()
    _note(f"call in {os.getpid()} of {os.getppid()}")
    arguments = there.recv()
    answers = task(*arguments)

    def iterate() -> None:
        try:
            for answer in answers:
                if closing.is_set():
                    answers.close()
                    break
                there.send(("answer", answer))
        except Exception as error:
            there.send(("error", type(error).__name__))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(iterate,))
    thread.start()
    thread.join()
    there.send(("end", None))


def _visitor() -> str:
    request = LocalContext.request.get(None)
    return request.headers.get("x-ip-token", "nobody's token") if request is not None else "nobody"


def _refuse() -> None:
    order = Path(os.environ.get("STAND_IN_REFUSES") or os.devnull)
    if order.is_file():
        title, message = order.read_text(encoding="utf-8").split("\n", 1)
        raise _error(title, message)


def _error(title: str, message: str) -> gradio.Error:
    return gradio.Error(message, title=title, print_exception=False)


def _note(line: str) -> None:
    with open(os.environ.get("STAND_IN_LOG") or os.devnull, "a", encoding="utf-8") as log:
        log.write(f"{line}\n")
