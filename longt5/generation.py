"""Encoding and decoding as streams: progress while they run, and an end within a second when asked to stop.

The work runs in a thread of its own; the caller iterates over what it reports. Asking for an end, by the `stop` event
or by closing the iterator, is noticed before each operation of PyTorch, so no layer has to run to its end.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.modeling_outputs import BaseModelOutput

from longt5.modeling import LongT5ForConditionalGeneration

T = TypeVar("T")


class Stopped(Exception):
    """The work was asked to stop."""


@dataclass(frozen=True)
class EncodingProgress:
    """How much of the encoder's work is done, 0 to 1."""

    fraction: float


@dataclass(frozen=True, eq=False)
class EncodedText:
    """A text as the encoder left it, with what it takes to ask for its attention later."""

    input_ids: Tensor  # (1, length)
    attention_mask: Tensor  # (1, length)
    last_hidden_state: Tensor  # (1, length, d_model)
    layer_inputs: tuple[Tensor, ...]  # one (1, length, d_model) for each layer of the encoder


@dataclass(frozen=True)
class WritingProgress:
    """The tokens of the best unfinished beam so far, without the start token."""

    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class Written:
    """The tokens of the finished text, without start, end and padding."""

    token_ids: tuple[int, ...]


def encode(
    model: LongT5ForConditionalGeneration,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    stop: threading.Event | None = None,
) -> Iterator[EncodingProgress | EncodedText]:
    """Runs the encoder over one text of (1, length) tokens.

    Yields:
        An EncodingProgress after each layer and, last, the EncodedText.
    Raises:
        Stopped: `stop` was set.
    """

    def work(report: Callable[[EncodingProgress | EncodedText], None]) -> None:
        blocks = model.encoder.block
        worker = threading.get_ident()

        def report_progress(layer: int) -> Callable[..., None]:
            def hook(*_: Any) -> None:
                if threading.get_ident() == worker:  # the model may be encoding for somebody else as well
                    report(EncodingProgress((layer + 1) / len(blocks)))

            return hook

        hooks = [block.register_forward_hook(report_progress(i)) for i, block in enumerate(blocks)]
        try:
            *layer_inputs, last_hidden_state = model.encoder(
                input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
            ).hidden_states
        finally:
            for hook in hooks:
                hook.remove()
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        report(EncodedText(input_ids, mask, last_hidden_state, tuple(layer_inputs)))

    return stream(work, stop)


def write(
    model: LongT5ForConditionalGeneration,
    encoded: EncodedText,
    generation_config: GenerationConfig,
    *,
    seed: int | None = None,
    logits_processor: list[LogitsProcessor] | None = None,
    stop: threading.Event | None = None,
) -> Iterator[WritingProgress | Written]:
    """Generates a text about an encoded one, as `model.generate` with `generation_config` does.

    Args:
        seed: makes sampling repeatable, without a touch on the process's random state.
    Yields:
        A WritingProgress before each token and, last, the Written text.
    Raises:
        Stopped: `stop` was set.
    """

    def work(report: Callable[[WritingProgress | Written], None]) -> None:
        processors = LogitsProcessorList([*(logits_processor or []), _Reporter(report)])
        with nullcontext() if seed is None else _SeededSampling(seed):
            sequences = model.generate(
                encoded.input_ids,
                attention_mask=encoded.attention_mask,
                encoder_outputs=BaseModelOutput(last_hidden_state=encoded.last_hidden_state),
                generation_config=generation_config,
                logits_processor=processors,
            )
        ends = _token_set(model.generation_config.eos_token_id) | _token_set(generation_config.eos_token_id)
        tokens = sequences[0, 1:].tolist()
        end = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
        report(Written(tuple(tokens[:end])))

    return stream(work, stop)


class _Reporter(LogitsProcessor):
    """Reports the first beam, which is the best one, each time it is about to get another token."""

    def __init__(self, report: Callable[[WritingProgress], None]):
        self.report = report

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.report(WritingProgress(tuple(input_ids[0, 1:].tolist())))
        return scores


def _token_set(tokens: int | list[int] | None) -> set[int]:
    return {tokens} if isinstance(tokens, int) else set(tokens or ())


class _SeededSampling(TorchFunctionMode):
    """Draws tokens by a random state of its own, as the process's is shared with all other threads."""

    def __init__(self, seed: int):
        super().__init__()
        self.seed = seed
        self.generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.multinomial:
            device = args[0].device
            if device not in self.generators:
                self.generators[device] = torch.Generator(device).manual_seed(self.seed)
            kwargs = {**kwargs, "generator": self.generators[device]}
        return func(*args, **kwargs)


class _StopBetweenOperations(TorchFunctionMode):
    """Raises Stopped at the next operation of PyTorch in this thread once `requested` says so."""

    def __init__(self, requested: Callable[[], bool]):
        super().__init__()
        self.requested = requested

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.requested():
            raise Stopped("The work was stopped.")
        return func(*args, **(kwargs or {}))


def stream(work: Callable[[Callable[[T], None]], None], stop: threading.Event | None) -> Iterator[T]:
    """Yields what `work(report)` reports from a thread, and raises what it raises."""
    reports: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    abandoned = threading.Event()

    def stop_requested() -> bool:
        return abandoned.is_set() or (stop is not None and stop.is_set())

    def run() -> None:
        try:
            with torch.inference_mode(), _StopBetweenOperations(stop_requested):
                work(lambda item: reports.put(("item", item)))
            reports.put(("done", None))
        except BaseException as error:  # whatever it is, it is raised again where somebody waits for it
            reports.put(("error", error))

    thread = threading.Thread(target=run, name="longt5-stream", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = reports.get()
            if kind == "item":
                yield item
            elif kind == "error":
                raise item
            else:
                return
    finally:
        abandoned.set()
        thread.join()
