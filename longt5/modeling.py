"""LongT5's public classes: drop-in for transformers' classes of the same names.

Arguments, outputs and state-dict names are transformers'. Saving, loading, placement and `generate` are its own code;
the stacks and everything below them are ours. Two things are done differently in `generate`: all beams of a text attend
to one copy of the encoder's output and of the cross-attention's keys and values, and where the decoder goes by steps of
fixed shapes (`longt5.generating`), beam search is ours too.
"""

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationConfig, PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.generation import (
    GenerationMixin,
    GenerationMode,
    LogitsProcessorList,
    StoppingCriteriaList,
)
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    Seq2SeqLMOutput,
    Seq2SeqModelOutput,
)
from transformers.utils import DUMMY_INPUTS, DUMMY_MASK, ModelOutput, logging

from longt5.configuration import LongT5Config
from longt5.generating.beams import can_search, search
from longt5.generating.stepping import SteppingCache, goes_by_steps
from longt5.layers import (
    LongT5Block,
    LongT5DenseActDense,
    LongT5DenseGatedActDense,
    LongT5LayerNorm,
    Projections,
    apply_linear,
    saturate,
)
from longt5.memory import shared_buffers
from longt5.tracing import is_plain

logger = logging.get_logger(__name__)

# What transformers calls the decoder's cache, in arguments and outputs: up to 5.23 the latter. Both are taken here.
CACHE_NAME = "cache" if "cache" in Seq2SeqLMOutput.__dataclass_fields__ else "past_key_values"


