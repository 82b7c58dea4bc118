"""Which sentences say most of a text: PSG's principal sentences, and the extract closest to an abstract.

Principal sentence generation (PEGASUS, Zhang et al. 2020, section 3.1; LongT5, Guo et al. 2022, section 3.2)
takes a text's sentences with the highest ROUGE-1 F1 against the rest of the text. The oracle extract is the
greedy choice of sentences that maximises ROUGE against the authors' abstract (Nallapati et al. 2017).

Sentences are integer arrays, one number a word or sub-word; everything is counted in a few matrix operations
of sentences x distinct units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_BIGRAM_BASE = 1 << 32


def principal_sentences(
    sentences: Sequence[np.ndarray],
    count: int,
    *,
    sequential: bool = True,
    unique: bool = False,
    candidates: np.ndarray | None = None,
) -> list[int]:
    """Returns the indices of up to `count` principal sentences, best first (in order of choice).

    Args:
        sentences: unit numbers of each sentence; a sentence without units is never chosen.
        count: how many to choose.
        sequential: choose one after the other, each maximising ROUGE-1 F1 of all chosen sentences together
            against the sentences left ("Seq"); else score every sentence by itself against all others
            ("Ind").
        unique: count n-grams as a set ("Uniq"); else as often as they occur ("Orig").
        candidates: `(sentences,)` booleans, which sentences may be chosen; all by default.
    """
    counts = _count_matrix(sentences)
    allowed = counts.sum(axis=1) > 0
    if candidates is not None:
        allowed &= candidates
    count = min(count, int(allowed.sum()))
    total = counts.sum(axis=0)
    if not sequential:
        scores = _rouge_f1(counts, total - counts, unique)
        return np.argsort(np.where(allowed, -scores, np.inf), kind="stable")[:count].tolist()
    chosen: list[int] = []
    selected = np.zeros_like(total)
    for _ in range(count):
        together = selected + counts  # (sentences, units): the chosen ones and each candidate
        scores = np.where(allowed, _rouge_f1(together, total - together, unique), -1.0)
        best = int(scores.argmax())
        chosen.append(best)
        allowed[best] = False
        selected = selected + counts[best]
    return chosen


def oracle_extract(
    sentences: Sequence[np.ndarray],
    reference: np.ndarray,
    *,
    lengths: np.ndarray,
    budget: int,
    candidates: np.ndarray | None = None,
) -> list[int]:
    """Return, in the text's order, sentences chosen greedily for ROUGE-1 + ROUGE-2 F1 against `reference`.

    Args:
        sentences: unit numbers of each sentence.
        reference: unit numbers of the abstract.
        lengths: `(sentences,)` what each sentence costs.
        budget: the most that all chosen sentences may cost together.
        candidates: `(sentences,)` booleans, which sentences may be chosen; all by default.

    The choice ends when nothing that still fits raises the score; it can be empty.
    """
    parts = [
        reference_matrix(list(sentences), reference),
        reference_matrix([bigrams(sentence) for sentence in sentences], bigrams(reference)),
    ]
    allowed = np.ones(len(sentences), dtype=bool) if candidates is None else candidates.copy()
    selected = [(np.zeros(counts.shape[1], dtype=np.int64), 0) for counts, _, _, _ in parts]
    chosen: list[int] = []
    score, spent = 0.0, 0
    while True:
        allowed &= lengths <= budget - spent
        if not allowed.any():
            break
        scores = np.zeros(len(sentences))
        for (counts, sizes, wanted, reference_size), (sum_counts, sum_size) in zip(
            parts, selected, strict=True
        ):
            hits = np.minimum(sum_counts + counts, wanted).sum(axis=1)
            scores += 2.0 * hits / np.maximum(sum_size + sizes + reference_size, 1)
        best = int(np.where(allowed, scores, -1.0).argmax())
        if scores[best] <= score:
            break
        score = float(scores[best])
        spent += int(lengths[best])
        allowed[best] = False
        chosen.append(best)
        selected = [
            (sum_counts + counts[best], sum_size + int(sizes[best]))
            for (counts, sizes, _, _), (sum_counts, sum_size) in zip(parts, selected, strict=True)
        ]
    return sorted(chosen)


def _rouge_f1(left: np.ndarray, right: np.ndarray, unique: bool) -> np.ndarray:
    """ROUGE-1 F1 between rows of counts: 2 x shared units / units of both."""
    if unique:
        left, right = np.minimum(left, 1), np.minimum(right, 1)
    shared = np.minimum(left, right).sum(axis=-1)
    return 2.0 * shared / np.maximum(left.sum(axis=-1) + right.sum(axis=-1), 1)


def _count_matrix(sentences: Sequence[np.ndarray]) -> np.ndarray:
    """Returns `(sentences, distinct units)` int32: how often each unit stands in each sentence."""
    if not sentences:
        return np.zeros((0, 0), dtype=np.int32)
    units, columns = np.unique(np.concatenate(list(sentences)), return_inverse=True)
    rows = np.repeat(np.arange(len(sentences)), [len(sentence) for sentence in sentences])
    flat = np.bincount(rows * len(units) + columns, minlength=len(sentences) * len(units))
    return flat.reshape(len(sentences), len(units)).astype(np.int32)


def reference_matrix(
    sentences: Sequence[np.ndarray], reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Returns counts `(sentences, units of the reference)`, sizes `(sentences,)`, and those of the reference."""
    units, wanted = np.unique(reference, return_counts=True)
    sizes = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    if not sentences or not len(units):
        return np.zeros((len(sentences), len(units)), dtype=np.int32), sizes, wanted, len(reference)
    every = np.concatenate(list(sentences))
    columns = np.minimum(np.searchsorted(units, every), len(units) - 1)
    known = units[columns] == every
    rows = np.repeat(np.arange(len(sentences)), sizes)
    flat = np.bincount((rows * len(units) + columns)[known], minlength=len(sentences) * len(units))
    return flat.reshape(len(sentences), len(units)).astype(np.int32), sizes, wanted, len(reference)


def bigrams(sentence: np.ndarray) -> np.ndarray:
    """Returns one number for each pair of neighbours."""
    return sentence[:-1].astype(np.int64) * _BIGRAM_BASE + sentence[1:]
