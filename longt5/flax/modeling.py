"""FlaxLongT5Model, and what it shares with FlaxLongT5ForConditionalGeneration: transformers' classes up to 4.57.6.

Arguments, outputs and the names of parameters are those of 4.57.6. Every method compiles by itself, once for each
shape, and may be called in functions that are compiled, differentiated or sharded.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from transformers import GenerationConfig, PreTrainedConfig

from longt5.configuration import LongT5Config
from longt5.flax import core
from longt5.flax.loading import load, save
from longt5.flax.module import LongT5Module
from longt5.flax.outputs import (
    FlaxBaseModelOutput,
    FlaxBaseModelOutputWithPastAndCrossAttentions,
    FlaxCausalLMOutputWithCrossAttentions,
    FlaxSeq2SeqLMOutput,
    FlaxSeq2SeqModelOutput,
)
from longt5.flax.parameters import Dimensions, Params, flattened, initial_params, nested, parameters
from longt5.loading.files import Place

_Model = TypeVar("_Model", bound="FlaxLongT5PreTrainedModel")

_encode = jax.jit(core.encode, static_argnames=("setup", "wanted"))
_forward = jax.jit(core.forward, static_argnames=("setup", "wanted", "with_head"))


@partial(jax.jit, static_argnames=("setup", "wanted", "with_head"))
def _decode(*, params: Params, setup: core.Setup, with_head: bool, **inputs: Any) -> Any:
    decoded = core.decode(params, setup=setup, **inputs)
    if not with_head:
        return decoded
    return FlaxCausalLMOutputWithCrossAttentions(
        logits=core.logits(params, decoded.last_hidden_state, setup),
        past_key_values=decoded.past_key_values,
        hidden_states=decoded.hidden_states,
        attentions=decoded.attentions,
        cross_attentions=decoded.cross_attentions,
    )


def shift_tokens_right(input_ids: Array, pad_token_id: int, decoder_start_token_id: int) -> Array:
    """The decoder's input for labels `(batch, length)`: the start token in front, the last token gone, -100 padding."""
    shifted = jnp.roll(jnp.asarray(input_ids), 1, axis=-1).at[:, 0].set(decoder_start_token_id)
    return jnp.where(shifted == -100, pad_token_id, shifted)


