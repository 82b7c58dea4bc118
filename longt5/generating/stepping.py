"""When `generate` writes by steps of fixed shapes, and the cache by which it does.

transformers' own loops stay in place, with all their processors, criteria and streamers, but for plain beam search
(`longt5.generating.beams`). They get a cache that reads the start of a text as any other and every later token by
`DecoderStep`. What others may have done to a model, and what looks into its layers, gets the layers themselves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.generation import GenerationMode
from transformers.utils import logging

from longt5.generating.step import DecoderStep
from longt5.hooks import is_altered
from longt5.layers import (
    LongT5Attention,
    LongT5Block,
    LongT5DenseActDense,
    LongT5DenseGatedActDense,
    LongT5LayerAttention,
    LongT5LayerFF,
    LongT5LayerNorm,
)
from longt5.tracing import is_plain

logger = logging.get_logger(__name__)

_MODES = (
    GenerationMode.GREEDY_SEARCH,
    GenerationMode.SAMPLE,
    GenerationMode.BEAM_SEARCH,
    GenerationMode.BEAM_SAMPLE,
)
# The modules of the decoder's blocks that have weights.
_MODULES = (
    nn.ModuleList,
    nn.Linear,
    nn.Embedding,
    LongT5Block,
    LongT5LayerAttention,
    LongT5Attention,
    LongT5LayerFF,
    LongT5DenseActDense,
    LongT5DenseGatedActDense,
    LongT5LayerNorm,
)


class SteppingCache(EncoderDecoderCache):
    """An empty cache for a text's decoder, which has the tokens after those it reads at first read by steps."""

    def __init__(self, model: Any, length: int) -> None:
        """
        Args:
            model: the LongT5ForConditionalGeneration that writes; its module uses this one.
            length: the most tokens that the decoder will read.
        """
        super().__init__(DynamicCache(), DynamicCache())
        self._model, self._length = model, length
        self._step: DecoderStep | None = None

    def logits(self, tokens: Tensor, encoder_mask: Tensor | None) -> Tensor:
        """`(rows, 1)` tokens that follow what was read -> `(rows, 1, vocabulary)`."""
        if self._step is None:
            self._step = DecoderStep(self._model, self, encoder_mask, tokens.shape[0], self._length)
            self.self_attention_cache, self.cross_attention_cache = DynamicCache(), DynamicCache()
        return self._step(tokens)

    def reorder(self, rows: Tensor) -> None:
        """Beams swap their pasts, but never their text: row i goes on from row `rows[i]`."""
        if self._step is None:
            self.self_attention_cache.reorder_cache(rows)
        else:
            self._step.reorder(rows)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return super().get_seq_length(layer_idx) if self._step is None else self._step.written


def goes_by_steps(
    model: Any,
    generation_config: GenerationConfig,
    model_kwargs: dict[str, Any],
    mode: GenerationMode,
) -> bool:
    """Whether `generate` may use a `SteppingCache`; where not, the log says why: on a GPU as a warning, once."""
    reason = _in_the_way(model, generation_config, model_kwargs, mode)
    if reason is None:
        return True
    # On a GPU it costs a multiple, on a CPU a part.
    say = logger.warning_once if model.device.type == "cuda" else logger.info
    say(f"generate() runs the decoder layer by layer, which is slower: {reason}.")
    return False


def _in_the_way(
    model: Any,
    config: GenerationConfig,
    model_kwargs: dict[str, Any],
    mode: GenerationMode,
) -> str | None:
    if mode not in _MODES or getattr(config, "is_assistant", False):
        return f"{mode.value} takes tokens back"
    if config.return_dict_in_generate:
        return "the cache or what the layers compute is returned"
    if config.cache_implementation not in (None, "dynamic"):
        return f"cache_implementation is {config.cache_implementation!r}"
    if model_kwargs.get("decoder_attention_mask") is not None:
        return "there is a decoder_attention_mask"
    if model.training or torch.is_grad_enabled():
        return "the model is being trained"
    device = model.device
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        return "autocast is on"
    parts: list[nn.Module] = [model.decoder, *model.decoder.block.modules(), model.decoder.final_layer_norm]
    parts += [model.decoder.embed_tokens, model.lm_head]
    if is_altered(model) or any(is_altered(part) for part in parts):
        return "there are hooks on the model"
    weighty = [part for part in parts[1:] if any(True for _ in part.parameters())]
    if any(type(part) not in _MODULES for part in weighty):
        return "layers were replaced"
    weights = [weight for part in parts for weight in part.parameters(recurse=False)]
    if not is_plain(*weights) or any(weight.device != device for weight in weights):
        return "weights are quantized, traced or on several devices"
    return None