class LongT5PreTrainedModel(PreTrainedModel):
    """What the public classes share: initialisation, and what transformers must know to load and place them."""

    config_class = LongT5Config
    config: LongT5Config
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _no_split_modules = ["LongT5Block"]
    _keep_in_fp32_modules = ["wo"]
    _skip_keys_device_placement = ["past_key_values", "cache"]
    _keys_to_ignore_on_load_unexpected = [
        r"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    ]

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        input_ids, mask = torch.tensor(DUMMY_INPUTS), torch.tensor(DUMMY_MASK)
        return {"decoder_input_ids": input_ids, "input_ids": input_ids, "decoder_attention_mask": mask}

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """The stacks' embeddings are always tied to `shared`; the head where `config.tie_word_embeddings` says so."""
        if all_submodels:
            return super().get_expanded_tied_weights_keys(all_submodels=True)
        tied = self._tied_weights_keys or {}
        return {k: v for k, v in tied.items() if k != "lm_head.weight" or self.config.tie_word_embeddings}

    @classmethod
    def is_custom_code(cls) -> bool:
        """False, although this is not transformers' own module: weights are drawn as if it were.

        In other people's modules transformers takes those without parameters of their own for initialised (5.23), and
        would leave every projection with the standard deviation that it gives all linear layers.
        """
        return False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """T5's initialisation: the scale of attention's 1 / sqrt(d_kv) is in the query's weights (Mesh TensorFlow)."""
        super()._init_weights(module)
        factor, d_model = self.config.initializer_factor, self.config.d_model

        def normal(weight: Tensor, std: float) -> None:
            init.normal_(weight, mean=0.0, std=factor * std)

        if isinstance(module, LongT5LayerNorm):
            init.constant_(module.weight, factor)
        elif isinstance(module, EncoderDecoder | LongT5EncoderModel):
            normal(module.shared.weight, 1.0)
            if hasattr(module, "lm_head") and not self.config.tie_word_embeddings:
                normal(module.lm_head.weight, 1.0)
        elif isinstance(module, LongT5DenseActDense):
            normal(module.wi.weight, d_model**-0.5)
            normal(module.wo.weight, self.config.d_ff**-0.5)
        elif isinstance(module, LongT5DenseGatedActDense):
            normal(module.wi_0.weight, d_model**-0.5)
            normal(module.wi_1.weight, d_model**-0.5)
            normal(module.wo.weight, self.config.d_ff**-0.5)
        elif isinstance(module, Projections):
            normal(module.q.weight, (d_model * module.key_value_proj_dim) ** -0.5)
            normal(module.k.weight, d_model**-0.5)
            normal(module.v.weight, d_model**-0.5)
            normal(module.o.weight, module.inner_dim**-0.5)
            for name in ("relative_attention_bias", "global_relative_attention_bias"):
                if hasattr(module, name):
                    normal(getattr(module, name).weight, d_model**-0.5)

    def _shift_right(self, input_ids: Tensor) -> Tensor:
        """The decoder's input for `input_ids` as labels: the start token in front, the last token gone."""
        start, pad = getattr(self.config, "decoder_start_token_id", None), self.config.pad_token_id
        if start is None:
            raise ValueError(
                "Set config.decoder_start_token_id: LongT5 usually starts with the pad_token_id."
            )
        if pad is None:
            raise ValueError("Set config.pad_token_id: it stands for the labels that the loss ignores.")
        shifted = input_ids.roll(1, dims=-1)
        shifted[..., 0] = start
        return shifted.masked_fill(shifted == -100, pad)


class LongT5Stack(LongT5PreTrainedModel):
    """The encoder or, with `config.is_decoder`, the decoder."""

    def __init__(self, config: LongT5Config):
        super().__init__(config)
        self.is_decoder = config.is_decoder
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.block = nn.ModuleList(
            LongT5Block(config, has_relative_attention_bias=i == 0, layer_idx=i)
            for i in range(config.num_layers)
        )
        self.final_layer_norm = LongT5LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed_tokens

    def set_input_embeddings(self, new_embeddings: nn.Embedding) -> None:
        self.embed_tokens = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        cache: Cache | None = None,
    ) -> tuple | BaseModelOutputWithPastAndCrossAttentions:
        """Runs the stack over `(batch, length)` tokens.

        Args:
            input_ids: `(batch, length)` tokens; or `inputs_embeds`, `(batch, length, d_model)`, in their place.
            attention_mask: `(batch, length)`, with a cache of past and new tokens, non-zero at text; one row holds for
                all. In the decoder also a ready mask with 4 dimensions, see `_causal_mask`.
            encoder_hidden_states: `(batch, source length, d_model)`; in the decoder its batch may be a divisor of
                the tokens' batch, consecutive rows then share one source.
            encoder_attention_mask: `(batch, source length)`, non-zero at text, or a ready mask, broadcastable to
                `(batch, heads, length, source length)`: boolean, True where attention is allowed, or additive.
            past_key_values, cache: one argument by two names (transformers' up to 5.23, and since): the decoder's
                keys and values so far, to which those of the new tokens are added.
            use_cache: whether the decoder returns one; as the next three, the configuration's where None.
            output_attentions: whether weights are returned; they are large, see `blocked_attention`.
            output_hidden_states: whether each layer's input `(batch, length, d_model)` and the output are returned.
            return_dict: a tuple if False.
        Raises:
            ValueError: neither or both kinds of input, the cache by both names, or an encoder's mask of another shape
                than the tokens.
        """
        config = self.config
        past_key_values = _by_either_name(past_key_values, cache)
        use_cache = config.use_cache if use_cache is None else use_cache
        output_attentions = config.output_attentions if output_attentions is None else output_attentions
        if output_hidden_states is None:
            output_hidden_states = config.output_hidden_states
        return_dict = config.return_dict if return_dict is None else return_dict

        prefix = "decoder_" if self.is_decoder else ""
        if input_ids is not None and inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids.view(-1, input_ids.shape[-1]))
        elif input_ids is not None or inputs_embeds is None:
            raise ValueError(f"Give either {prefix}input_ids or {prefix}inputs_embeds, and not both.")
        if self.gradient_checkpointing and self.training and (use_cache or past_key_values is not None):
            logger.warning_once("A cache does not go with gradient checkpointing: none is used.")
            use_cache, past_key_values = False, None  # layers that are computed again would write to it twice

        if self.is_decoder:
            if use_cache and past_key_values is None:
                past_key_values = DynamicCache(config=config)
                if config.is_encoder_decoder:
                    past_key_values = EncoderDecoderCache(past_key_values, DynamicCache(config=config))
            attention_mask = _causal_mask(inputs_embeds, attention_mask, past_key_values)
            if encoder_attention_mask is not None and encoder_attention_mask.dim() == 2:
                encoder_attention_mask = (encoder_attention_mask != 0)[:, None, None]
        else:
            past_key_values = None
            if attention_mask is not None:
                attention_mask = _mask_of_all(attention_mask, *inputs_embeds.shape[:2])

        hidden_states = self.dropout(inputs_embeds)
        position_bias = cross_position_bias = None
        all_hidden_states: tuple[Tensor, ...] = ()
        all_attentions: tuple[Tensor, ...] = ()
        all_cross_attentions: tuple[Tensor | None, ...] = ()
        with shared_buffers() if is_plain(hidden_states) else nullcontext():
            for block in self.block:
                if output_hidden_states:
                    all_hidden_states += (hidden_states,)
                hidden_states, position_bias, weights, *cross = block(
                    hidden_states,
                    attention_mask,
                    position_bias,
                    encoder_hidden_states,
                    encoder_attention_mask,
                    cross_position_bias,
                    past_key_values=past_key_values,
                    output_attentions=output_attentions,
                )
                if output_attentions:
                    all_attentions += (weights,)
                if cross:
                    cross_position_bias, cross_weights = cross
                    all_cross_attentions += (cross_weights,)
        hidden_states = self.dropout(self.final_layer_norm(hidden_states))
        if output_hidden_states:
            all_hidden_states += (hidden_states,)

        output = BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=hidden_states,
            **{CACHE_NAME: past_key_values},
            hidden_states=all_hidden_states if output_hidden_states else None,
            attentions=all_attentions if output_attentions else None,
            cross_attentions=all_cross_attentions if output_attentions and self.is_decoder else None,
        )
        return output if return_dict else output.to_tuple()


