"""What a model is asked to write about a piece of a paper: the training objectives, paper in, example out."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from longt5.quotes import MOST_TOKENS
from longt5.text.principal_sentences import oracle_extract, principal_sentences
from longt5.text.shortening import beginning_and_end, shortened, shortened_starts
from longt5.training.corpus import TokenizedPaper
from longt5.training.selection import BranchTargets, Choice, branch_targets, draw_extract

OBJECTIVES = ("principal", "oracle", "selection", "abstract")
_SHORTEST_SENTENCE = 8  # tokens; shorter ones are headings and the debris of formulas
# Of the draw of sentences: 14 of 196 are then likely in a validation paper (perplexity), and extracts drawn so
# have 58.7 ROUGE-1 where the greedy choice has 61.3 (both in sub-words).
_TEMPERATURE = 0.1
_SMOOTH_TEMPERATURE = (
    0.2  # single words are learned better from less certain shares: 45.6 ROUGE-1 instead of 45.4
)


@dataclass(frozen=True)
class Example:
    """Token ids of the input and of the target, each ending with ``</s>``.

    Where ``branches`` has a position of the target, its distribution is to be learned instead of the one token.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    branches: BranchTargets | None = None


@dataclass(frozen=True)
class Vocabulary:
    """What the objectives need to know of a tokenizer.

    ``units`` (vocabulary,) gives each token the number by which ROUGE counts it: the same for pieces that
    differ in case or in the space before them, -1 for punctuation. ``ends`` (vocabulary,) marks tokens that
    can end a sentence.
    """

    units: np.ndarray
    ends: np.ndarray
    eos_token_id: int
    mask_token_id: int | None

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
        """Read it from a tokenizer that marks spaces with ``▁``."""
        pieces = [
            piece.lstrip("▁").lower() for piece in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        ]
        numbers: dict[str, int] = {}
        units = [
            numbers.setdefault(piece, len(numbers))
            if any(unicodedata.category(character)[0] in "LN" for character in piece)
            else -1
            for piece in pieces
        ]
        ends = [piece.rstrip("\"'”’)]").endswith((".", "?", "!")) for piece in pieces]
        return cls(np.array(units), np.array(ends), tokenizer.eos_token_id, tokenizer.mask_token_id)


@dataclass(frozen=True)
class _Window:
    """Part of a paper: ``tokens``, and the ranges (sentences, 2) of the whole sentences in it."""

    tokens: np.ndarray
    ranges: np.ndarray


def make_example(
    objective: str,
    paper: TokenizedPaper,
    vocabulary: Vocabulary,
    chance: np.random.Generator,
    *,
    source_tokens: int,
    target_tokens: int,
    masked_share: float = 0.0,
) -> Example | None:
    """Return one example of ``objective``, or None if this paper gives none.

    - "principal": a run of the paper in, the principal sentences of that run out, in their order. A share
      ``masked_share`` of the chosen sentences is replaced by one mask token each in the input.
    - "oracle": the beginning and the end of the paper in, the extract closest to the abstract out.
    - "selection": the same in, an extract drawn by chance out, best sentences most likely and most likely first
      (``longt5.training.selection``), about as long as the abstract.
    - "abstract": the same in, the abstract out (left out if longer than ``target_tokens``).

    Args:
        source_tokens: longest input, ``</s>`` included.
        target_tokens: longest target, ``</s>`` included.

    Raises:
        ValueError: ``objective`` is not one of ``OBJECTIVES``.
    """
    if objective == "principal":
        window = _random_run(paper, chance, source_tokens - 1)
        chosen = _principal_choice(window, vocabulary, target_tokens - 1)
        masked = [index for index in chosen if chance.random() < masked_share]
        source = _with_masks(window, masked, vocabulary)
    elif objective == "selection":
        return _selection(
            _beginning_and_end(paper, source_tokens - 1), paper, vocabulary, chance, target_tokens
        )
    elif objective in ("oracle", "abstract"):
        window = _beginning_and_end(paper, source_tokens - 1)
        source = window.tokens
        if objective == "abstract":
            if not 0 < len(paper.abstract) < target_tokens:
                return None
            return _example(source, paper.abstract, vocabulary)
        chosen = oracle_extract(
            _unit_sentences(window, vocabulary),
            _units(paper.abstract, vocabulary),
            lengths=window.ranges[:, 1] - window.ranges[:, 0],
            budget=target_tokens - 1,
            candidates=_writable(window, vocabulary, target_tokens - 1),
        )
    else:
        raise ValueError(f"There is no objective {objective!r}: choose among {', '.join(OBJECTIVES)}.")
    if not chosen:
        return None
    return _example(source, np.concatenate([_sentence(window, index) for index in chosen]), vocabulary)


def quotable_part(
    paper: TokenizedPaper, vocabulary: Vocabulary, source_tokens: int
) -> tuple[np.ndarray, list[list[int]]]:
    """Return the input that a paper gives, ``</s>`` included, and the tokens of each sentence to quote from it."""
    window = _beginning_and_end(paper, source_tokens - 1)
    quotable = np.flatnonzero(_writable(window, vocabulary, MOST_TOKENS))
    source = np.append(window.tokens, vocabulary.eos_token_id)
    return source, [_sentence(window, index).tolist() for index in quotable.tolist()]


@dataclass(frozen=True)
class Selectable:
    """The input that a paper gives, ``</s>`` included, and the sentences of it that an extract may begin with.

    ``tokens`` (length,); ``beginnings`` (all sentences,) the first token of each sentence; ``starts`` (sentences,)
    those of sentences that may be chosen, ``shares`` (sentences,) how likely each should be to be chosen first.
    """

    tokens: np.ndarray
    beginnings: np.ndarray
    starts: np.ndarray
    shares: np.ndarray


