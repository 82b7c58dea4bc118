"""LongT5 in JAX (Guo et al. 2022): the Flax classes of transformers 4.57.6, which its later releases do not have.

Needs no PyTorch. A core of pure functions (`core`), a module of flax.nnx (`module`), and the classes (`modeling`,
`generation`).
"""

from longt5.flax.generation import FlaxLongT5ForConditionalGeneration
from longt5.flax.modeling import FlaxLongT5Model, FlaxLongT5PreTrainedModel, shift_tokens_right
from longt5.flax.module import LongT5Module
from longt5.loading.files import LoadingError

__all__ = [
    "FlaxLongT5ForConditionalGeneration",
    "FlaxLongT5Model",
    "FlaxLongT5PreTrainedModel",
    "LoadingError",
    "LongT5Module",
    "shift_tokens_right",
]
