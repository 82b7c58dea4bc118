"""Beam search over a decoder that goes by steps: transformers' search in a tenth of its operations.

transformers' own keeps its books in tensors on the model's device, some hundred short operations a token, which on a
GPU take longer than the decoder, whose step is one graph. Here the device is asked once a token for each beam's best
tokens, and NumPy keeps the books, with the same float32 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import EosTokenCriteria, GenerationConfig, MaxLengthCriteria
from transformers.generation import LogitsProcessorList, StoppingCriteriaList

from longt5.generating.stepping import SteppingCache

_OUT = np.float32(
    -1e9
)  # what a beam loses that is out of the race; sums with it are still ordered, as in transformers


def can_search(
    criteria: StoppingCriteriaList, config: GenerationConfig, synced_gpus: bool | None, given: set[str]
) -> bool:
    """Whether `search` does what transformers' beam search would do with these.

    Args:
        given: the names of what the model is called with, beside the decoder's tokens.
    """
    drawn = config.do_sample or synced_gpus or getattr(config, "low_memory", False)
    plain = all(type(criterion) in (MaxLengthCriteria, EosTokenCriteria) for criterion in criteria)
    return plain and not drawn and given <= {"encoder_outputs", "attention_mask", "use_cache"}


def search(
    model: Any,
    input_ids: Tensor,
    processors: LogitsProcessorList,
    criteria: StoppingCriteriaList,
    config: GenerationConfig,
    cache: SteppingCache,
    given: dict[str, Any],
) -> Tensor:
    """Returns `(texts * num_return_sequences, length)` tokens, the best of each text first.

    Args:
        input_ids: `(texts * num_beams, prompt)`, how each text begins; the beams of one beside each other.
        given: what the model is called with, beside the decoder's tokens and the cache.
    """
    device, mask = input_ids.device, given.get("attention_mask")
    beams = Beams(input_ids.cpu().numpy(), BeamRules.of(criteria, config))
    output = model(decoder_input_ids=input_ids, past_key_values=cache, return_dict=True, **given)
    logits = output.logits[:, -1]
    del output
    while True:
        scores = processors(input_ids, F.log_softmax(logits.to(device, torch.float32), dim=-1))
        best = scores.topk(min(beams.rules.candidates, scores.shape[-1]))
        # One transfer, which waits for the device: doubles hold both kinds of numbers as they are.
        values, tokens = torch.stack([best.values.double(), best.indices.double()]).cpu().numpy()
        order = beams.advance(values.astype(np.float32), tokens.astype(np.int64))
        if order is None:
            return torch.from_numpy(beams.best(config.num_return_sequences)).to(device)
        if (order != np.arange(len(order))).any():
            cache.reorder(torch.from_numpy(order).to(device))
        input_ids = torch.from_numpy(beams.written()).to(device)
        logits = cache.logits(input_ids[:, -1:], mask)[:, 0]


@dataclass(frozen=True)
class BeamRules:
    """How many beams there are, when they end, and which is the best."""

    num_beams: int
    ends: np.ndarray
    """Tokens that end a text, each once."""
    max_length: int
    """Tokens of a text at which it ends, the prompt among them."""
    length_penalty: float
    early_stopping: bool | str
    fill: int
    """Token after a text's end."""

    @classmethod
    def of(cls, criteria: StoppingCriteriaList, config: GenerationConfig) -> BeamRules:
        """What a generation configuration says; the criteria are of the two kinds that `can_search` allows."""
        lengths = [each.max_length for each in criteria if isinstance(each, MaxLengthCriteria)]
        ends = [each.eos_token_id.cpu().numpy() for each in criteria if isinstance(each, EosTokenCriteria)]
        # transformers takes a padding token of 0 for none.
        fill = (
            -1
            if config._eos_token_tensor is None
            else int(config._pad_token_tensor or config._eos_token_tensor[0])
        )
        return cls(
            num_beams=config.num_beams,
            ends=np.unique(np.concatenate([np.zeros(0, np.int64), *ends])),
            max_length=min(lengths),
            length_penalty=config.length_penalty,
            early_stopping=config.early_stopping,
            fill=fill,
        )

    @property
    def candidates(self) -> int:
        """Continuations that are looked at: so many that enough go on where all the best ones end."""
        return max(2, 1 + len(self.ends)) * self.num_beams


