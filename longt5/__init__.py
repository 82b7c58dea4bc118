"""LongT5 (Guo et al. 2022) in PyTorch: drop-in for transformers' classes, made for 16,384 tokens and more.

PyTorch is imported with the first class that needs it: `longt5.flax` does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from longt5.versions import warn_if_untested

if TYPE_CHECKING:
    from longt5.configuration import LongT5Config
    from longt5.modeling import (
        LongT5EncoderModel,
        LongT5ForConditionalGeneration,
        LongT5Model,
        LongT5PreTrainedModel,
    )

__all__ = [
    "LongT5Config",
    "LongT5EncoderModel",
    "LongT5ForConditionalGeneration",
    "LongT5Model",
    "LongT5PreTrainedModel",
    "register",
]

_MODULES = {"LongT5Config": "longt5.configuration"} | dict.fromkeys(
    ("LongT5EncoderModel", "LongT5ForConditionalGeneration", "LongT5Model", "LongT5PreTrainedModel"),
    "longt5.modeling",
)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'longt5' has no attribute '{name}'")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value  # found at once from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def register() -> None:
    """Puts these classes behind AutoConfig, AutoModel and AutoModelForSeq2SeqLM, for all models of type "longt5".

    Whoever asks transformers for one by its name then gets ours: pipelines, trainers, scripts of others.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM

    from longt5.configuration import LongT5Config
    from longt5.modeling import LongT5ForConditionalGeneration, LongT5Model

    AutoConfig.register("longt5", LongT5Config, exist_ok=True)
    AutoModel.register(LongT5Config, LongT5Model, exist_ok=True)
    AutoModelForSeq2SeqLM.register(LongT5Config, LongT5ForConditionalGeneration, exist_ok=True)


warn_if_untested()