class FlaxLongT5PreTrainedModel:
    """What both classes share: a configuration, and `params`, the tree of parameters that methods use by default."""

    config_class = LongT5Config
    with_head: ClassVar[bool]
    generation_config: GenerationConfig | None = None

    def __init__(
        self,
        config: LongT5Config,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: Any = jnp.float32,
        _do_init: bool = True,
        *,
        gradient_checkpointing: bool = False,
    ) -> None:
        """A model with random parameters.

        Args:
            input_shape: not used; 4.57.6 had to run the model to know its parameters.
            seed: of the parameters.
            dtype: in which the model computes: float32, bfloat16 or float16. Parameters stay in their own, float32
                here; see `to_bf16`.
            _do_init: without parameters if False: give them to each call as `params`.
            gradient_checkpointing: whether the backward pass computes each layer of the decoder again instead of
                keeping it, as it always does those of the encoder.
        Raises:
            ValueError: the activation is none that is known.
        """
        self.config = config
        self._setup = core.Setup(Dimensions.of(config), dtype, gradient_checkpointing)
        self._params: Params | None = None
        if _do_init:
            self._params = self.init_weights(jax.random.key(seed), input_shape)

    @property
    def dtype(self) -> Any:
        """In which the model computes."""
        return self._setup.dtype

    @property
    def params(self) -> Params:
        """The parameters by their names in Flax checkpoints, nested dictionaries of arrays."""
        if self._params is None:
            raise ValueError(
                "The model was made with _do_init=False and has no parameters: give them to each call."
            )
        return self._params

    @params.setter
    def params(self, params: Params) -> None:
        missing = self.required_params - flattened(params).keys()
        if missing:
            raise ValueError(f"The parameters lack {'.'.join(min(missing))} and {len(missing) - 1} more.")
        self._params = params

    @property
    def required_params(self) -> set[tuple[str, ...]]:
        """What `params` must have, the names of each from the root; a head may come on top."""
        return {parameter.path for parameter in parameters(self._setup.dimensions, with_head=False)}

    @property
    def params_shape_tree(self) -> Params:
        """The shapes of what `init_weights` draws, a tree of `jax.ShapeDtypeStruct`."""
        return jax.eval_shape(lambda key: self.init_weights(key, (1, 1)), jax.random.key(0))

    def init_weights(self, rng: Array, input_shape: tuple[int, ...], params: Params | None = None) -> Params:
        """New random parameters; the model keeps its own.

        Args:
            rng: a key of `jax.random`.
            input_shape: not used.
            params: those that are there already: only what they lack is drawn.
        """
        drawn = initial_params(
            self._setup.dimensions,
            rng,
            # As the checkpoint has it: `load` sets this.
            with_head=self.with_head and not self.config.tie_word_embeddings,
            factor=self.config.initializer_factor,
        )
        return drawn if params is None else nested(flattened(drawn) | flattened(params))

    @property
    def module(self) -> LongT5Module:
        """The model as a module of flax.nnx, with `params` as they are now."""
        return LongT5Module(
            self.config,
            self.params,
            with_head=self.with_head,
            dtype=self.dtype,
            gradient_checkpointing=self._setup.gradient_checkpointing,
        )

    def enable_gradient_checkpointing(self) -> None:
        """From now on the backward pass computes each layer of the decoder again, as it does those of the encoder."""
        self._setup = core.Setup(self._setup.dimensions, self.dtype, gradient_checkpointing=True)

    def to_bf16(self, params: Params, mask: Any = None) -> Params:
        """The parameters in bfloat16; the model computes in `dtype` all the same.

        Args:
            mask: a tree of booleans with the structure of `params`, False at those that stay as they are.
        """
        return _cast(params, jnp.bfloat16, mask)

    def to_fp16(self, params: Params, mask: Any = None) -> Params:
        """The parameters in float16; `mask` as in `to_bf16`."""
        return _cast(params, jnp.float16, mask)

    def to_fp32(self, params: Params, mask: Any = None) -> Params:
        """The parameters in float32; `mask` as in `to_bf16`."""
        return _cast(params, jnp.float32, mask)

    @classmethod
    def from_pretrained(
        cls: type[_Model],
        pretrained_model_name_or_path: str | os.PathLike,
        dtype: Any = jnp.float32,
        *,
        config: PreTrainedConfig | str | os.PathLike | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        subfolder: str = "",
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        from_pt: bool = False,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        _do_init: bool = True,
        gradient_checkpointing: bool = False,
        **overrides: Any,
    ) -> Any:
        """A model from a folder or the Hub, by the rules of `longt5.loading`: no parameter is ever random.

        Files with PyTorch's names (`model.safetensors`, one or in parts) are read, else `flax_model.msgpack`.

        Args:
            dtype: in which the model computes; its parameters are as the file has them.
            config: in place of the model's own, or the folder or model that has it.
            revision, token: branch, tag or commit on the Hub; for private and gated models.
            subfolder: of the folder or model, in which the files are.
            cache_dir: keeps what comes from the Hub, in place of the usual folder.
            local_files_only: whether the Hub is left alone, and what came from it before is taken.
            from_pt, input_shape, seed: not used; PyTorch's names are known anyway, and nothing is drawn.
            _do_init: if False, `(model without parameters, params)` is returned.
            overrides: values that replace the configuration's, as `output_attentions=True`.
        Raises:
            LoadingError: see its sentence.
            TypeError: the configuration has no value of such a name.
        """
        known = LongT5Config().to_dict().keys() | LongT5Config.attribute_map.keys()
        unknown = overrides.keys() - known
        if unknown:
            raise TypeError(
                f"from_pretrained() does not know {', '.join(sorted(unknown))}: check the spelling."
            )
        loaded = load(
            os.fspath(pretrained_model_name_or_path),
            revision,
            token,
            Place(subfolder, cache_dir, local_files_only),
            config,
            overrides,
            with_head=cls.with_head,
        )
        model = cls(loaded.config, dtype=dtype, _do_init=False, gradient_checkpointing=gradient_checkpointing)
        model.generation_config = loaded.generation_config
        if not _do_init:
            return model, loaded.params
        model.params = loaded.params
        return model

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        params: Params | None = None,
        *,
        max_shard_size: str | int = "5GB",
        safe_serialization: bool = True,
    ) -> None:
        """Writes a folder that `from_pretrained` of this class and of the PyTorch classes reads.

        Args:
            params: those to save instead of the model's.
            max_shard_size: safetensors files become no larger, as long as each tensor is smaller.
            safe_serialization: `flax_model.msgpack`, which only Flax reads, if False.
        """
        chosen = self.params if params is None else params
        save(
            save_directory,
            self.config,
            self.generation_config,
            chosen,
            max_shard_size,
            safe_serialization,
            with_head=self.with_head,
        )

    def encode(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        train: bool = False,
        params: Params | None = None,
        dropout_rng: Array | None = None,
    ) -> FlaxBaseModelOutput | tuple:
        """Runs the encoder over `(batch, length)` tokens.

        Args:
            attention_mask: `(batch, length)`, non-zero at text; all is text where None.
            output_attentions: whether weights are returned; they are large, (batch, blocks, heads, radius + 1,
                3 * (radius + 1) + globals) a layer. As the next two, the configuration's where None.
            output_hidden_states: whether each layer's input and the output are returned.
            return_dict: a tuple if False.
            train: drops out, which takes a `dropout_rng`.
            params: in place of the model's.
        Raises:
            ValueError: `train` without a `dropout_rng`.
        """
        output = _encode(
            self._chosen(params),
            jnp.asarray(input_ids),
            _mask(attention_mask, input_ids),
            setup=self._setup,
            wanted=self._wanted(output_attentions, output_hidden_states),
            dropout_key=self._dropout_key(train, dropout_rng),
        )
        return self._returned(output, return_dict)

    def init_cache(self, batch_size: int, max_length: int, encoder_outputs: Any = None) -> dict[str, Any]:
        """An empty cache for `decode`: for each layer keys and values `(batch, heads, max_length, d_kv)`, and how many.

        `encoder_outputs` are not used: cross-attention's keys and values depend on `params`, so `decode` makes them.
        """
        return core.empty_cache(batch_size, max_length, self._setup)

    def decode(
        self,
        decoder_input_ids: Array,
        encoder_outputs: Any,
        encoder_attention_mask: Array | None = None,
        decoder_attention_mask: Array | None = None,
        past_key_values: dict[str, Any] | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        train: bool = False,
        params: Params | None = None,
        dropout_rng: Array | None = None,
    ) -> FlaxBaseModelOutputWithPastAndCrossAttentions | FlaxCausalLMOutputWithCrossAttentions | tuple:
        """Runs the decoder over `(batch, length)` tokens, those after the ones in `past_key_values` if given.

        What is not named here is as in `encode`.

        Args:
            encoder_outputs: what `encode` returned; its first field is attended to.
            encoder_attention_mask: `(batch, source length)`, non-zero at text.
            decoder_attention_mask: `(batch, length)`, with a cache `(batch, max_length)`, non-zero at text.
            past_key_values: from `init_cache` or the last output.
        """
        decoder_input_ids, states = jnp.asarray(decoder_input_ids), jnp.asarray(encoder_outputs[0])
        mask = _mask(decoder_attention_mask, decoder_input_ids)
        if past_key_values is not None:
            # What lies behind the tokens is to come, and hidden as such.
            cache = past_key_values["decoder"]["block"]["0"]["layer"]["0"]["SelfAttention"]
            places = cache["cached_key"].shape[2]
            if decoder_attention_mask is None:
                mask = mask[:, :0]
            mask = jnp.pad(mask, ((0, 0), (0, max(places - mask.shape[1], 0))), constant_values=1)[:, :places]
        output = _decode(
            params=self._chosen(params),
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=mask,
            encoder_states=states,
            encoder_attention_mask=_mask(encoder_attention_mask, states[..., 0]),
            setup=self._setup,
            wanted=self._wanted(output_attentions, output_hidden_states),
            past_key_values=past_key_values,
            dropout_key=self._dropout_key(train, dropout_rng),
            with_head=self.with_head,
        )
        return self._returned(output, return_dict)

    def __call__(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        decoder_input_ids: Array | None = None,
        decoder_attention_mask: Array | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        train: bool = False,
        params: Params | None = None,
        dropout_rng: Array | None = None,
    ) -> FlaxSeq2SeqModelOutput | FlaxSeq2SeqLMOutput | tuple:
        """Encodes `(batch, source length)` tokens and decodes `(batch, length)`; arguments as in `encode`, `decode`.

        Raises:
            ValueError: no `decoder_input_ids`, or `train` without a `dropout_rng`.
        """
        if decoder_input_ids is None:
            raise ValueError("Give decoder_input_ids too; `shift_tokens_right` makes them of labels.")
        output = _forward(
            self._chosen(params),
            jnp.asarray(input_ids),
            _mask(attention_mask, input_ids),
            jnp.asarray(decoder_input_ids),
            _mask(decoder_attention_mask, decoder_input_ids),
            setup=self._setup,
            wanted=self._wanted(output_attentions, output_hidden_states),
            dropout_key=self._dropout_key(train, dropout_rng),
            with_head=self.with_head,
        )
        return self._returned(output, return_dict)

    def _chosen(self, params: Params | None) -> Params:
        return params or self.params

    def _wanted(self, attentions: bool | None, hidden_states: bool | None) -> core.Wanted:
        config = self.config
        return core.Wanted(
            config.output_attentions if attentions is None else attentions,
            config.output_hidden_states if hidden_states is None else hidden_states,
        )

    def _dropout_key(self, train: bool, rng: Array | None) -> Array | None:
        if train and rng is None and self.config.dropout_rate > 0:
            raise ValueError(
                "Give a dropout_rng to train, a new one for each step: jax.random.split makes them."
            )
        return rng if train else None

    def _returned(self, output: Any, return_dict: bool | None) -> Any:
        return (
            output if (self.config.return_dict if return_dict is None else return_dict) else output.to_tuple()
        )


def _mask(mask: Array | None, tokens: Array) -> Array:
    """The mask of tokens (batch, length), ones where there is none."""
    return jnp.ones(jnp.shape(tokens), jnp.int32) if mask is None else jnp.asarray(mask)


def _cast(params: Params, dtype: Any, mask: Any) -> Params:
    def cast(value: Array, chosen: bool = True) -> Array:
        return value.astype(dtype) if chosen and jnp.issubdtype(value.dtype, jnp.floating) else value

    return jax.tree.map(cast, params) if mask is None else jax.tree.map(cast, params, mask)


class FlaxLongT5Model(FlaxLongT5PreTrainedModel):
    """Encoder and decoder without a head."""

    with_head = False
