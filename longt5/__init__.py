"""LongT5 (Guo et al. 2022) in PyTorch: drop-in for transformers' classes, made for 16,384 tokens and more."""

from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

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
    "register",
]


def register() -> None:
    """Puts these classes behind AutoConfig, AutoModel and AutoModelForSeq2SeqLM, for all models of type "longt5".

    Whoever asks transformers for one by its name then gets ours: pipelines, trainers, scripts of others.
    """
    AutoConfig.register("longt5", LongT5Config, exist_ok=True)
    AutoModel.register(LongT5Config, LongT5Model, exist_ok=True)
    AutoModelForSeq2SeqLM.register(LongT5Config, LongT5ForConditionalGeneration, exist_ok=True)


warn_if_untested()
