"""LongT5 as a module of flax.nnx: its parameters as `nnx.Param`, for optimizers and transformations of nnx."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from longt5.configuration import LongT5Config
from longt5.flax import core
from longt5.flax.outputs import FlaxBaseModelOutput, FlaxSeq2SeqLMOutput, FlaxSeq2SeqModelOutput
from longt5.flax.parameters import Dimensions, Params, initial_params


class _Node(nnx.Module):
    """A place in the tree of parameters."""

    def __init__(self, params: Params) -> None:
        for name, value in params.items():
            setattr(self, name, _Node(value) if isinstance(value, dict) else nnx.Param(value))


class LongT5Module(nnx.Module):
    """The model that `params` belong to, with a head or without.

    `nnx.split`, `nnx.state`, `nnx.jit`, `nnx.value_and_grad` and `nnx.Optimizer` take it as any module; its state has
    the names of `params`.
    """

    def __init__(
        self,
        config: LongT5Config,
        params: Params | None = None,
        *,
        with_head: bool = True,
        dtype: Any = jnp.float32,
        gradient_checkpointing: bool = False,
        rngs: nnx.Rngs | None = None,
    ) -> None:
        """
        Args:
            params: as `FlaxLongT5PreTrainedModel.params`; drawn with `rngs` where None.
            with_head: whether logits are returned, or the decoder's states.
            dtype, gradient_checkpointing: see `longt5.flax.core.Setup`.
        """
        self.setup = core.Setup(Dimensions.of(config), dtype, gradient_checkpointing)
        self.with_head = with_head
        if params is None:
            key = (rngs or nnx.Rngs(0)).params()
            params = initial_params(
                self.setup.dimensions, key, with_head=False, factor=config.initializer_factor
            )
        for name, value in params.items():
            setattr(self, name, _Node(value))

    @property
    def params(self) -> Params:
        """The tree of arrays, as `FlaxLongT5PreTrainedModel.params`."""
        return nnx.to_pure_dict(nnx.state(self, nnx.Param))

    def encode(
        self, input_ids: Array, attention_mask: Array | None = None, *, rngs: nnx.Rngs | None = None
    ) -> FlaxBaseModelOutput:
        """Runs the encoder over `(batch, length)` tokens; with `rngs`, whose `dropout` is drawn from, for training."""
        mask = jnp.ones_like(input_ids) if attention_mask is None else attention_mask
        return core.encode(self.params, input_ids, mask, self.setup, dropout_key=_dropout_key(rngs))

    def __call__(
        self,
        input_ids: Array,
        attention_mask: Array | None,
        decoder_input_ids: Array,
        decoder_attention_mask: Array | None = None,
        *,
        rngs: nnx.Rngs | None = None,
    ) -> FlaxSeq2SeqLMOutput | FlaxSeq2SeqModelOutput:
        """Encodes `(batch, source length)` tokens and decodes `(batch, length)`; masks of None are all text."""
        mask = jnp.ones_like(input_ids) if attention_mask is None else attention_mask
        if decoder_attention_mask is None:
            decoder_attention_mask = jnp.ones_like(decoder_input_ids)
        return core.forward(
            self.params,
            input_ids,
            mask,
            decoder_input_ids,
            decoder_attention_mask,
            self.setup,
            with_head=self.with_head,
            dropout_key=_dropout_key(rngs),
        )


def _dropout_key(rngs: nnx.Rngs | None) -> jax.Array | None:
    return None if rngs is None else rngs.dropout()
