"""Decoding restricted to whole sentences of the source: what is written this way is quoted, never invented.

The constraint is a trie over the sentences' tokens (here their sorted list: a node is a range of it). Inside a
sentence mostly one token is possible, and its likelihood tells nothing about the summary; so scores are
renormalised over the allowed continuations, a forced token costs nothing, and what beam search adds up are the
choices between sentences.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LogitsProcessor

LEAST_WORDS = 6  # fewer are headings, captions and the debris of formulas
MOST_TOKENS = 120  # more are lists, or what was left of a table
# From a capital, digit or opening mark to a full stop, maybe with references after it.
_WHOLE_SENTENCE = re.compile(
    r"[\"“‘(\[]?[A-Z0-9].*[a-zA-Z0-9)\]”’\"%][.!?][\"”’)\]]*(\s*\[[\d,;–\s-]+\])?", re.S
)


def is_quotable(sentence: str) -> bool:
    """Whether it looks like a whole sentence of running text."""
    words = sentence.split()
    letters = sum(character.isalpha() for character in sentence)
    return (
        len(words) >= LEAST_WORDS
        and letters >= 0.6 * len("".join(words))
        and _WHOLE_SENTENCE.fullmatch(sentence.strip()) is not None
    )


@dataclass(frozen=True)
class _State:
    """A place in the trie: the sorted sentences `first` to `last` agree with the `depth` tokens read."""

    first: int
    last: int
    depth: int
    used: frozenset[int]


class QuoteConstraint(LogitsProcessor):
    """Allows only sentences of the source, none of them twice, each to its end.

    A request's own: it remembers the texts it has seen grow. Repetition controls must be off, as they may bar the
    only token allowed.
    """

    def __init__(self, sentences: Sequence[Sequence[int]], end_token: int, max_new_tokens: int):
        """
        Args:
            sentences: the tokens of each sentence that may be quoted.
            end_token: ends the text.
            max_new_tokens: longest text with its end token; only sentences that still fit are begun.

        Raises:
            ValueError: no sentence fits.
        """
        places: dict[tuple[int, ...], int] = {}
        for place, sentence in enumerate(sentences):
            if 0 < len(sentence) < max_new_tokens:
                places.setdefault(tuple(sentence), place)
        if not places:
            raise ValueError("No sentence is short enough to be quoted; allow a longer summary.")
        self._sentences = sorted(places)
        self._places = [places[sentence] for sentence in self._sentences]
        self._end_token = end_token
        self._max_new_tokens = max_new_tokens
        self._states: dict[tuple[int, ...], frozenset[_State]] = {(): frozenset([self._root(frozenset())])}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(rows, start and tokens), (rows, vocabulary) -> log-probabilities among the allowed tokens."""
        prefixes = [tuple(row) for row in input_ids[:, 1:].tolist()]
        states = {prefix: self._read(prefix) for prefix in prefixes}
        self._states = states  # a row only ever grows by one token
        # What another rule barred, the end before a least length say, stays possible where nothing else is.
        scores = scores.clamp(min=torch.finfo(scores.dtype).min)
        masked = torch.full_like(scores, -torch.inf)
        for row, prefix in enumerate(prefixes):
            allowed = sorted(self._allowed(states[prefix], len(prefix)))
            masked[row, allowed] = scores[row, allowed]
        return masked.log_softmax(-1)

    def quoted(self, token_ids: Sequence[int]) -> list[tuple[int, int, int]]:
        """Which sentences a written text consists of, as (place in `sentences`, first token, end token).

        A sentence that is not finished is left out.
        """
        tokens = tuple(token_ids)
        longest: tuple[tuple[int, int, int], ...] = ()
        readings: list[tuple[tuple[int, int, int], ...]] = [()]
        while readings:  # more than one where a sentence begins another
            spans = readings.pop()
            start = spans[-1][2] if spans else 0
            if start > (longest[-1][2] if longest else 0):
                longest = spans
            said = {place for place, _, _ in spans}
            for place, sentence in zip(self._places, self._sentences):
                end = start + len(sentence)
                if place not in said and tokens[start:end] == sentence:
                    readings.append((*spans, (place, start, end)))
        return list(longest)

    def _root(self, used: frozenset[int]) -> _State:
        return _State(0, len(self._sentences), 0, used)

    def _read(self, prefix: tuple[int, ...]) -> frozenset[_State]:
        """Every way to read a prefix as sentences: more than one where a sentence begins another."""
        if prefix in self._states:
            return self._states[prefix]
        before = self._states.get(prefix[:-1])
        if before is None:
            before = self._read(prefix[:-1])
        token = prefix[-1]
        return frozenset(
            after
            for state in before
            for possible in (state, *self._finished(state))
            for after in self._advanced(possible, token)
        )

    def _finished(self, state: _State) -> Iterator[_State]:
        """The state after the sentence that ends here, if one does."""
        if state.depth and len(self._sentences[state.first]) == state.depth and state.first not in state.used:
            yield self._root(state.used | {state.first})

    def _advanced(self, state: _State, token: int) -> Iterator[_State]:
        narrowed = self._narrow(state.first, state.last, state.depth, token)
        if narrowed is not None:
            yield _State(*narrowed, state.depth + 1, state.used)

    def _narrow(self, first: int, last: int, depth: int, token: int) -> tuple[int, int] | None:
        """The part of a range of sorted sentences that goes on with `token`."""
        inside = [i for i in range(first, last) if self._token(i, depth) == token]
        return (inside[0], inside[-1] + 1) if inside else None

    def _token(self, sentence: int, depth: int) -> int | None:
        tokens = self._sentences[sentence]
        return tokens[depth] if depth < len(tokens) else None

    def _allowed(self, states: frozenset[_State], length: int) -> set[int]:
        """Tokens that go on with a sentence, begin another one that fits, or end the text."""
        room = self._max_new_tokens - length - 1  # one for the end token
        allowed: set[int] = set()
        for state in states:
            at_boundary = state.depth == 0
            for possible in (state, *self._finished(state)):
                at_boundary |= possible.depth == 0
                for i in range(possible.first, possible.last):
                    tokens = self._sentences[i]
                    rest = len(tokens) - possible.depth
                    if 0 < rest <= room and i not in possible.used:
                        allowed.add(tokens[possible.depth])
            if at_boundary and length:
                allowed.add(self._end_token)
        return allowed or {self._end_token}
