"""How well scores of passages tell what a sentence was written from: measures, a lexical baseline, and a fit.

A score is held against ablation, the drop in the sentence's log-probability where passages are hidden from the decoder
(`longt5.maps.ablation`), as ContextCite does (Cohen-Wang et al. 2024, arXiv 2409.00729, section 3), and against words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from longt5.evaluation.metrics import STOP_WORDS, words_of

BM25_K1, BM25_B = 1.2, 0.75  # as Lucene has them
LEAST_SHARED = (
    0.2  # of a sentence's pairs of words: with fewer in common no passage is the one it was made of
)
FIT_PASSES = 10_000
FIT_TOLERANCE = 1e-10


def linear_datamodelling_score(scores: np.ndarray, shown: np.ndarray, log_probabilities: np.ndarray) -> float:
    """Spearman's correlation of the sums of the scores of what is shown with what the model makes of it.

    ContextCite, equation 3, after Park et al. 2023 (arXiv 2303.14186).

    Args:
        scores: `(passages,)`.
        shown: `(ablations, passages)` bool.
        log_probabilities: `(ablations,)` of the sentence.
    Returns:
        -1 to 1; 0 where one of them is the same for all ablations.
    """
    ranks = np.stack([_ranks(shown @ scores), _ranks(log_probabilities)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(ranks, axis=1).prod()
    return float(ranks[0] @ ranks[1] / lengths) if lengths > 0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Places in ascending order; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    return (ends - (counts - 1) / 2)[inverse]


def bm25(sentence: str, passages: Sequence[str]) -> np.ndarray:
    """`(passages,)`: Okapi BM25 of each passage for a sentence (Robertson and Zaragoza 2009, section 3)."""
    counts = [Counter(words_of(passage)) for passage in passages]
    lengths = np.array([sum(count.values()) for count in counts], dtype=float)
    norm = BM25_K1 * (1 - BM25_B + BM25_B * lengths / max(lengths.mean(), 1.0))
    scores = np.zeros(len(passages))
    for word in set(words_of(sentence)):
        found = np.array([count[word] for count in counts], dtype=float)
        holding = np.count_nonzero(found)
        rarity = math.log(1 + (len(passages) - holding + 0.5) / (holding + 0.5))
        scores += rarity * found * (BM25_K1 + 1) / (found + norm)
    return scores


def lexical_silver(sentence: str, passages: Sequence[str]) -> int | None:
    """The passage with the highest ROUGE-1 + ROUGE-2 F1 for a sentence (as extracts are chosen, Nallapati et al. 2017).

    None where fewer than `LEAST_SHARED` of the sentence's pairs of words stand in it: the sentence joins several, or
    says it in words of its own.
    """
    wanted = _units(sentence)
    best, best_score, shared_pairs = None, 0.0, 0.0
    for index, passage in enumerate(passages):
        found = _units(passage)
        hits = [sum((a & b).values()) for a, b in zip(wanted, found)]
        sizes = [sum(a.values()) + sum(b.values()) for a, b in zip(wanted, found)]
        score = sum(2 * hit / max(size, 1) for hit, size in zip(hits, sizes))
        if score > best_score:
            best, best_score, shared_pairs = index, score, hits[1] / max(1, sum(wanted[1].values()))
    return best if shared_pairs >= LEAST_SHARED else None


def _units(text: str) -> tuple[Counter, Counter]:
    """Its words without function words, and its pairs of neighbouring words."""
    words = words_of(text)
    return Counter(word for word in words if word not in STOP_WORDS), Counter(pairwise(words))


def hit(scores: np.ndarray, wanted: int, count: int) -> bool:
    """Whether the passage `wanted` is among the `count` with the highest scores; equal ones in their order."""
    return wanted in np.argsort(-scores, kind="stable")[:count]


def fit_nonnegative(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Least squares with coefficients that are not negative, by coordinate descent.

    AT2 (Cohen-Wang et al. 2025, arXiv 2504.13752, section 3): one coefficient for each attention head, by which its
    weights foretell ablation. A head that looks away from what matters is left out, not counted against it.

    Args:
        features: `(examples, heads)`, not negative. targets: `(examples,)`.
    Returns:
        `(heads,)`.
    """
    gram, moments = features.T @ features, features.T @ targets
    sizes = np.maximum(gram.diagonal(), np.finfo(float).tiny)
    weights = np.zeros(features.shape[1])
    for _ in range(FIT_PASSES):
        before = weights.copy()
        for head in range(len(weights)):
            weights[head] = max(0.0, weights[head] + (moments[head] - gram[head] @ weights) / sizes[head])
        if np.abs(weights - before).max() <= FIT_TOLERANCE * max(weights.max(), FIT_TOLERANCE):
            break
    return weights
