"""What a model is asked to write about a paper: the training objectives, paper in, example out.

Two of them choose sentences of the paper by their overlap with its abstract, not the best ones always but at random
with the better ones more likely: no two passes over a paper ask for the same.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from longt5.text.shortening import beginning_and_end, shortened, shortened_starts

# Tokens of a sentence that may be asked for: shorter ones are headings and debris of formulas, longer ones tables.
SENTENCE_TOKENS = (8, 160)
FEWEST_UNITS = 5  # distinct words of such a sentence
# Of the draw of sentences by their overlap with the abstract (an F1 of 0 to 1): gap sentences come from a window, where
# good ones are few, extracts from all that is read.
GAP_TEMPERATURE, EXTRACT_TEMPERATURE = 0.06, 0.035
FEWEST_CHOICES = 8  # with fewer sentences to choose from, a window is a table or a list
SHORTEST_EXTRACT = 60  # tokens
MOST_LEFT_OUT = 0.2  # share of sentences


@dataclass(frozen=True)
class TokenizedPaper:
    """Tokens of one paper's body and abstract, without `</s>`."""

    tokens: np.ndarray
    """`(tokens,)` int64."""
    starts: np.ndarray
    """`(sentences + 1,)` int64: first token of each sentence, and the end."""
    abstract: np.ndarray
    """`(tokens,)` int64."""


@dataclass(frozen=True)
class Example:
    """Token ids of the input and of the target, each ending with `</s>`."""

    input_ids: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Vocabulary:
    """What the objectives need to know of a tokenizer and of the papers it was applied to."""

    units: np.ndarray
    """`(vocabulary,)`: the number by which each token counts as a word, the same for pieces that differ in case or in
    the space before them; -1 for punctuation."""
    ends: np.ndarray
    """`(vocabulary,)` bool: tokens that can end a sentence."""
    rarity: np.ndarray
    """`(units,)`: weight of each unit, the logarithm of how rare papers with it are."""
    eos_token_id: int
    mask_token_id: int | None

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, papers_with_unit: np.ndarray | None = None) -> Vocabulary:
        """Reads it from a tokenizer that marks spaces with `▁`.

        Args:
            papers_with_unit: `(units + 1,)` papers in which each unit stands and, last, all papers. Without it all
                units weigh the same.
        """
        pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        numbers: dict[str, int] = {}
        units = [
            numbers.setdefault(piece, len(numbers)) if _has_word_character(piece) else -1
            for piece in (piece.lstrip("▁").lower() for piece in pieces)
        ]
        ends = [piece.rstrip("\"'”’)]").endswith((".", "?", "!")) for piece in pieces]
        rarity = np.ones(len(numbers))
        if papers_with_unit is not None:
            *counts, papers = papers_with_unit
            rarity = np.log((papers + 1) / (np.array(counts) + 1))
        return cls(np.array(units), np.array(ends), rarity, tokenizer.eos_token_id, tokenizer.mask_token_id)

    @property
    def mask(self) -> int:
        """The mask token's id. Raises ValueError where the tokenizer has none."""
        if self.mask_token_id is None:
            raise ValueError(f"The objectives {' and '.join(MASKING)} need a tokenizer with a mask token.")
        return self.mask_token_id


def _has_word_character(piece: str) -> bool:
    return any(unicodedata.category(character)[0] in "LN" for character in piece)


@dataclass(frozen=True)
class _Window:
    """Part of a paper; `starts` as in `TokenizedPaper`, of the whole sentences in it."""

    tokens: np.ndarray
    starts: np.ndarray

    def sentence(self, index: int) -> np.ndarray:
        return self.tokens[self.starts[index] : self.starts[index + 1]]


Objective = Callable[[TokenizedPaper, Vocabulary, np.random.Generator, int, int], Example | None]


