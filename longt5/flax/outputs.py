"""What the Flax classes return: the output objects of transformers 4.57.6, with their fields in their order.

Fields that are None are absent where an output is read as a mapping or as a tuple: `output["logits"]`, `output[0]`,
`output.to_tuple()`, `**output`. Outputs are pytrees, so that compiled functions take and return them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import jax
from jax import Array

Arrays = tuple[Array, ...]
_Output = TypeVar("_Output", bound="Output")


class Output(Mapping[str, Any]):
    """An output: a frozen dataclass that is also a mapping from the names of its fields."""

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            return dict(self._present())[key]
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._present())

    def __len__(self) -> int:
        return len(list(self._present()))

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are not None, in their order."""
        return tuple(value for _, value in self._present())

    def replace(self: _Output, **changes: Any) -> _Output:
        """The same with some fields changed."""
        return replace(self, **changes)  # type: ignore[type-var]  # its children are dataclasses

    def _present(self) -> Iterator[tuple[str, Any]]:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None:
                yield field.name, value


def _pytree(cls: type[_Output]) -> type[_Output]:
    """Lets compiled functions take and return a dataclass of arrays."""
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    return jax.tree_util.register_dataclass(cls, data_fields=names, meta_fields=[])


@_pytree
@dataclass(frozen=True, eq=False)  # arrays are not compared by their truth
class FlaxBaseModelOutput(Output):
    """What the encoder returns."""

    last_hidden_state: Array
    """`(batch, length, d_model)`"""
    hidden_states: Arrays | None = None
    """Each layer's input and the output, `(batch, length, d_model)`."""
    attentions: Arrays | None = None
    """Each layer's weights, see `encoder_attention`."""


@_pytree
@dataclass(frozen=True, eq=False)
class FlaxBaseModelOutputWithPastAndCrossAttentions(Output):
    """What the decoder of `FlaxLongT5Model` returns."""

    last_hidden_state: Array
    past_key_values: dict[str, Any] | None = None
    """The cache with the new tokens' keys and values in it, see `init_cache`."""
    hidden_states: Arrays | None = None
    attentions: Arrays | None = None
    """Each layer's weights, `(batch, heads, queries, keys)`."""
    cross_attentions: Arrays | None = None
    """Each layer's weights, `(batch, heads, queries, source length)`."""


@_pytree
@dataclass(frozen=True, eq=False)
class FlaxCausalLMOutputWithCrossAttentions(Output):
    """What the decoder of `FlaxLongT5ForConditionalGeneration` returns."""

    logits: Array
    """`(batch, length, vocabulary)`"""
    past_key_values: dict[str, Any] | None = None
    hidden_states: Arrays | None = None
    attentions: Arrays | None = None
    cross_attentions: Arrays | None = None


@_pytree
@dataclass(frozen=True, eq=False)
class FlaxSeq2SeqModelOutput(Output):
    """What `FlaxLongT5Model` returns."""

    last_hidden_state: Array
    past_key_values: dict[str, Any] | None = None
    decoder_hidden_states: Arrays | None = None
    decoder_attentions: Arrays | None = None
    cross_attentions: Arrays | None = None
    encoder_last_hidden_state: Array | None = None
    encoder_hidden_states: Arrays | None = None
    encoder_attentions: Arrays | None = None


@_pytree
@dataclass(frozen=True, eq=False)
class FlaxSeq2SeqLMOutput(Output):
    """What `FlaxLongT5ForConditionalGeneration` returns."""

    logits: Array
    past_key_values: dict[str, Any] | None = None
    decoder_hidden_states: Arrays | None = None
    decoder_attentions: Arrays | None = None
    cross_attentions: Arrays | None = None
    encoder_last_hidden_state: Array | None = None
    encoder_hidden_states: Arrays | None = None
    encoder_attentions: Arrays | None = None


@_pytree
@dataclass(frozen=True, eq=False)
class FlaxGreedySearchOutput(Output):
    """What `generate` returns without sampling and beams."""

    sequences: Array
    """`(batch, max_length)`, with the start token, padded behind the end."""


@_pytree
@dataclass(frozen=True, eq=False)
class FlaxSampleOutput(Output):
    """What `generate` returns when it samples."""

    sequences: Array


@_pytree
@dataclass(frozen=True, eq=False)
class FlaxBeamSearchOutput(Output):
    """What `generate` returns with beams."""

    sequences: Array
    """`(batch * num_return_sequences, max_length)`, the best of each text first."""
    scores: Array
    """`(batch * num_return_sequences,)`: log probabilities, divided by the length to the power of `length_penalty`."""
