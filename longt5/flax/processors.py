"""What changes the scores of the next token while a text is generated, in transformers' order and with its effects.

All texts are `(rows, max_length)` arrays of which the first `length` tokens are written, so that one compiled step
serves every length.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

Processor = Callable[[Array, Array, Array], Array]
"""Of the tokens (rows, max_length), the scores (rows, vocabulary) and the length so far: the new scores."""


@dataclass(frozen=True)
class Settings:
    """What decides over a text that is generated; transformers' GenerationConfig explains each."""

    max_length: int
    prompt_length: int
    pad_token_id: int
    eos_token_ids: tuple[int, ...]
    do_sample: bool = False
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    min_length: int = 0
    no_repeat_ngram_size: int = 0
    encoder_no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    encoder_repetition_penalty: float = 1.0
    forced_bos_token_id: int | None = None
    forced_eos_token_ids: tuple[int, ...] = ()
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    renormalize_logits: bool = False
    processors: tuple[Processor, ...] = ()
    """The caller's own, after those above."""


def processed(tokens: Array, scores: Array, length: Array, source: Array | None, settings: Settings) -> Array:
    """The scores (rows, vocabulary) of the next token after all that `settings` ask for.

    Args:
        tokens: (rows, max_length), of which `length` are written.
        source: (rows, source length), the encoder's tokens.
    """
    s = settings
    if s.encoder_repetition_penalty != 1.0 and source is not None:
        scores = _penalized(scores, _occurring(source, scores.shape[-1]), 1 / s.encoder_repetition_penalty)
    written = jnp.arange(tokens.shape[1]) < length
    if s.repetition_penalty != 1.0:
        scores = _penalized(scores, _occurring(tokens, scores.shape[-1], written), s.repetition_penalty)
    if s.no_repeat_ngram_size:
        repeating = _repeating(tokens, length, tokens, length, s.no_repeat_ngram_size, scores.shape[-1])
        scores = jnp.where(repeating, -jnp.inf, scores)
    if s.encoder_no_repeat_ngram_size and source is not None:
        size, whole = s.encoder_no_repeat_ngram_size, jnp.asarray(source.shape[1])
        repeating = _repeating(tokens, length, source, whole, size, scores.shape[-1])
        scores = jnp.where(repeating, -jnp.inf, scores)
    if s.min_length and s.eos_token_ids:
        barred = _barred(scores, s.eos_token_ids)
        scores = jnp.where(length < s.min_length, barred, scores)
    if s.forced_bos_token_id is not None:
        scores = jnp.where(length == 1, _forced(scores, (s.forced_bos_token_id,)), scores)
    if s.forced_eos_token_ids:
        scores = jnp.where(length == s.max_length - 1, _forced(scores, s.forced_eos_token_ids), scores)
    if s.suppress_tokens:
        scores = _barred(scores, s.suppress_tokens)
    if s.begin_suppress_tokens:
        begin = s.prompt_length + (s.prompt_length == 1 and s.forced_bos_token_id is not None)
        scores = jnp.where(length == begin, _barred(scores, s.begin_suppress_tokens), scores)
    for processor in s.processors:
        scores = processor(tokens, scores, length)
    if s.do_sample:
        scores = _narrowed(scores, s)
    return jax.nn.log_softmax(scores, axis=-1) if s.renormalize_logits else scores


def _barred(scores: Array, tokens: tuple[int, ...]) -> Array:
    return scores.at[:, jnp.asarray(tokens)].set(-jnp.inf)


def _forced(scores: Array, tokens: tuple[int, ...]) -> Array:
    return jnp.full_like(scores, -jnp.inf).at[:, jnp.asarray(tokens)].set(0.0)


def _occurring(tokens: Array, vocabulary: int, counted: Array | None = None) -> Array:
    """(rows, vocabulary): which tokens occur in (rows, length) tokens, or in those that are `counted`."""
    counted = jnp.ones_like(tokens, bool) if counted is None else jnp.broadcast_to(counted, tokens.shape)
    rows = jnp.arange(len(tokens))[:, None]
    return jnp.zeros((len(tokens), vocabulary), bool).at[rows, tokens].max(counted)


def _penalized(scores: Array, occurring: Array, penalty: float) -> Array:
    return jnp.where(occurring, jnp.where(scores < 0, scores * penalty, scores / penalty), scores)


def _repeating(
    tokens: Array, length: Array, source: Array, source_length: Array, size: int, vocabulary: int
) -> Array:
    """(rows, vocabulary): which tokens would complete a run of `size` tokens that stands in `source`."""
    windows = source.shape[1] - size + 1
    if windows < 1 or tokens.shape[1] < size - 1:
        return jnp.zeros((len(tokens), vocabulary), bool)
    matches = jnp.arange(windows) + size <= source_length
    matches = jnp.broadcast_to(matches & (length >= size - 1), (len(tokens), windows))
    last = jax.lax.dynamic_slice_in_dim(tokens, length - (size - 1), size - 1, axis=1)
    for place in range(size - 1):
        matches &= source[:, place : place + windows] == last[:, place, None]
    return _occurring(source[:, size - 1 :], vocabulary, matches)


def _narrowed(scores: Array, s: Settings) -> Array:
    """The scores by temperature, and without the tokens that `top_k` and `top_p` leave out."""
    scores = scores / s.temperature
    if s.top_k:
        least = jax.lax.top_k(scores, min(s.top_k, scores.shape[-1]))[0][..., -1:]
        scores = jnp.where(scores < least, -jnp.inf, scores)
    if s.top_p < 1.0:
        ordered, order = jax.lax.top_k(scores, scores.shape[-1])
        before = jnp.cumsum(jax.nn.softmax(ordered, axis=-1), axis=-1) - jax.nn.softmax(ordered, axis=-1)
        # The likeliest stays whatever `top_p` is: with no token left, nonsense would be drawn.
        stays = (before < s.top_p) | (jnp.arange(scores.shape[-1]) == 0)
        kept = jnp.where(stays, ordered, -jnp.inf)
        rows = jnp.arange(len(scores))[:, None]
        scores = jnp.full_like(scores, -jnp.inf).at[rows, order].set(kept)
    return scores
