"""Quoting: a summary made of whole sentences of the paper, chosen by the model's own likelihood.

The sentences form a trie, and the decoder may only walk along it. Inside a sentence mostly one token is possible,
and its likelihood tells nothing about the summary; so scores are renormalised over the allowed continuations, a
forced token costs nothing, and a sentence's score is the logarithm of its share among all that could come next. As
the positions at which sentences part are few, these scores are computed exactly for every sentence of the paper; beam
search token by token would lose a good sentence for the common word that it begins with. The beams here are of
sentences: each is chosen as the first of a summary of the rest of the paper, read without the sentences chosen before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from longt5.generation import EncodedText, Tokens
from longt5.modeling import CACHE_NAME, LongT5ForConditionalGeneration, SharedEncoderOutput

# Sentences that are scored again after each choice: the best ones at first. A summary takes about ten.
_SHORTLIST = 32
_ROWS = 64  # prefixes or sentences that the decoder reads at once


@dataclass(frozen=True)
class Quoted:
    """The chosen sentences, first choice first: their indices in the list given, and all their tokens."""

    indices: tuple[int, ...]
    token_ids: Tokens


@dataclass(frozen=True)
class Sampling:
    """Draws each sentence by its likelihood instead of taking the likeliest; settings as `generate` has them."""

    seed: int
    temperature: float = 1.0
    top_p: float = 1.0


@torch.inference_mode()
def quote(
    model: LongT5ForConditionalGeneration,
    encoded: EncodedText,
    sentences: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    num_beams: int = 1,
    sampling: Sampling | None = None,
    on_progress: Callable[[Tokens], None] | None = None,
) -> Quoted:
    """Chooses sentences of an encoded text until none is left that fits.

    Args:
        sentences: the tokens of each sentence that may be quoted. One that stands there twice is quoted once.
        max_new_tokens: longest text, an end token included.
        num_beams: choices followed at once, compared by the mean score of their sentences.
        sampling: draws sentences instead, in one beam.
        on_progress: called after each choice with the tokens of the best beam.
    Raises:
        ValueError: no sentence fits.
    """
    indices: dict[Tokens, int] = {}
    for index, sentence in enumerate(sentences):
        if 0 < len(sentence) < max_new_tokens:
            indices.setdefault(tuple(sentence), index)
    if not indices:
        raise ValueError("No sentence is short enough to be quoted; allow a longer summary.")

    candidates = list(indices)
    beams = [_Beam(_Decoder.at_start(model, encoded))]
    shortlist = candidates
    generator = None if sampling is None else torch.Generator().manual_seed(sampling.seed)
    while not all(beam.finished for beam in beams):
        following = []
        for beam in beams:
            room = max_new_tokens - 1 - len(beam.token_ids)
            possible = [s for s in candidates if len(s) <= room and s not in beam.chosen]
            wanted = [s for s in shortlist if len(s) <= room and s not in beam.chosen]
            if beam.finished or not wanted:
                following.append(replace(beam, finished=True))
                continue
            scores = _choice_scores(beam.decoder, possible, wanted)
            if not beam.chosen:
                shortlist = [wanted[i] for i in scores.argsort(descending=True)[:_SHORTLIST].tolist()]
            if sampling is None or generator is None:
                chosen = scores.topk(min(num_beams, len(wanted))).indices
            else:
                chosen = _draw(scores, sampling, generator)
            following += [beam.choosing(wanted[i], float(scores[i])) for i in chosen.tolist()]
        beams = _best(following, num_beams)
        if on_progress is not None:
            on_progress(beams[0].token_ids)
    return Quoted(tuple(indices[sentence] for sentence in beams[0].chosen), beams[0].token_ids)


@dataclass(frozen=True)
class _Beam:
    """Some chosen sentences, and a decoder that does not read them (until `_best` the last one still)."""

    decoder: _Decoder
    chosen: tuple[Tokens, ...] = ()
    total: float = 0.0
    finished: bool = False

    @property
    def token_ids(self) -> Tokens:
        return tuple(token for sentence in self.chosen for token in sentence)

    @property
    def mean_score(self) -> float:
        return self.total / max(1, len(self.chosen))

    def choosing(self, sentence: Tokens, score: float) -> _Beam:
        return _Beam(self.decoder, (*self.chosen, sentence), self.total + score)


def _best(beams: Sequence[_Beam], count: int) -> list[_Beam]:
    """The best beams by mean score, of those with the same sentences only the best; each with its own decoder."""
    kept: dict[frozenset[Tokens], _Beam] = {}
    for beam in sorted(beams, key=lambda beam: beam.mean_score, reverse=True):
        kept.setdefault(frozenset(beam.chosen), beam)
    best = list(kept.values())[:count]
    return [
        beam if beam.finished else replace(beam, decoder=beam.decoder.without(beam.chosen[-1]))
        for beam in best
    ]


def _draw(scores: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """The index (1,) of a sentence drawn by its score."""
    shares, order = (scores / sampling.temperature).softmax(-1).sort(descending=True)
    shares = shares * (shares.cumsum(-1) - shares < sampling.top_p)  # the first one always stays
    return order[torch.multinomial(shares, 1, generator=generator)]


def occurrences(sentence: Sequence[int], paper: bytes) -> list[int]:
    """Where the tokens of a sentence stand in a paper, given as 4 bytes a token."""
    wanted = _as_bytes(sentence)
    found = []
    byte = paper.find(wanted)
    while byte != -1:
        if byte % 4 == 0:
            found.append(byte // 4)
        byte = paper.find(wanted, byte + 1)
    return found


def _as_bytes(tokens: Sequence[int]) -> bytes:
    return np.array(tokens, dtype=np.int32).tobytes()


def branches(sentences: Sequence[Tokens]) -> dict[Tokens, list[int]]:
    """The prefixes after which distinct sentences part, and the tokens with which they go on.

    Where one sentence is the beginning of another, its end is no choice: both are as likely as the longer one.
    """
    nodes: dict[Tokens, list[int]] = {}
    groups = [(0, sentences)]
    while groups:
        depth, group = groups.pop()
        parts: dict[int, list[Tokens]] = {}
        for sentence in group:
            if len(sentence) > depth:
                parts.setdefault(sentence[depth], []).append(sentence)
        if len(parts) > 1:
            nodes[group[0][:depth]] = list(parts)
        groups += [(depth + 1, part) for part in parts.values() if len(part) > 1]
    return nodes


def _choice_scores(decoder: _Decoder, possible: Sequence[Tokens], wanted: Sequence[Tokens]) -> Tensor:
    """The logarithm of each wanted sentence's share among the possible ones: (wanted,)."""
    nodes = branches(possible)
    deepest = max(map(len, nodes), default=-1)
    paths = [
        [sentence[:depth] for depth in range(min(len(sentence), deepest + 1)) if sentence[:depth] in nodes]
        for sentence in wanted
    ]
    prefixes = sorted({prefix for path in paths for prefix in path}, key=len)
    scores: dict[Tokens, dict[int, float]] = {}
    for prefix, logits in zip(prefixes, decoder.logits_after(prefixes), strict=True):
        shares = logits[nodes[prefix]].log_softmax(-1)
        scores[prefix] = dict(zip(nodes[prefix], shares.tolist(), strict=True))
    return torch.tensor(
        [
            sum(scores[prefix][sentence[len(prefix)]] for prefix in path)
            for sentence, path in zip(wanted, paths, strict=True)
        ]
    )


