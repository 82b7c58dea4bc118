"""Teaching the choice of sentences: an extract drawn by chance, each of its choices taught as a distribution.

One extract a paper, the oracle's, says little about all the sentences that would have done as well. Here the
next sentence is drawn in proportion to exp(gain / temperature), its gain being what it adds to ROUGE-1 and -2
hits for each of its words, given the sentences drawn before; and what is taught is not the sentence drawn but
that whole distribution. Wherever the paper's sentences part, the target of the next token is the share of the
sentences that go on with it. These are the choices that decoding in quotes has (``longt5.quotes``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longt5.text.principal_sentences import bigrams, reference_matrix

_LEAST_WORDS = 10  # a sentence of fewer units counts as this long, or fragments would have the largest gains


@dataclass(frozen=True)
class Choice:
    """One drawn sentence and ``shares`` (sentences,): the probability each one had of being drawn."""

    sentence: int
    shares: np.ndarray


@dataclass(frozen=True)
class BranchTargets:
    """Distributions over the next token where sentences part, one entry a position and token.

    ``positions`` (entries,) in the target, ``tokens`` (entries,), ``shares`` (entries,); the shares of a
    position add up to 1.
    """

    positions: np.ndarray
    tokens: np.ndarray
    shares: np.ndarray


def draw_extract(
    sentences: Sequence[np.ndarray],
    reference: np.ndarray,
    chance: np.random.Generator,
    *,
    lengths: np.ndarray,
    enough: int,
    budget: int,
    candidates: np.ndarray,
    temperature: float,
) -> list[Choice]:
    """Draw sentences one after the other until they are long enough together, or none fits.

    Args:
        sentences: unit numbers of each sentence.
        reference: unit numbers of the abstract.
        chance: the random numbers.
        lengths: (sentences,) what each sentence costs.
        enough: length from which on no further sentence is drawn.
        budget: the most that all drawn sentences may cost together.
        candidates: (sentences,) booleans, which sentences may be drawn.
        temperature: of the softmax over gains, in hits a word.
    """
    parts = [
        reference_matrix(list(sentences), reference),
        reference_matrix([bigrams(sentence) for sentence in sentences], bigrams(reference)),
    ]
    sizes = np.maximum(parts[0][1], _LEAST_WORDS)
    hits = [np.zeros(counts.shape[1], dtype=np.int64) for counts, _, _, _ in parts]
    allowed = candidates.copy()
    drawn: list[Choice] = []
    spent = 0
    while spent < enough and (allowed := allowed & (lengths <= budget - spent)).any():
        gains = np.zeros(len(sentences))
        for (counts, _, wanted, _), so_far in zip(parts, hits, strict=True):
            gains += np.minimum(so_far + counts, wanted).sum(axis=1) - np.minimum(so_far, wanted).sum()
        logits = np.where(allowed, gains / sizes / temperature, -np.inf)
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        sentence = int(chance.choice(len(shares), p=shares))
        drawn.append(Choice(sentence, shares))
        allowed[sentence] = False
        spent += int(lengths[sentence])
        hits = [so_far + part[0][sentence] for so_far, part in zip(hits, parts, strict=True)]
    return drawn


def branch_targets(sentences: Sequence[np.ndarray], choices: Sequence[Choice]) -> BranchTargets:
    """Return the targets of a text made of the drawn sentences, wherever more than one token was possible.

    Args:
        sentences: the tokens of each sentence.
        choices: what was drawn, in the order of the text.
    """
    positions: list[int] = []
    tokens: list[int] = []
    shares: list[float] = []
    begin = 0
    for choice in choices:
        drawn = sentences[choice.sentence]
        group = np.flatnonzero(choice.shares)
        for depth in range(len(drawn)):
            members = group.tolist()
            following = np.array([sentences[i][depth] if depth < len(sentences[i]) else -1 for i in members])
            group, following = group[following >= 0], following[following >= 0]
            if len(group) == 1:
                break  # the rest of the sentence is certain
            possible, place = np.unique(following, return_inverse=True)
            if len(possible) > 1:
                mass = np.bincount(place, weights=choice.shares[group])
                positions += [begin + depth] * len(possible)
                tokens += possible.tolist()
                shares += (mass / mass.sum()).tolist()
            group = group[following == drawn[depth]]
        begin += len(drawn)
    return BranchTargets(
        np.array(positions, dtype=np.int64),
        np.array(tokens, dtype=np.int64),
        np.array(shares, dtype=np.float32),
    )
