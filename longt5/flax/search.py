"""Greedy search, sampling and beams as compiled loops, with the semantics of transformers' PyTorch code.

A loop's shapes are fixed: texts have room for `max_length` tokens. The rows of one text, its beams, share one copy of
the keys and values of cross-attention.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from longt5.flax import core
from longt5.flax.core import Setup
from longt5.flax.parameters import Params
from longt5.flax.processors import Settings, processed

# What stands for a score of no text; transformers' own, as scores are compared with it.
NEVER = -1.0e9


class _Source(NamedTuple):
    """What the decoder reads from."""

    params: Params
    cross: tuple[core.KeysAndValues, ...]
    mask: Array
    tokens: Array | None
    decoder_mask: Array


def _next_logits(source: _Source, tokens: Array, cache: Any, setup: Setup) -> tuple[Array, Any]:
    """The logits (rows, vocabulary) after (rows, new) tokens, float32, and the cache with these."""
    decoded = core.decode(
        source.params,
        tokens,
        source.decoder_mask,
        source.cross,
        source.mask,
        setup,
        past_key_values=cache,
    )
    scores = core.logits(source.params, decoded.last_hidden_state[:, -1:], setup)[:, 0]
    return scores.astype(jnp.float32), decoded.past_key_values


def _source(
    params: Params,
    encoder_states: Array,
    encoder_mask: Array,
    encoder_tokens: Array | None,
    prompt_mask: Array,
    setup: Setup,
    rows_a_text: int,
    max_length: int,
) -> _Source:
    cross = core.cross_keys_and_values(params, encoder_states, setup)
    room = ((0, 0), (0, max_length - prompt_mask.shape[1]))
    decoder_mask = jnp.repeat(jnp.pad(prompt_mask, room, constant_values=1), rows_a_text, axis=0)
    tokens = None if encoder_tokens is None else jnp.repeat(encoder_tokens, rows_a_text, axis=0)
    return _Source(params, cross, encoder_mask, tokens, decoder_mask)


@partial(jax.jit, static_argnames=("setup", "settings"))
def sample(
    params: Params,
    encoder_states: Array,
    encoder_mask: Array,
    encoder_tokens: Array | None,
    prompt: Array,
    prompt_mask: Array,
    key: Array,
    *,
    setup: Setup,
    settings: Settings,
) -> Array:
    """Goes on with each prompt by the likeliest token or, with `do_sample`, a drawn one.

    Args:
        encoder_states: (batch, source length, d_model); `encoder_mask`, `encoder_tokens`: (batch, source length).
        prompt, prompt_mask: (batch, prompt length).
        key: of `jax.random`, to draw with.
    Returns:
        (batch * num_return_sequences, max_length) tokens.
    """
    s, copies = settings, settings.num_return_sequences
    encoded = (encoder_states, encoder_mask, encoder_tokens)
    source = _source(params, *encoded, prompt_mask, setup, copies, s.max_length)
    prompt = jnp.repeat(prompt, copies, axis=0)
    tokens = jnp.full((len(prompt), s.max_length), s.pad_token_id, jnp.int32)
    tokens = lax.dynamic_update_slice(tokens, prompt, (0, 0))
    cache = core.empty_cache(len(prompt), s.max_length, setup)
    logits, cache = _next_logits(source, prompt, cache, setup)
    ends = jnp.asarray(s.eos_token_ids, jnp.int32)

    def goes_on(state: tuple) -> Array:
        length, _, finished, *_ = state
        return (length < s.max_length) & ~finished.all()

    def step(state: tuple) -> tuple:
        length, tokens, finished, logits, cache, key = state
        key, drawing = jax.random.split(key)
        scores = processed(tokens, logits, length, source.tokens, s)
        new = jax.random.categorical(drawing, scores) if s.do_sample else scores.argmax(-1)
        new = jnp.where(finished, s.pad_token_id, new.astype(jnp.int32))
        tokens = lax.dynamic_update_slice(tokens, new[:, None], (0, length))
        finished |= (new[:, None] == ends).any(-1)
        logits, cache = _next_logits(source, new[:, None], cache, setup)
        return length + 1, tokens, finished, logits, cache, key

    finished = jnp.zeros(len(prompt), bool)
    start = (jnp.asarray(prompt.shape[1], jnp.int32), tokens, finished, logits, cache, key)
    return lax.while_loop(goes_on, step, start)[1]


class _Beams(NamedTuple):
    """Beam search between two tokens; what is running and what has ended, `num_beams` of each for every text."""

    length: Array
    running: Array
    """(batch, beams, max_length)"""
    running_scores: Array
    """(batch, beams), sums of log probabilities"""
    ended: Array
    """(batch, beams, max_length)"""
    ended_scores: Array
    """(batch, beams), with the length penalty"""
    has_ended: Array
    """(batch, beams)"""
    may_improve: Array
    """(batch, 1)"""
    goes_on: Array
    logits: Array
    """(batch * beams, vocabulary)"""
    cache: Any


def _taken(x: Array, index: Array) -> Array:
    """(batch, n, ...) by (batch, m) -> (batch, m, ...)"""
    return jnp.take_along_axis(x, index.reshape(*index.shape, *[1] * (x.ndim - 2)), axis=1)


@partial(jax.jit, static_argnames=("setup", "settings"))
def beam_search(
    params: Params,
    encoder_states: Array,
    encoder_mask: Array,
    encoder_tokens: Array | None,
    prompt: Array,
    prompt_mask: Array,
    *,
    setup: Setup,
    settings: Settings,
) -> tuple[Array, Array]:
    """The best texts that beams find; arguments as in `sample`.

    Returns:
        (batch * num_return_sequences, max_length) tokens and (batch * num_return_sequences,) scores.
    """
    s, beams = settings, settings.num_beams
    encoded = (encoder_states, encoder_mask, encoder_tokens)
    source = _source(params, *encoded, prompt_mask, setup, beams, s.max_length)
    batch, prompt_length = prompt.shape
    repeated = jnp.repeat(prompt, beams, axis=0)
    logits, cache = _next_logits(
        source, repeated, core.empty_cache(batch * beams, s.max_length, setup), setup
    )
    empty = jnp.full((batch, beams, s.max_length), s.pad_token_id, jnp.int32)
    running = empty.at[:, :, :prompt_length].set(prompt[:, None])
    # At first all beams of a text are the same: only one of them counts.
    only_first = jnp.where(jnp.arange(beams) == 0, 0.0, NEVER)
    start = _Beams(
        length=jnp.asarray(prompt_length, jnp.int32),
        running=running,
        running_scores=jnp.broadcast_to(only_first, (batch, beams)),
        ended=running,
        ended_scores=jnp.full((batch, beams), NEVER),
        has_ended=jnp.zeros((batch, beams), bool),
        may_improve=jnp.ones((batch, 1), bool),
        goes_on=jnp.asarray(True),
        logits=logits,
        cache=cache,
    )
    step = partial(_beam_step, source=source, setup=setup, settings=s)
    done = lax.while_loop(lambda state: state.goes_on, step, start)
    best = s.num_return_sequences
    return done.ended[:, :best].reshape(-1, s.max_length), done.ended_scores[:, :best].reshape(-1)


def _beam_step(state: _Beams, *, source: _Source, setup: Setup, settings: Settings) -> _Beams:
    """One token more for every beam."""
    s, length = settings, state.length
    batch, beams, _ = state.running.shape
    vocabulary = state.logits.shape[-1]
    log_probs = jax.nn.log_softmax(state.logits, axis=-1)
    flat = state.running.reshape(batch * beams, -1)
    log_probs = processed(flat, log_probs, length, source.tokens, s)
    totals = (log_probs.reshape(batch, beams, -1) + state.running_scores[..., None]).reshape(batch, -1)

    # As many as go on even if all the best ones end here, whichever of the end tokens they take.
    count = max(2, 1 + len(s.eos_token_ids)) * beams
    scores, index = lax.top_k(totals, min(count, totals.shape[1]))
    count = scores.shape[1]
    parents, new = index // vocabulary, (index % vocabulary).astype(jnp.int32)
    candidates = _taken(state.running, parents)
    candidates = lax.dynamic_update_slice(candidates, new[..., None], (0, 0, length))
    ends = (new[..., None] == jnp.asarray(s.eos_token_ids, jnp.int32)).any(-1) | (length + 1 >= s.max_length)

    chosen = lax.top_k(scores + ends * NEVER, beams)[1]
    running_scores = _taken(scores + ends * NEVER, chosen)
    of_rows = (_taken(parents, chosen) + jnp.arange(batch)[:, None] * beams).reshape(-1)
    tokens = _taken(new, chosen).reshape(-1, 1)

    ended, ended_scores, has_ended = _with_ended(state, candidates, scores, ends, s)
    may_improve = state.may_improve & _may_improve(length + 1, running_scores, ended_scores, has_ended, s)
    all_ended = has_ended.all() if s.early_stopping is True else jnp.asarray(False)
    cache = jax.tree.map(lambda x: x[of_rows] if x.ndim else x, state.cache)
    logits, cache = _next_logits(source, tokens, cache, setup)
    return _Beams(
        length=length + 1,
        running=_taken(candidates, chosen),
        running_scores=running_scores,
        ended=ended,
        ended_scores=ended_scores,
        has_ended=has_ended,
        may_improve=may_improve,
        goes_on=may_improve.any() & ~all_ended & ~ends.all(),
        logits=logits,
        cache=cache,
    )


def _with_ended(
    state: _Beams, candidates: Array, scores: Array, ends: Array, s: Settings
) -> tuple[Array, Array, Array]:
    """The best texts that have ended, with those of this step: tokens, scores and whether there is one."""
    beams = state.running.shape[1]
    # Candidates beyond the beams are there to go on with, and do not count as ended.
    just_ended = ends & (jnp.arange(scores.shape[1]) < beams)
    written = (state.length + 1 - s.prompt_length).astype(jnp.float32)
    scores = scores / written**s.length_penalty
    if s.early_stopping is True:
        scores += state.has_ended.all(-1, keepdims=True) * NEVER
    scores += ~state.may_improve * NEVER
    scores += ~just_ended * NEVER
    merged = jnp.concatenate([state.ended_scores, scores], axis=1)
    best = lax.top_k(merged, beams)[1]
    return (
        _taken(jnp.concatenate([state.ended, candidates], axis=1), best),
        _taken(merged, best),
        _taken(jnp.concatenate([state.has_ended, just_ended], axis=1), best),
    )


def _may_improve(length: Array, running: Array, ended_scores: Array, has_ended: Array, s: Settings) -> Array:
    """(batch, 1): whether a running text may yet be better than the worst of those that ended, by a heuristic."""
    longest = s.early_stopping == "never" and s.length_penalty > 0.0
    written = jnp.float32(s.max_length - s.prompt_length) if longest else length - s.prompt_length
    best = running[:, :1] / written.astype(jnp.float32) ** s.length_penalty
    worst = jnp.where(has_ended, ended_scores.min(1, keepdims=True), NEVER)
    return (best > worst).any(-1, keepdims=True)