@dataclass(frozen=True)
class _Decoder:
    """A decoder that has read its start token, and may look at some of the paper."""

    model: LongT5ForConditionalGeneration
    paper: bytes  # its tokens, see `occurrences`
    source: Tensor  # (1, length, d_model)
    unread: Tensor  # (1, length): 1 where the paper may be looked at, 0 in sentences already chosen
    cache: EncoderDecoderCache  # of the start token alone
    next_logits: Tensor  # (vocabulary,) float32

    @classmethod
    def at_start(cls, model: LongT5ForConditionalGeneration, encoded: EncodedText) -> _Decoder:
        input_ids, source = encoded.seen()
        start = torch.tensor([[model.generation_config.decoder_start_token_id]], device=source.device)
        output = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=source), decoder_input_ids=start, use_cache=True
        )
        paper = _as_bytes(input_ids[0].tolist())
        unread = torch.ones(source.shape[:2], dtype=torch.long, device=source.device)
        return cls(model, paper, source, unread, getattr(output, CACHE_NAME), output.logits[0, -1].float())

    def without(self, sentence: Tokens) -> _Decoder:
        """The decoder at its start when it may not read a sentence more; this one stays as it is."""
        unread = self.unread.clone()
        for start in occurrences(sentence, self.paper):
            unread[:, start : start + len(sentence)] = 0
        start = self.model.generation_config.decoder_start_token_id
        cache = EncoderDecoderCache(
            DynamicCache(config=self.model.config.get_text_config(decoder=True)),
            self.cache.cross_attention_cache,
        )
        logits = replace(self, unread=unread)._read([(start,)], cache)[0, -1]
        return replace(self, unread=unread, cache=cache, next_logits=logits)

    def logits_after(self, prefixes: Sequence[Tokens]) -> Iterator[Tensor]:
        """The logits (vocabulary,) after each prefix."""
        for start in range(0, len(prefixes), _ROWS):
            rows = prefixes[start : start + _ROWS]
            read = [prefix for prefix in rows if prefix]
            logits = iter(self._read(read, self._cache(len(read)))) if read else iter(())
            for prefix in rows:
                yield next(logits)[len(prefix) - 1] if prefix else self.next_logits

    def _cache(self, rows: int) -> EncoderDecoderCache:
        """A copy of the cache for a number of rows; the paper's keys and values are shared, not copied."""
        own = copy.deepcopy(self.cache.self_attention_cache)
        own.batch_repeat_interleave(rows)
        return EncoderDecoderCache(own, self.cache.cross_attention_cache)

    def _read(self, rows: Sequence[Tokens], cache: EncoderDecoderCache) -> Tensor:
        """The logits (rows, longest row, vocabulary) in float32 after each token of each row."""
        tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for tensor, row in zip(tokens, rows, strict=True):
            tensor[: len(row)] = torch.tensor(row)
        return self.model(
            encoder_outputs=SharedEncoderOutput(last_hidden_state=self.source),
            attention_mask=self.unread,
            decoder_input_ids=tokens.to(self.source.device),
            past_key_values=cache,
            use_cache=True,
        ).logits.float()
