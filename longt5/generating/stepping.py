"""When `generate` writes by steps of fixed shapes, and the cache by which it does.

transformers' own loops stay in place, with all their processors, criteria and streamers, but for plain beam search
(`longt5.generating.beams`). They get a cache that reads the start of a text as any other and every later token by
`DecoderStep`, or on a CPU by `CompiledStep`. What others may have done to a model, and what looks into its layers, gets
the layers themselves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.generation import GenerationMode
from transformers.utils import logging

from longt5.generating.step import DecoderStep, Step
from longt5.hooks import is_altered, overrides
from longt5.layers import (
    LongT5Attention,
    LongT5Block,
    LongT5DenseActDense,
    LongT5DenseGatedActDense,
    LongT5LayerAttention,
    LongT5LayerFF,
    LongT5LayerNorm,
)
from longt5.loading.int8 import Int8Linear
from longt5.tracing import is_plain

logger = logging.get_logger(__name__)

# What all steps together read of memory, in bytes, from which compiled ones are worth their copy and Numba's start.
LEAST_READ = 2**30
_WIDEST_HEAD = 64  # of the compiled kernels, which take four numbers at once

_MODES = (
    GenerationMode.GREEDY_SEARCH,
    GenerationMode.SAMPLE,
    GenerationMode.BEAM_SEARCH,
    GenerationMode.BEAM_SAMPLE,
)
# What a step knows to read, by type and not by descent: what stands in the place of one of these has its own ways, and
# may have no weights that are tensors.
_MODULES = (
    nn.ModuleList,
    nn.Linear,
    Int8Linear,
    nn.Dropout,
    nn.Embedding,
    LongT5Block,
    LongT5LayerAttention,
    LongT5Attention,
    LongT5LayerFF,
    LongT5DenseActDense,
    LongT5DenseGatedActDense,
    LongT5LayerNorm,
)
# Methods of a model that are not called for a token that is a step, or not by `longt5.generating.beams`.
_LEFT_OUT = (
    "forward",
    "logits",
    "prepare_inputs_for_generation",
    "_update_model_kwargs_for_generation",
    "_reorder_cache",
)


class SteppingCache(EncoderDecoderCache):
    """An empty cache for a text's decoder, which has the tokens after those it reads at first read by steps."""

    def __init__(self, model: Any, length: int) -> None:
        """
        Args:
            model: the LongT5ForConditionalGeneration that writes; its module uses this one.
            length: the most tokens that the decoder will read.
        """
        super().__init__(DynamicCache(), Cache(layer_class_to_replicate=_AsComputed))
        self._model, self._length = model, length
        self._step: Step | None = None

    def logits(self, tokens: Tensor, encoder_mask: Tensor | None) -> Tensor:
        """`(rows, 1)` tokens that follow what was read -> `(rows, 1, vocabulary)`."""
        if self._step is None:
            self._step = self._first_step(encoder_mask, tokens.shape[0])
            self.self_attention_cache, self.cross_attention_cache = DynamicCache(), DynamicCache()
        return self._step(tokens)

    def _first_step(self, encoder_mask: Tensor | None, rows: int) -> Step:
        source = [x for layer in self.cross_attention_cache.layers for x in (layer.keys, layer.values)]
        read = (self._length - self.get_seq_length()) * sum(
            x.nbytes for x in [*_weights(self._model), *source]
        )
        is_worth_it = read >= LEAST_READ and all(x.dtype == torch.float32 for x in source)
        kind = (_compiled_kind(self._model) if is_worth_it else None) or DecoderStep
        return kind(self._model, self, encoder_mask, rows, self._length)

    def reorder(self, rows: Tensor) -> None:
        """Beams swap their pasts, but never their text: row i goes on from row `rows[i]`."""
        if self._step is None:
            self.self_attention_cache.reorder_cache(rows)
        else:
            self._step.reorder(rows)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return super().get_seq_length(layer_idx) if self._step is None else self._step.written


class _AsComputed(DynamicLayer):
    """A layer's keys and values of a text as they were computed: transformers' copies them to add them to nothing."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: Any, **_options: Any
    ) -> tuple[Tensor, Tensor]:
        self.lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states, value_states
        return key_states, value_states


def compile_ahead(model: Any) -> bool:
    """Compiles what `generate` writes with on a CPU, ten seconds the first time on a machine, lest a text wait for it.

    Returns:
        Whether this model can write by compiled steps here.
    """
    return _compiled_kind(model) is not None


def _compiled_kind(model: Any) -> type[Step] | None:
    config = model.config
    if any(weight.device.type != "cpu" or weight.dtype != torch.float32 for weight in _weights(model)):
        return None
    if config.d_kv > _WIDEST_HEAD or config.d_kv % 4:
        return None
    try:
        # Here and not above: Numba takes half a second, and does not run with every new NumPy.
        from longt5.generating import compiled
    except ImportError as error:
        logger.warning_once(f"generate() takes twice as long on this CPU without Numba ({error}).")
        return None
    return compiled.CompiledStep if compiled.survives() else None


def _weights(model: Any) -> list[Tensor]:
    """What every step reads."""
    return [*model.decoder.parameters(), *model.lm_head.parameters()]


def goes_by_steps(
    model: Any,
    generation_config: GenerationConfig,
    model_kwargs: dict[str, Any],
    mode: GenerationMode,
    stock: tuple[Any, Any],
) -> bool:
    """Whether `generate` may use a `SteppingCache`; where not, the log says why: on a GPU as a warning, once.

    Args:
        stock: the classes of a model and of a decoder that are as they come, without methods of others.
    """
    reason = _in_the_way(model, generation_config, model_kwargs, mode, stock)
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
    stock: tuple[Any, Any],
) -> str | None:
    if mode not in _MODES or getattr(config, "is_assistant", False):
        return f"{mode.value} takes tokens back"
    if config.return_dict_in_generate:
        return "the cache or what the layers compute is returned"
    if config.cache_implementation not in (None, "dynamic"):
        return f"cache_implementation is {config.cache_implementation!r}"
    if model_kwargs.get("decoder_attention_mask") is not None:
        return "there is a decoder_attention_mask"
    if (mask := model_kwargs.get("attention_mask")) is not None and mask.dim() != 2:
        return "the attention_mask is a ready one, with more than 2 dimensions"
    if model.training or torch.is_grad_enabled():
        return "the model is being trained"
    device = model.device
    if torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type):
        return "autocast is on"
    if type(model.decoder) is not stock[1]:
        return "the decoder was replaced"
    inner = dict(model.decoder.block.named_modules())
    ends = [model.decoder.embed_tokens, model.decoder.final_layer_norm, model.lm_head]
    if any(is_altered(part) for part in (model, model.decoder, *inner.values(), *ends)):
        return "there are hooks on the model"
    if overrides(model, stock[0], _LEFT_OUT):
        return "the model has methods of its own"
    # An activation is called as it is, whatever it is.
    read = [part for name, part in inner.items() if "act" not in name.split(".")] + ends
    if any(type(part) not in _MODULES for part in read):
        return "layers were replaced"
    weights = [
        weight for part in read for kind in (part.parameters, part.buffers) for weight in kind(recurse=False)
    ]
    if not is_plain(*weights) or any(weight.device != device for weight in weights):
        return "weights are quantized, traced or on several devices"
    return None
