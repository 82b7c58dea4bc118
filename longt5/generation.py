"""A text through the encoder, and a text written about it: plain functions that tell how far they have come.

Both run in the caller's thread, without gradients. `longt5.interruption` is the way to stop them; an exception of
`on_progress` ends them as well.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.modeling_outputs import BaseModelOutput

from longt5.hooks import before_each
from longt5.modeling import LongT5EncoderModel, LongT5ForConditionalGeneration

Tokens = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class EncodedText:
    """A text as the encoder left it, with what it takes to ask for its attention later."""

    input_ids: Tensor
    """`(1, length)`."""
    attention_mask: Tensor
    """`(1, length)`; 0 at what a decoder does not see."""
    last_hidden_state: Tensor
    """`(1, length, d_model)`."""
    layer_inputs: tuple[Tensor, ...]
    """One `(1, length, d_model)` for each layer of the encoder."""

    @property
    def hidden_states(self) -> tuple[Tensor, ...]:
        """All that is large of it."""
        return (*self.layer_inputs, self.last_hidden_state)

    def showing(self, shown: Tensor) -> EncodedText:
        """The same text, of which a decoder sees some tokens only, as a section of it; `shown` is `(length,)` bool.

        The encoder has read all of it: what is seen knows what stands around it.
        """
        mask = self.attention_mask * shown.to(self.attention_mask)
        return replace(self, attention_mask=mask)

    def seen(self) -> tuple[Tensor, Tensor]:
        """Ids `(1, seen)` and states `(1, seen, d_model)` of what a decoder sees: nothing is computed for the rest."""
        if bool(self.attention_mask.all()):
            return self.input_ids, self.last_hidden_state
        index = self.attention_mask[0].nonzero()[:, 0]
        states = self.last_hidden_state[:, index.to(self.last_hidden_state.device)]
        return self.input_ids[:, index.to(self.input_ids.device)], states


@torch.inference_mode()
def encode(
    model: LongT5ForConditionalGeneration | LongT5EncoderModel,
    input_ids: Tensor,
    attention_mask: Tensor | None = None,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> EncodedText:
    """Runs the encoder over one text of (1, length) tokens.

    Args:
        on_progress: called after each layer with the share of the layers that are done, 1.0 at last.
    """
    blocks = model.encoder.block
    report = on_progress or (lambda fraction: None)

    def before_layer(index: int, _inputs: tuple[Any, ...]) -> None:
        if index > 0:
            report(index / len(blocks))

    with before_each(blocks, before_layer):
        *layer_inputs, last_hidden_state = model.encoder(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        ).hidden_states
    report(1.0)
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    return EncodedText(input_ids, mask, last_hidden_state, tuple(layer_inputs))


@torch.inference_mode()
def write(
    model: LongT5ForConditionalGeneration,
    encoded: EncodedText,
    generation_config: GenerationConfig,
    *,
    begun: Tokens = (),
    seed: int | None = None,
    logits_processor: list[LogitsProcessor] | None = None,
    on_progress: Callable[[Tokens], None] | None = None,
) -> Tokens:
    """Generates a text about an encoded one, as `model.generate` with `generation_config` does.

    Args:
        begun: how the text begins.
        seed: makes sampling repeatable, without a touch on the process's random state.
        on_progress: called before each token with those of the best unfinished beam so far, without the start token.
    Returns:
        The tokens of the finished text, what was begun among them, without start, end and padding.
    """
    processors = LogitsProcessorList(logits_processor or [])
    if on_progress is not None:
        processors.append(_Reporter(on_progress))
    with nullcontext() if seed is None else _SeededSampling(seed):
        input_ids, states = encoded.seen()
        start = model.generation_config.decoder_start_token_id
        sequences = model.generate(
            input_ids,
            decoder_input_ids=torch.tensor([[start, *begun]], device=input_ids.device) if begun else None,
            attention_mask=torch.ones_like(input_ids),
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            generation_config=generation_config,
            logits_processor=processors,
        )
    ends = _token_set(model.generation_config.eos_token_id) | _token_set(generation_config.eos_token_id)
    tokens = sequences[0, 1:].tolist()
    end = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return tuple(tokens[:end])


class _Reporter(LogitsProcessor):
    """Reports the first beam, which is the best one, each time it is about to get another token."""

    def __init__(self, report: Callable[[Tokens], None]):
        self.report = report

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.report(tuple(input_ids[0, 1:].tolist()))
        return scores


def _token_set(tokens: int | list[int] | None) -> set[int]:
    return {tokens} if isinstance(tokens, int) else set(tokens or ())


class _SeededSampling(TorchFunctionMode):
    """Draws tokens by a random state of its own, as the process's is shared with all other threads.

    `generate` takes no generator, and what it draws from is ready only after the last of its logits processors, so
    that none of them could draw instead. Without a seed nothing is intercepted.
    """

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
