"""ZeroGPU of Hugging Face's Spaces: a GPU is lent for one call at a time, in a process that is forked for it.

What a call changes in its process is seen by nobody else: a call gets its arguments, reports on the way, and returns,
all of it pickled. Only the models are shared, as they were put on the GPU at the start, before there were calls.

`spaces`, the package that lends the GPU, is there on such a Space only. What is known here of its ways was read in its
release 0.51.3.
"""

from __future__ import annotations

import importlib
import logging
import re
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import torch

from app.logs import without_words
from app.models import ModelStore
from app.settings import Host
from app.summarizing.settings import SummaryError
from app.turns import POLL_SECONDS
from app.work import Stopped, follow
from longt5.memory import ran_out_of_memory

logger = logging.getLogger(__name__)

T = TypeVar("T")

DEVICE = "cuda"

Report: TypeAlias = Callable[[Any], None]
Work: TypeAlias = Callable[..., T]
"""A function of a module, called as `work(store, report, stop, *arguments)`."""

# A GPU is asked for by the second, and a call that outlasts what it asked for may be aborted.
LEAST_SECONDS, MOST_SECONDS = 15, 120
# Guesses, on the safe side: nothing has run on such a GPU yet.
START_SECONDS = 8.0  # the fork, and bringing the weights to the GPU
TOKENS_READ_A_SECOND = 20_000
TOKENS_WRITTEN_A_SECOND = 30

ABORTED = "The GPU was taken back too early; choose a shorter summary, fewer beams or a lower input limit."
TOO_LONG = "This takes longer than Hugging Face lends a GPU at once; choose a shorter summary or a lower input limit."
SPENT = "Your time on Hugging Face's GPUs is used up{wait}; with an account there, or a larger one, there is more."
PENDING = "Work of yours that is still going on has all your GPU time; try again when it is done."
NONE_FREE = "None of Hugging Face's GPUs is free; try again in a few minutes."
FAILED = "Hugging Face's GPU could not be used; try again in a few minutes."


def lend_gpu(store: ModelStore, host: Host) -> None:
    """On a Space of the ZeroGPU kind puts the models on the GPU and has the store's work run there; elsewhere nothing.

    To be called from the main thread, the only one in which `spaces` takes what is put on "cuda", and after PyTorch
    was imported but before it has seen a GPU.

    Raises:
        SummaryError: a model can't be loaded.
    """
    if not host.is_zero_gpu:
        return
    spaces = importlib.import_module("spaces")
    store.load_all(DEVICE)
    store.gpu = GpuCalls(store, spaces.GPU)
    # What `gradio.Blocks.launch` would call, and this page is not launched but mounted: it writes the weights to where
    # a call fetches them, and reports that there is something to lend a GPU to.
    importlib.import_module("spaces.zero").startup()


def seconds_for(read: int, written: int) -> int:
    """How long a GPU is asked for, to read and to write so many tokens."""
    seconds = START_SECONDS + read / TOKENS_READ_A_SECOND + written / TOKENS_WRITTEN_A_SECOND
    return round(min(max(seconds, LEAST_SECONDS), MOST_SECONDS))