def gap_sentences(
    paper: TokenizedPaper,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    source_tokens: int,
    target_tokens: int,
) -> Example | None:
    """A window in; out the sentences that say what the abstract says, in their order.

    In half of the examples all of them are masked in the input, one mask token for each (PEGASUS, Zhang et al. 2020,
    section 3.1), in the others each with even odds: the first asks to infer, the second to find as well.
    """
    mask_all = rng.random() < 0.5
    budget = int(rng.integers(target_tokens // 2, target_tokens))
    # What is masked makes room for more text.
    length = source_tokens - 1 + (budget if mask_all else budget // 2)
    window = _random_window(paper, rng, length)
    ranked = _draw_by_overlap(window, paper.abstract, vocabulary, rng, GAP_TEMPERATURE)
    chosen = np.sort(_that_fit(window, ranked, budget - 1))
    is_masked = rng.random(len(chosen)) < (1.0 if mask_all else 0.5)
    source = _with_masks(window, chosen[is_masked], vocabulary.mask)
    # More room was made than masks took up where few were: what is cut off can neither be found nor inferred.
    ends = window.starts[chosen + 1]
    saved = np.cumsum(np.where(is_masked, ends - window.starts[chosen] - 1, 0))
    chosen = chosen[ends - saved < source_tokens]
    if not len(chosen):
        return None
    target = np.concatenate([window.sentence(index) for index in chosen])
    return _example(source[: source_tokens - 1], target, vocabulary)


def extract(
    paper: TokenizedPaper,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    source_tokens: int,
    target_tokens: int,
) -> Example | None:
    """The mask token and the paper in, sentences of it out, likeliest first: what choosing quotes asks for."""
    window = _beginning_and_end(paper, source_tokens - 2)
    ranked = _draw_by_overlap(window, paper.abstract, vocabulary, rng, EXTRACT_TEMPERATURE)
    chosen = _that_fit(
        window, ranked, int(rng.integers(min(SHORTEST_EXTRACT, target_tokens - 1), target_tokens))
    )
    if not len(chosen):
        return None
    target = np.concatenate([window.sentence(index) for index in chosen])
    return _example(np.append(vocabulary.mask, window.tokens), target, vocabulary)


def continuation(
    paper: TokenizedPaper,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    source_tokens: int,
    target_tokens: int,
) -> Example | None:
    """A window in, what follows it out, cut off where the target is full."""
    room = source_tokens + target_tokens - 2
    if len(paper.tokens) < room:
        return None
    window = _random_window(paper, rng, room)
    return _example(window.tokens[: source_tokens - 1], window.tokens[source_tokens - 1 :], vocabulary)


def abstract(
    paper: TokenizedPaper,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    source_tokens: int,
    target_tokens: int,
) -> Example | None:
    """The paper in, its abstract out; none for abstracts that are longer than the target.

    Some sentences of the paper are left out at random: no paper comes twice in the same words.
    """
    if not 0 < len(paper.abstract) < target_tokens:
        return None
    kept = rng.random(len(paper.starts) - 1) >= rng.uniform(0, MOST_LEFT_OUT)
    lengths = np.diff(paper.starts)
    tokens = paper.tokens[np.repeat(kept, lengths)]
    if not len(tokens):
        return None
    starts = np.append(0, np.cumsum(lengths[kept]))
    window = _beginning_and_end(TokenizedPaper(tokens, starts, paper.abstract), source_tokens - 1)
    return _example(window.tokens, paper.abstract, vocabulary)


OBJECTIVES: dict[str, Objective] = {
    "gap": gap_sentences,
    "extract": extract,
    "continuation": continuation,
    "abstract": abstract,
}
MASKING = ("gap", "extract")  # those that need a tokenizer with a mask token


def overlap_with_abstract(
    tokens: np.ndarray, starts: np.ndarray, reference: np.ndarray, vocabulary: Vocabulary
) -> np.ndarray:
    """F1 of each sentence's distinct units against those of the abstract, weighted by rarity: (sentences,), 0 to 1.

    Sentences that may not be asked for get -1: headings, debris, tables, and those without a full stop.

    Args:
        tokens, starts: as in `TokenizedPaper`.
        reference: tokens of the abstract.
    """
    sentences = len(starts) - 1
    lengths = np.diff(starts)
    units = vocabulary.units[tokens[: starts[-1]]]
    of_sentence = np.repeat(np.arange(sentences), lengths)[units >= 0]
    pairs = np.unique(of_sentence * len(vocabulary.rarity) + units[units >= 0])
    rows, columns = np.divmod(pairs, len(vocabulary.rarity))
    wanted = np.zeros(len(vocabulary.rarity), dtype=bool)
    of_reference = vocabulary.units[reference]
    wanted[of_reference[of_reference >= 0]] = True
    weight = vocabulary.rarity[columns]
    hits = np.bincount(rows, weight * wanted[columns], minlength=sentences)
    sizes = np.bincount(rows, weight, minlength=sentences)
    f1 = 2 * hits / (sizes + vocabulary.rarity[wanted].sum() + 1e-6)
    shortest, longest = SENTENCE_TOKENS
    ends = vocabulary.ends[tokens[starts[1:] - 1]]
    distinct = np.bincount(rows, minlength=sentences)
    allowed = (lengths >= shortest) & (lengths <= longest) & ends & (distinct >= FEWEST_UNITS)
    return np.where(allowed, f1, -1.0)


def _draw_by_overlap(
    window: _Window,
    reference: np.ndarray,
    vocabulary: Vocabulary,
    rng: np.random.Generator,
    temperature: float,
) -> np.ndarray:
    """Sentences in the order of a draw without replacement, each with odds exp(overlap / temperature); [] for few."""
    overlap = overlap_with_abstract(window.tokens, window.starts, reference, vocabulary)
    candidates = np.flatnonzero(overlap >= 0)
    if len(candidates) < FEWEST_CHOICES:
        return candidates[:0]
    # The Gumbel trick: sorting noisy scores draws one sentence after the other (Kool et al. 2019).
    noisy = overlap[candidates] / temperature + rng.gumbel(size=len(candidates))
    return candidates[np.argsort(-noisy)]


def _that_fit(window: _Window, ranked: np.ndarray, budget: int) -> np.ndarray:
    """The first of the ranked sentences, up to the one that `budget` tokens have no room for."""
    ends = np.cumsum(window.starts[ranked + 1] - window.starts[ranked])
    return ranked[: int(np.searchsorted(ends, budget, side="right"))]


def _random_window(paper: TokenizedPaper, rng: np.random.Generator, length: int) -> _Window:
    """`length` tokens that begin with a sentence; the whole paper if it is shorter."""
    last = int(np.searchsorted(paper.starts, paper.starts[-1] - length, side="right"))
    first = int(rng.integers(max(last, 1)))
    begin = paper.starts[first]
    after = int(np.searchsorted(paper.starts, begin + length, side="right"))
    return _Window(paper.tokens[begin : begin + length], paper.starts[first:after] - begin)


def _beginning_and_end(paper: TokenizedPaper, length: int) -> _Window:
    """The whole paper, or at most `length` tokens of its beginning and its end."""
    cut = beginning_and_end(paper.starts, len(paper.tokens), length)
    starts = np.append(shortened_starts(paper.starts[:-1], cut), len(paper.tokens) - (cut[1] - cut[0]))
    return _Window(shortened(paper.tokens, cut), starts)


def _with_masks(window: _Window, masked: np.ndarray, mask_token_id: int) -> np.ndarray:
    pieces, position = [], 0
    for index in masked.tolist():
        pieces += [window.tokens[position : window.starts[index]], np.array([mask_token_id])]
        position = int(window.starts[index + 1])
    return np.concatenate([*pieces, window.tokens[position:]])


def _example(source: np.ndarray, target: np.ndarray, vocabulary: Vocabulary) -> Example:
    return Example(np.append(source, vocabulary.eos_token_id), np.append(target, vocabulary.eos_token_id))