class Beams:
    """The beams of some texts: those that go on, and the best of those that have ended."""

    def __init__(self, prompt: np.ndarray, rules: BeamRules) -> None:
        """
        Args:
            prompt: `(texts * num_beams, prompt)`, the beams of a text beside each other and all the same.
        """
        self.rules = rules
        texts = len(prompt) // rules.num_beams
        self._prompt = self._length = prompt.shape[1]
        self._tokens = np.full((texts, rules.num_beams, rules.max_length), rules.fill, dtype=np.int64)
        self._tokens[:, :, : self._length] = prompt.reshape(texts, rules.num_beams, -1)
        self._scores = np.full((texts, rules.num_beams), _OUT)
        self._scores[:, 0] = 0.0  # the beams are all the same: one is enough to begin with
        self._ended = self._tokens.copy()
        self._ended_lengths = np.full((texts, rules.num_beams), self._length)
        self._ended_scores = np.full((texts, rules.num_beams), _OUT)
        self._has_ended = np.zeros((texts, rules.num_beams), dtype=bool)
        self._may_improve = np.ones((texts, 1), dtype=bool)

    def written(self) -> np.ndarray:
        """`(texts * num_beams, length)` tokens of the beams that go on, a copy."""
        return self._tokens[:, :, : self._length].reshape(-1, self._length).copy()

    def best(self, count: int) -> np.ndarray:
        """`(texts * count, length)` tokens of the best that have ended."""
        length = self._ended_lengths[:, :count].max()
        return self._ended[:, :count, :length].reshape(-1, length)

    def advance(self, scores: np.ndarray, tokens: np.ndarray) -> np.ndarray | None:
        """Adds a token to each beam.

        Args:
            scores, tokens: `(texts * num_beams, candidates)`, each beam's best tokens and their log probabilities.

        Returns:
            `(texts * num_beams,)`: the row from which each row goes on; None where the search is over.
        """
        rules = self.rules
        texts, beams = self._scores.shape
        per_beam = scores.shape[1]
        scores = (scores.reshape(texts, beams, per_beam) + self._scores[:, :, None]).reshape(texts, -1)
        best = _highest(scores, rules.candidates)
        scores, tokens = _take(scores, best), _take(tokens.reshape(texts, -1), best)
        candidates = _take(self._tokens, best // per_beam)
        candidates[:, :, self._length] = tokens
        self._length += 1
        ends = (tokens[:, :, None] == rules.ends).any(axis=2) | (self._length >= rules.max_length)
        self._end(candidates, scores, ends)
        going_on = scores + ends * _OUT
        chosen = _highest(going_on, beams)
        self._tokens, self._scores = _take(candidates, chosen), _take(going_on, chosen)
        if self._is_over() or ends.all():
            return None
        return (_take(best // per_beam, chosen) + np.arange(texts)[:, None] * beams).reshape(-1)

    def _end(self, candidates: np.ndarray, scores: np.ndarray, ends: np.ndarray) -> None:
        """Keeps the best of what has ended now, among as many of the best candidates as there are beams, and before."""
        rules, beams = self.rules, self._scores.shape[1]
        ends = ends & (np.arange(ends.shape[1]) < beams)
        barred = ~ends * _OUT + ~self._may_improve * _OUT
        if rules.early_stopping is True:
            barred += self._has_ended.all(axis=1, keepdims=True) * _OUT
        scores = scores / self._penalty(self._length) + barred
        merged = np.concatenate([self._ended_scores, scores], axis=1)
        best = _highest(merged, beams)
        self._ended_scores = _take(merged, best)
        self._has_ended = _take(np.concatenate([self._has_ended, ends], axis=1), best)
        if (best >= beams).any():
            lengths = np.broadcast_to(self._length, ends.shape)
            self._ended_lengths = _take(np.concatenate([self._ended_lengths, lengths], axis=1), best)
            self._ended = _take(np.concatenate([self._ended, candidates], axis=1), best)

    def _penalty(self, length: int) -> np.float32:
        """What the score of a text of so many tokens is divided by."""
        return np.float32((length - self._prompt) ** self.rules.length_penalty)

    def _is_over(self) -> bool:
        rules = self.rules
        lengthens = rules.early_stopping == "never" and rules.length_penalty > 0
        possible = self._scores[:, :1] / self._penalty(rules.max_length if lengthens else self._length)
        worst = np.where(self._has_ended, self._ended_scores.min(axis=1, keepdims=True), _OUT)
        self._may_improve &= (possible > worst).any(axis=1, keepdims=True)
        return not self._may_improve.any() or (rules.early_stopping is True and bool(self._has_ended.all()))


def _highest(scores: np.ndarray, count: int) -> np.ndarray:
    """`(texts, count)`: where the highest of `(texts, n)` scores are, in their order."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def _take(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """`(texts, n, ...)` values at `(texts, m)` places."""
    return values[np.arange(len(index))[:, None], index]
