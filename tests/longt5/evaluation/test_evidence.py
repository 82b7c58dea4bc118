"""Measures of evidence on cases whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longt5.evaluation.evidence import (
    bm25,
    fit_nonnegative,
    hit,
    lexical_silver,
    linear_datamodelling_score,
)

PASSAGES = [
    "The weather was fine and nothing happened on that day.",
    "We trained a transformer on protein sequences from yeast.",
    "A transformer needs much data, and the data was scarce.",
    "Yeast was grown overnight at thirty degrees.",
]


def test_scores_that_are_the_effects_have_a_datamodelling_score_of_one() -> None:
    rng = np.random.default_rng(0)
    scores, shown = rng.normal(size=20), rng.random((32, 20)) < 0.5
    effects = shown @ scores
    assert linear_datamodelling_score(scores, shown, 3 * effects - 7) == pytest.approx(1)
    assert linear_datamodelling_score(scores, shown, np.exp(effects)) == pytest.approx(1)  # ranks alone count
    assert linear_datamodelling_score(-scores, shown, effects) == pytest.approx(-1)
    assert linear_datamodelling_score(np.zeros(20), shown, effects) == 0


def test_ties_share_their_rank() -> None:
    shown = np.eye(4, dtype=bool)
    # Ranks 1.5, 1.5, 3, 4 and 1, 2, 3, 4: the covariance 4.5 over the root of 4.5 * 5.
    score = linear_datamodelling_score(np.array([0.0, 0, 1, 2]), shown, np.arange(4.0))
    assert score == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_bm25_prefers_rare_words_that_stand_in_a_passage() -> None:
    scores = bm25("it was overnight", PASSAGES)
    assert scores[1] == 0
    assert 0 < max(scores[0], scores[2]) < scores[3] / 2  # "was" says little
    # One passage of two holds the word, in twice the mean length: the formula by hand.
    found = bm25("x", ["x a b", "c"])
    norm = 1.2 * (0.25 + 0.75 * 3 / 2)
    np.testing.assert_allclose(found, [np.log(1 + 1.5 / 1.5) * 2.2 / (1 + norm), 0])


def test_the_silver_passage_shares_words_in_order() -> None:
    assert lexical_silver("A transformer was trained on protein sequences from yeast.", PASSAGES) == 1
    assert lexical_silver("Protein transformers help biology.", PASSAGES) is None
    assert lexical_silver("", PASSAGES) is None


def test_a_hit_is_among_the_first() -> None:
    scores = np.array([0.1, 0.5, 0.3, 0.0, 0.0])
    assert [hit(scores, 2, count) for count in (1, 2)] == [False, True]
    assert hit(scores, 3, 4) and not hit(scores, 4, 4)


@given(st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_fit_is_the_best_of_those_that_are_not_negative(heads: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, truth = rng.random((200, heads)), rng.normal(size=heads)
    targets = features @ truth + 0.1 * rng.normal(size=200)
    weights = fit_nonnegative(features, targets)
    assert (weights >= 0).all()
    # Karush-Kuhn-Tucker: no slope where a weight is free, none that would make a zero grow.
    slope = features.T @ (targets - features @ weights)
    np.testing.assert_allclose(slope[weights > 0], 0, atol=1e-4)
    assert (slope[weights == 0] <= 1e-4).all()
    if (truth > 0.5).all():
        np.testing.assert_allclose(weights, truth, atol=0.2)


def test_a_head_that_looks_nowhere_gets_nothing() -> None:
    features = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(fit_nonnegative(features, np.array([2.0, 4.0, 0.0])), [2, 0])