def _by_either_name(past_key_values: Cache | None, cache: Cache | None) -> Cache | None:
    """The cache under whichever of its names it was given.

    Raises:
        ValueError: it was given under both.
    """
    if past_key_values is not None and cache is not None:
        raise ValueError("cache and past_key_values are two names of one argument: give one of them.")
    return past_key_values if cache is None else cache


def _mask_of_all(attention_mask: Tensor, batch: int, length: int) -> Tensor:
    """The mask `(batch or 1, length)` of the encoder's tokens, as `(batch, length)`.

    Raises:
        ValueError: it has another shape; kernels that read it row by row would not notice.
    """
    if (
        attention_mask.dim() != 2
        or attention_mask.shape[0] not in (1, batch)
        or attention_mask.shape[1] != length
    ):
        raise ValueError(
            f"The attention_mask has the shape {tuple(attention_mask.shape)}, but there are {batch} texts of {length} "
            "tokens: give one row for each text, or one for all."
        )
    return attention_mask.expand(batch, -1)


def _causal_mask(
    inputs_embeds: Tensor, attention_mask: Tensor | None, past_key_values: Cache | None
) -> Tensor | None:
    """Which keys each query of the decoder may attend to, (batch or 1, 1, queries, keys), None if it is all of them.

    Args:
        inputs_embeds: `(batch, queries, d_model)`.
        attention_mask: `(batch, past and new keys)`, non-zero at text, or a ready mask with 4 dimensions, boolean or
            additive, which is returned as it is.
    """
    if attention_mask is not None and attention_mask.dim() == 4:
        return attention_mask
    queries, device = inputs_embeds.shape[1], inputs_embeds.device
    past_length: int | Tensor = 0
    num_keys = queries
    if past_key_values is not None:
        past_length = past_key_values.get_seq_length()
        num_keys, _ = past_key_values.get_mask_sizes(queries, 0)
    if queries == 1 and num_keys == past_length + 1 and attention_mask is None:
        return None
    keys = torch.arange(num_keys, device=device)
    mask = (keys <= torch.arange(queries, device=device)[:, None] + past_length)[None, None]
    if attention_mask is not None:
        # A static cache has room for keys that the mask does not know yet; they lie in the future.
        text = F.pad(attention_mask != 0, (0, max(0, num_keys - attention_mask.shape[-1])))
        mask = mask & text[:, None, None, :num_keys]
    return mask


def _stack_config(config: LongT5Config, *, is_decoder: bool) -> LongT5Config:
    """The configuration of one stack of an encoder-decoder."""
    config = copy.deepcopy(config)
    config.is_decoder = is_decoder
    if is_decoder:
        config.num_layers = config.num_decoder_layers
    else:
        config.use_cache = False
    return config


class LongT5EncoderModel(LongT5PreTrainedModel):
    """The encoder alone."""

    _tied_weights_keys = {"encoder.embed_tokens.weight": "shared.weight"}
    _keys_to_ignore_on_load_unexpected = [r"decoder", r"lm_head"]

    def __init__(self, config: LongT5Config):
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = LongT5Stack(_stack_config(config, is_decoder=False))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.shared

    def set_input_embeddings(self, new_embeddings: nn.Embedding) -> None:
        self.shared = new_embeddings
        self.encoder.set_input_embeddings(new_embeddings)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> tuple | BaseModelOutput:
        """Encodes `(batch, length)` tokens. Arguments and errors are those of `LongT5Stack.forward`."""
        return self.encoder(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )


@dataclass
class SharedEncoderOutput(BaseModelOutput):
    """The encoder's output of texts each of which several consecutive rows of the decoder share, as beams do."""


