"""LongT5 (Guo et al. 2022) in PyTorch: drop-in for transformers' classes, made for 16,384 tokens and more."""

from longt5.configuration import LongT5Config
from longt5.modeling import (
    LongT5EncoderModel,
    LongT5ForConditionalGeneration,
    LongT5Model,
    LongT5PreTrainedModel,
)
from longt5.versions import warn_if_untested

__all__ = [
    "LongT5Config",
    "LongT5EncoderModel",
    "LongT5ForConditionalGeneration",
    "LongT5Model",
    "LongT5PreTrainedModel",
]

warn_if_untested()