class GpuCalls:
    """Runs work in processes that have a GPU. May be used from any thread."""

    def __init__(self, store: ModelStore, decorator: Callable[..., Any]) -> None:
        """Args: decorator: `spaces.GPU`, or what does the same."""

        def on_gpu(
            work: Work[Any], arguments: tuple[Any, ...], seconds: int, stop_file: str
        ) -> Generator[_Report | _Result[Any] | _Failure, None, None]:
            yield from _in_child(store, work, arguments, Path(stop_file))

        self._on_gpu = decorator(on_gpu, duration=lambda work, arguments, seconds, stop_file: seconds)

    def call(
        self,
        work: Work[T],
        *arguments: Any,
        seconds: int,
        report: Report = lambda event: None,
        stop: threading.Event | None = None,
    ) -> T:
        """What `work` returns. Arguments, reports and what is returned have to be picklable, and hold no CUDA tensor.

        Args:
            seconds: how long the GPU is asked for.
            stop: seen by the work too; whether it raises Stopped or returns what it has is up to it.

        Raises:
            SummaryError: no GPU was lent, or it was taken back, or the work raised it.
            Stopped, MemoryError: the work raised it.
            RuntimeError: the work raised something else, whose name it says; the log has the place.
        """
        with _as_file(stop) as stop_file:
            try:
                with closing(self._on_gpu(work, arguments, seconds, str(stop_file))) as answers:
                    for answer in answers:
                        if isinstance(answer, _Report):
                            report(answer.event)
                        elif isinstance(answer, _Failure):
                            raise answer.error
                        else:
                            return answer.value
            except Exception as error:
                refused = refusal(error)
                if refused is None:
                    raise
                logger.warning("No GPU: %s", refused)
                raise SummaryError(refused) from None
        raise SummaryError(ABORTED)


def refusal(error: Exception) -> str | None:
    """What an error of `spaces` says, in one sentence; None for an error of somebody else's."""
    title, said = getattr(error, "title", None), str(getattr(error, "message", error))
    if said == "Connection closed by visitor while queueing" or "ZeroGPU API" in said:
        return FAILED
    if not isinstance(title, str) or not title.startswith("ZeroGPU"):
        return None
    if "aborted" in said:
        return ABORTED
    if title == "ZeroGPU illegal duration":
        return TOO_LONG
    if title == "ZeroGPU pending credits exceeded":
        return PENDING
    if "No GPU was available" in said:
        return NONE_FREE
    if title == "ZeroGPU quota exceeded":
        wait = re.search(r"Try again in (\S+(?: days?, \S+)??)\.", said)
        return SPENT.format(wait=f" for {wait[1]}" if wait else "")
    return FAILED


@dataclass(frozen=True)
class _Report:
    event: Any


@dataclass(frozen=True)
class _Result(Generic[T]):
    value: T


@dataclass(frozen=True)
class _Failure:
    error: Exception


class _StopFile(threading.Event):
    """Set by anybody on this machine who writes the file: `threading.Event` does not reach another process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def is_set(self) -> bool:
        if not super().is_set() and self._path.exists():
            self.set()
        return super().is_set()


@contextmanager
def _as_file(stop: threading.Event | None) -> Iterator[Path]:
    """A file that is there as soon as `stop` is set."""
    over = threading.Event()

    def watch(stop: threading.Event, path: Path) -> None:
        while not over.wait(POLL_SECONDS):
            if stop.is_set():
                path.touch()
                return

    with tempfile.TemporaryDirectory(prefix="stop-") as folder:
        path = Path(folder) / "stop"
        watching = None
        if stop is not None:
            watching = threading.Thread(target=watch, args=(stop, path), name="longt5-stop", daemon=True)
            watching.start()
        try:
            yield path
        finally:
            over.set()
            if watching is not None:
                watching.join()


def _in_child(
    store: ModelStore, work: Work[Any], arguments: tuple[Any, ...], stop_file: Path
) -> Generator[_Report | _Result[Any] | _Failure, None, None]:
    """Runs the work in the process that has the GPU."""
    # A pool of threads does not survive a fork: whoever waits for one of its threads waits for ever.
    torch.set_num_threads(1)
    own, stop = store.forked(), _StopFile(stop_file)
    result: list[Any] = []
    failure: Exception | None = None

    def run(report: Report) -> None:
        result.append(work(own, report, stop, *arguments))

    try:
        for event in follow(run, stop):
            yield _Report(event)
    except (SummaryError, Stopped, MemoryError) as error:
        failure = error
    except Exception as error:
        logger.error("Work on the GPU failed\n%s", without_words(error))
        failure = MemoryError() if ran_out_of_memory(error) else RuntimeError(type(error).__name__)
    # Work that was stopped may have returned what it had by then.
    if result:
        yield _Result(result[0])
    else:
        assert failure is not None
        yield _Failure(failure)