class EncoderDecoder(LongT5PreTrainedModel):
    """Both stacks on one embedding. Its children call `post_init` once they are complete."""

    _tied_weights_keys = {
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
    }

    def __init__(self, config: LongT5Config):
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = LongT5Stack(_stack_config(config, is_decoder=False))
        self.decoder = LongT5Stack(_stack_config(config, is_decoder=True))

    def get_input_embeddings(self) -> nn.Module:
        return self.shared

    def set_input_embeddings(self, new_embeddings: nn.Embedding) -> None:
        self.shared = new_embeddings
        self.encoder.set_input_embeddings(new_embeddings)
        self.decoder.set_input_embeddings(new_embeddings)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: tuple | ModelOutput | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        cache: Cache | None = None,
    ) -> tuple | Seq2SeqModelOutput:
        """Encodes `(batch, source length)` tokens, unless given `encoder_outputs`, and decodes `(batch, length)`.

        What is not named here is as in `LongT5Stack.forward`, for both stacks.

        Args:
            input_ids, attention_mask, inputs_embeds: the encoder's; the mask is also the decoder's, of what it sees.
            decoder_input_ids, decoder_attention_mask, decoder_inputs_embeds: the decoder's.
            encoder_outputs: what the encoder returned, so that it does not run again: an output, a tuple, or a
                `SharedEncoderOutput` of texts that several rows of the decoder share.
            past_key_values, cache, use_cache: the decoder's.
        Raises:
            ValueError: decoder inputs and texts differ in number, and `encoder_outputs` is no `SharedEncoderOutput`.
        """
        return_dict = self.config.return_dict if return_dict is None else return_dict
        wanted = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        encoded: Any = encoder_outputs
        if encoded is None:
            encoded = self.encoder(
                input_ids=input_ids,
                attention_mask=attention_mask,
                inputs_embeds=inputs_embeds,
                return_dict=True,
                **wanted,
            )
        elif not isinstance(encoded, ModelOutput):
            encoded = BaseModelOutput(*encoded)
        decoded = decoder_input_ids if decoder_inputs_embeds is None else decoder_inputs_embeds
        if decoded is not None and not isinstance(encoded, SharedEncoderOutput):
            rows, texts = decoded.shape[0], encoded.last_hidden_state.shape[0]
            if rows != texts:
                raise ValueError(f"There are {rows} rows of decoder inputs, but {texts} encoded texts.")
        decoder_outputs = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            inputs_embeds=decoder_inputs_embeds,
            past_key_values=_by_either_name(past_key_values, cache),
            encoder_hidden_states=encoded.last_hidden_state,
            encoder_attention_mask=attention_mask,
            use_cache=use_cache,
            return_dict=True,
            **wanted,
        )
        output = Seq2SeqModelOutput(
            last_hidden_state=decoder_outputs.last_hidden_state,
            **{CACHE_NAME: getattr(decoder_outputs, CACHE_NAME)},
            decoder_hidden_states=decoder_outputs.hidden_states,
            decoder_attentions=decoder_outputs.attentions,
            cross_attentions=decoder_outputs.cross_attentions,
            encoder_last_hidden_state=encoded.last_hidden_state,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
        )
        return output if return_dict else output.to_tuple()


class LongT5Model(EncoderDecoder):
    """Encoder and decoder without a head."""

    def __init__(self, config: LongT5Config):
        super().__init__(config)
        self.post_init()