def selectable(paper: TokenizedPaper, vocabulary: Vocabulary, source_tokens: int) -> Selectable | None:
    """Return what "selection" teaches of a paper's first choice, or None if no sentence may be chosen."""
    window = _beginning_and_end(paper, source_tokens - 1)
    chance = np.random.default_rng(0)  # the shares do not depend on what is drawn first
    choices = _draw(
        window, paper, vocabulary, chance, enough=1, budget=MOST_TOKENS, temperature=_SMOOTH_TEMPERATURE
    )
    if not choices:
        return None
    [shares] = [choice.shares for choice in choices]
    possible = np.flatnonzero(shares)
    source = np.append(window.tokens, vocabulary.eos_token_id)
    return Selectable(source, window.ranges[:, 0], window.ranges[possible, 0], shares[possible])


def _draw(
    window: _Window,
    paper: TokenizedPaper,
    vocabulary: Vocabulary,
    chance: np.random.Generator,
    *,
    enough: int,
    budget: int,
    temperature: float,
) -> list[Choice]:
    return draw_extract(
        _unit_sentences(window, vocabulary),
        _units(paper.abstract, vocabulary),
        chance,
        lengths=window.ranges[:, 1] - window.ranges[:, 0],
        enough=enough,
        budget=budget,
        candidates=_writable(window, vocabulary, MOST_TOKENS),
        temperature=temperature,
    )


def _selection(
    window: _Window,
    paper: TokenizedPaper,
    vocabulary: Vocabulary,
    chance: np.random.Generator,
    target_tokens: int,
) -> Example | None:
    choices = _draw(
        window,
        paper,
        vocabulary,
        chance,
        enough=len(paper.abstract),
        budget=target_tokens - 1,
        temperature=_TEMPERATURE,
    )
    if not choices:
        return None
    sentences = [_sentence(window, index) for index in range(len(window.ranges))]
    target = np.concatenate([sentences[choice.sentence] for choice in choices])
    example = _example(window.tokens, target, vocabulary)
    return replace(example, branches=branch_targets(sentences, choices))


def _random_run(paper: TokenizedPaper, chance: np.random.Generator, length: int) -> _Window:
    """A run of ``length`` tokens that begins with a sentence; the whole paper if it is shorter."""
    possible = int(np.searchsorted(paper.starts, paper.starts[-1] - length, side="right"))
    first = int(chance.integers(max(possible, 1)))
    return _run(paper, first, length)


def _run(paper: TokenizedPaper, first: int, length: int) -> _Window:
    begin = paper.starts[first]
    last = int(np.searchsorted(paper.starts, begin + length, side="right")) - 1
    ranges = np.stack([paper.starts[first:last], paper.starts[first + 1 : last + 1]], axis=1) - begin
    return _Window(paper.tokens[begin : begin + length], ranges)


def _beginning_and_end(paper: TokenizedPaper, length: int) -> _Window:
    """The whole paper, or at most ``length`` tokens of its beginning and its end."""
    cut = beginning_and_end(paper.starts, len(paper.tokens), length)
    starts = np.append(shortened_starts(paper.starts[:-1], cut), len(paper.tokens) - (cut[1] - cut[0]))
    return _Window(shortened(paper.tokens, cut), np.stack([starts[:-1], starts[1:]], axis=1))


def _principal_choice(window: _Window, vocabulary: Vocabulary, budget: int) -> list[int]:
    """Principal sentences in their order, taken best first as long as they fit into ``budget`` tokens."""
    best_first = principal_sentences(
        _unit_sentences(window, vocabulary),
        max(1, budget // 20),
        candidates=_writable(window, vocabulary, budget),
    )
    chosen = []
    for index in best_first:
        length = int(window.ranges[index, 1] - window.ranges[index, 0])
        if length <= budget:
            budget -= length
            chosen.append(index)
    return sorted(chosen)


def _writable(window: _Window, vocabulary: Vocabulary, budget: int) -> np.ndarray:
    """Which sentences are sentences (long enough, ended by a full stop) and fit into the target."""
    lengths = window.ranges[:, 1] - window.ranges[:, 0]
    ends = vocabulary.ends[window.tokens[window.ranges[:, 1] - 1]]
    return (lengths >= _SHORTEST_SENTENCE) & (lengths <= budget) & ends


def _with_masks(window: _Window, masked: list[int], vocabulary: Vocabulary) -> np.ndarray:
    if not masked:
        return window.tokens
    if vocabulary.mask_token_id is None:
        raise ValueError("masked_share needs a tokenizer with a mask token.")
    pieces, position = [], 0
    for index in masked:
        pieces += [window.tokens[position : window.ranges[index, 0]], np.array([vocabulary.mask_token_id])]
        position = window.ranges[index, 1]
    return np.concatenate([*pieces, window.tokens[position:]])


def _example(source: np.ndarray, target: np.ndarray, vocabulary: Vocabulary) -> Example:
    return Example(np.append(source, vocabulary.eos_token_id), np.append(target, vocabulary.eos_token_id))


def _sentence(window: _Window, index: int) -> np.ndarray:
    return window.tokens[window.ranges[index, 0] : window.ranges[index, 1]]


def _unit_sentences(window: _Window, vocabulary: Vocabulary) -> list[np.ndarray]:
    return [_units(window.tokens[start:end], vocabulary) for start, end in window.ranges]


def _units(tokens: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    units = vocabulary.units[tokens]
    return units[units >= 0]
