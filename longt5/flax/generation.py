"""FlaxLongT5ForConditionalGeneration: `generate` reads a GenerationConfig and starts the loops of `search`."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from transformers import GenerationConfig

from longt5.flax import search
from longt5.flax.modeling import FlaxLongT5PreTrainedModel
from longt5.flax.outputs import FlaxBeamSearchOutput, FlaxGreedySearchOutput, FlaxSampleOutput
from longt5.flax.parameters import Params
from longt5.flax.processors import Processor, Settings

DEFAULT_NEW_TOKENS = 20
# What changes a text in PyTorch and is not here, with the values that change nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "bad_words_ids": (None,),
    "constraints": (None,),
    "diversity_penalty": (None, 0.0),
    "epsilon_cutoff": (None, 0.0),
    "eta_cutoff": (None, 0.0),
    "exponential_decay_length_penalty": (None,),
    "force_words_ids": (None,),
    "guidance_scale": (None, 1.0),
    "max_time": (None,),
    "min_p": (None,),
    "num_beam_groups": (None, 1),
    "penalty_alpha": (None, 0.0),
    "prompt_lookup_num_tokens": (None,),
    "sequence_bias": (None,),
    "stop_strings": (None,),
    "top_h": (None,),
    "typical_p": (None, 1.0),
    "watermarking_config": (None,),
}


class FlaxLongT5ForConditionalGeneration(FlaxLongT5PreTrainedModel):
    """Encoder and decoder with a language-modelling head: `params["lm_head"]`, or the embedding where it is absent."""

    with_head = True

    def generate(
        self,
        input_ids: Array,
        generation_config: GenerationConfig | None = None,
        prng_key: Array | None = None,
        trace: bool = True,
        params: Params | None = None,
        logits_processor: Sequence[Processor] | None = None,
        *,
        attention_mask: Array | None = None,
        encoder_outputs: Any = None,
        decoder_input_ids: Array | None = None,
        decoder_attention_mask: Array | None = None,
        **options: Any,
    ) -> FlaxGreedySearchOutput | FlaxSampleOutput | FlaxBeamSearchOutput:
        """Writes a text about each of `(batch, source length)` tokens, as PyTorch's `generate` would.

        Compiled once for each shape and each set of options. Sampling draws by JAX's generator, not by PyTorch's.

        Args:
            generation_config: in place of the model's; `options` are fields of it that replace its own.
            prng_key: of `jax.random`, for sampling; always the same if None.
            trace: if False, the loops run uncompiled, for debugging.
            params: in place of the model's.
            logits_processor: functions of tokens `(rows, max_length)`, scores `(rows, vocabulary)` and the length so
                far that return new scores; each is compiled with the loop, so define it once.
            attention_mask: `(batch, source length)`, non-zero at text.
            encoder_outputs: what `encode` returned, so that it does not run again.
            decoder_input_ids, decoder_attention_mask: `(batch, length)`, what the texts begin with.
        Returns:
            sequences `(batch * num_return_sequences, max_length)`, padded behind the end; with beams also scores.
        Raises:
            ValueError: an option is unknown, not supported or out of range, or lengths contradict each other.
        """
        config = copy.deepcopy(generation_config or self._generation_config())
        unknown = config.update(**options)
        if unknown:
            raise ValueError(f"generate() does not know {', '.join(sorted(unknown))}: check the spelling.")
        input_ids = jnp.asarray(input_ids)
        if attention_mask is None:
            attention_mask = jnp.ones_like(input_ids)
        if encoder_outputs is None:
            encoder_outputs = self.encode(input_ids, attention_mask, params=params, return_dict=True)
        if decoder_input_ids is None:
            decoder_input_ids = jnp.full((len(input_ids), 1), self._start_token(config), jnp.int32)
        prompt = jnp.asarray(decoder_input_ids, jnp.int32)
        prompt_mask = jnp.ones_like(prompt) if decoder_attention_mask is None else decoder_attention_mask
        settings = self._settings(config, prompt.shape[1], tuple(logits_processor or ()))
        inputs = (
            self._chosen(params),
            jnp.asarray(encoder_outputs[0]),
            jnp.asarray(attention_mask),
            input_ids,
            prompt,
            jnp.asarray(prompt_mask, jnp.int32),
        )
        with jax.disable_jit(not trace):
            if settings.num_beams > 1:
                tokens, scores = search.beam_search(*inputs, setup=self._setup, settings=settings)
                return FlaxBeamSearchOutput(sequences=tokens, scores=scores)
            key = jax.random.key(0) if prng_key is None else prng_key
            tokens = search.sample(*inputs, key, setup=self._setup, settings=settings)
        return FlaxSampleOutput(tokens) if settings.do_sample else FlaxGreedySearchOutput(tokens)

    def prepare_inputs_for_generation(
        self,
        decoder_input_ids: Array,
        max_length: int,
        attention_mask: Array | None = None,
        decoder_attention_mask: Array | None = None,
        encoder_outputs: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """What a loop of one's own gives to `decode` for texts of up to `max_length` tokens."""
        batch, length = decoder_input_ids.shape
        mask = jnp.ones((batch, max_length), jnp.int32)
        if decoder_attention_mask is not None:
            mask = mask.at[:, :length].set(decoder_attention_mask)
        return {
            "past_key_values": self.init_cache(batch, max_length, encoder_outputs),
            "encoder_outputs": encoder_outputs,
            "encoder_attention_mask": attention_mask,
            "decoder_attention_mask": mask,
        }

    def update_inputs_for_generation(
        self, model_outputs: Any, model_kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """The same for the next token, with the cache of an output of `decode`."""
        return {**model_kwargs, "past_key_values": model_outputs.past_key_values}

    def _generation_config(self) -> GenerationConfig:
        return self.generation_config or GenerationConfig()

    def _start_token(self, config: GenerationConfig) -> int:
        for start in (config.decoder_start_token_id, getattr(self.config, "decoder_start_token_id", None)):
            if start is not None:
                return start
        raise ValueError("Set decoder_start_token_id: LongT5 usually starts with the pad_token_id.")

    def _settings(
        self, config: GenerationConfig, prompt_length: int, processors: tuple[Processor, ...]
    ) -> Settings:
        """All that the loops read, of a configuration whose empty fields mean transformers' defaults."""
        for name, harmless in _REFUSED.items():
            if getattr(config, name, None) not in harmless:
                raise ValueError(f"generate() has no {name} in JAX: leave it out, or use the PyTorch class.")
        beams = config.num_beams or 1
        if beams > 1 and config.do_sample:
            raise ValueError(
                "generate() does not sample with beams in JAX: set num_beams to 1 or leave out do_sample."
            )
        if config.do_sample:
            _check_sampling(config)
        returned = config.num_return_sequences or 1
        if returned > beams and not config.do_sample:
            raise ValueError("num_return_sequences is at most num_beams, unless texts are sampled.")
        if config.max_new_tokens is not None:
            max_length = config.max_new_tokens + prompt_length
        else:
            max_length = config.max_length or DEFAULT_NEW_TOKENS + prompt_length
        min_length = config.min_length or 0
        if config.min_new_tokens:
            min_length = config.min_new_tokens + prompt_length
        if min_length > max_length or prompt_length >= max_length:
            raise ValueError(
                f"A text of at least {max(min_length, prompt_length + 1)} tokens was asked for, and of at most "
                f"{max_length}: raise max_new_tokens or max_length."
            )
        eos = _or(config.eos_token_id, self.config.eos_token_id)
        pad = _or(config.pad_token_id, self.config.pad_token_id)
        ends = _tokens(eos)
        return Settings(
            max_length=max_length,
            prompt_length=prompt_length,
            pad_token_id=pad if pad is not None else (ends or (0,))[0],
            eos_token_ids=ends,
            do_sample=bool(config.do_sample),
            num_beams=beams,
            num_return_sequences=returned,
            length_penalty=_or(config.length_penalty, 1.0),
            early_stopping=config.early_stopping or False,
            min_length=min_length,
            no_repeat_ngram_size=config.no_repeat_ngram_size or 0,
            encoder_no_repeat_ngram_size=config.encoder_no_repeat_ngram_size or 0,
            repetition_penalty=_or(config.repetition_penalty, 1.0),
            encoder_repetition_penalty=_or(config.encoder_repetition_penalty, 1.0),
            forced_bos_token_id=config.forced_bos_token_id,
            forced_eos_token_ids=_tokens(config.forced_eos_token_id),
            suppress_tokens=_tokens(config.suppress_tokens),
            begin_suppress_tokens=_tokens(config.begin_suppress_tokens),
            temperature=_or(config.temperature, 1.0),
            top_k=_or(config.top_k, 50),
            top_p=_or(config.top_p, 1.0),
            renormalize_logits=bool(config.renormalize_logits),
            processors=processors,
        )


def _check_sampling(config: GenerationConfig) -> None:
    """Holds what sampling goes by against what can be drawn from: scores that are no numbers would draw nonsense.

    Raises:
        ValueError: one is out of range.
    """
    temperature, top_k, top_p = _or(config.temperature, 1.0), _or(config.top_k, 50), _or(config.top_p, 1.0)
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature must be above 0, not {temperature}: for the likeliest tokens leave out do_sample."
        )
    if not isinstance(top_k, int) or top_k < 0:
        raise ValueError(f"top_k must be a number of tokens, or 0 for all of them, not {top_k}.")
    if not 0 <= top_p <= 1:
        raise ValueError(f"top_p must be from 0 to 1, not {top_p}.")


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _tokens(tokens: int | Sequence[int] | None) -> tuple[int, ...]:
    if tokens is None:
        return ()
    return (tokens,) if isinstance(tokens, int) else tuple(tokens)