class LongT5ForConditionalGeneration(EncoderDecoder, GenerationMixin):
    """Encoder and decoder with a language-modelling head.

    With `dtype=torch.float16` the feed-forward networks' `wo` stay float32, as in transformers' T5 (not its LongT5):
    their products overflow float16 (transformers #17978). So a model of base size takes 15 % more memory than two
    bytes a weight.
    """

    _tied_weights_keys = {**EncoderDecoder._tied_weights_keys, "lm_head.weight": "shared.weight"}
    accepts_loss_kwargs = True  # `num_items_in_batch`, for transformers' Trainer

    def __init__(self, config: LongT5Config):
        super().__init__(config)
        self.model_dim = config.d_model
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def forward(  # type: ignore[override]  # transformers has `labels` at this position
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: tuple | ModelOutput | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
        *,
        cache: Cache | None = None,
    ) -> tuple | Seq2SeqLMOutput:
        """As `LongT5Model`, with logits `(batch, length, vocabulary)` and, given `labels`, the loss.

        Args:
            labels: `(batch, length)` tokens; -100 is ignored. Without decoder inputs they make those too.
            num_items_in_batch: what the loss is divided by instead of the number of labels here: transformers'
                Trainer gives the labels of all batches whose gradients are accumulated.
        """
        return_dict = self.config.return_dict if return_dict is None else return_dict
        past_key_values = _by_either_name(past_key_values, cache)
        if isinstance(past_key_values, SteppingCache) and past_key_values.get_seq_length() > 0:
            # Within `generate`: what it asks for is one token more, and nothing beside it.
            assert decoder_input_ids is not None
            logits = past_key_values.logits(decoder_input_ids, attention_mask)
            return Seq2SeqLMOutput(logits=logits, **{CACHE_NAME: past_key_values})
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self._shift_right(labels)
        output = super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        fields = dict(output)
        states = fields.pop("last_hidden_state")
        logits = self.logits(states)
        loss = None
        if labels is not None:
            targets = labels.to(logits.device).flatten()
            reduction = "mean" if num_items_in_batch is None else "sum"
            loss = F.cross_entropy(logits.flatten(0, 1), targets, ignore_index=-100, reduction=reduction)
            if num_items_in_batch is not None:
                loss = loss / torch.as_tensor(num_items_in_batch, device=loss.device)
            loss = saturate(loss)
        output = Seq2SeqLMOutput(loss=loss, logits=logits, **fields)
        return output if return_dict else output.to_tuple()

    def logits(self, states: Tensor) -> Tensor:
        """The decoder's last states `(..., d_model)` -> `(..., vocabulary)`."""
        if self.config.scale_decoder_outputs:
            states = states * self.model_dim**-0.5
        return saturate(apply_linear(self.lm_head, states))

    def tie_weights(self, missing_keys: set[str] | None = None, recompute_mapping: bool = True) -> None:
        """As transformers', and a head of its own that was found while loading stays one when tied again."""
        super().tie_weights(missing_keys=missing_keys, recompute_mapping=recompute_mapping)
        if missing_keys is not None and "lm_head.weight" not in self.all_tied_weights_keys:
            self.config.tie_word_embeddings = False

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """`(batch, length)` labels -> `(batch, length)` decoder inputs, for data collators."""
        return self._shift_right(labels)

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Repeats the decoder's inputs for each beam; the encoder's output and its mask stay single."""
        encoded, mask = model_kwargs.pop("encoder_outputs"), model_kwargs.pop("attention_mask", None)
        input_ids, model_kwargs = super()._expand_inputs_for_generation(
            expand_size=expand_size, is_encoder_decoder=False, input_ids=input_ids, **model_kwargs
        )
        if expand_size > 1:
            fields = encoded if isinstance(encoded, ModelOutput) else BaseModelOutput(*encoded)
            encoded = SharedEncoderOutput(**fields)
        model_kwargs["encoder_outputs"] = encoded
        if mask is not None:
            model_kwargs["attention_mask"] = mask
        return input_ids, model_kwargs

    def _prepare_cache_for_generation(
        self,
        generation_config: GenerationConfig,
        model_kwargs: dict[str, Any],
        generation_mode: GenerationMode,
        batch_size: int,
        max_cache_length: int,
    ) -> None:
        """The caller's cache under transformers' name, transformers' own, or one that reads every later token by steps.

        Raises:
            ValueError: the caller gave one by both names.
        """
        given = _by_either_name(model_kwargs.pop("past_key_values", None), model_kwargs.pop("cache", None))
        if given is not None:
            model_kwargs[CACHE_NAME] = given
        super()._prepare_cache_for_generation(
            generation_config, model_kwargs, generation_mode, batch_size, max_cache_length
        )
        if given is not None or model_kwargs.get(CACHE_NAME) is None:
            return
        stock = (LongT5ForConditionalGeneration, LongT5Stack)
        if goes_by_steps(self, generation_config, model_kwargs, generation_mode, stock):
            model_kwargs[CACHE_NAME] = SteppingCache(self, max_cache_length)

    def _beam_search(
        self,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        synced_gpus: bool = False,
        **model_kwargs: Any,
    ) -> Any:
        """transformers' beam search, or where tokens go by steps the same one in fewer operations."""
        given = {name: value for name, value in model_kwargs.items() if value is not None}
        cache = given.pop(CACHE_NAME, None)
        if isinstance(cache, SteppingCache) and can_search(
            stopping_criteria, generation_config, synced_gpus, set(given)
        ):
            return search(
                self, input_ids, logits_processor, stopping_criteria, generation_config, cache, given
            )
        return super()._beam_search(
            input_ids, logits_processor, stopping_criteria, generation_config, synced_gpus, **model_kwargs
        )

    @staticmethod
    def _reorder_cache(past_key_values: EncoderDecoderCache, beam_idx: Tensor) -> EncoderDecoderCache:
        """Beams swap their pasts, but never their text: its keys and values stay where they are."""
        if isinstance(past_key_values, SteppingCache):
            past_key_values.reorder(beam_idx)
        else:
            past_key_values.self_attention_cache.reorder_cache(beam_idx)
        return past_key_values
