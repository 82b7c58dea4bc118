from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models import ModelStore
from app.summarizing import evidence
from app.summarizing.evidence import (
    head_weights_of,
    passage_ranges,
    passage_scores,
    relevance,
    weighted_attention,
)
from app.summarizing.settings import SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Summary
from app.summarizing.windows import TokenizedText, Window
from app.work import Stopped, check
from longt5.interruption import interruptible
from longt5.maps import cross_attention_heads
from tests.app.factories import paragraphs

SOURCE, PASSAGE = 600, 20
PASSAGES = np.stack([np.arange(0, SOURCE, PASSAGE), np.arange(PASSAGE, SOURCE + PASSAGE, PASSAGE)], axis=1)


def _attention(truth: list[int], focused_heads: int, seed: int, tokens: int = 12) -> list[np.ndarray]:
    """Heads for a summary of which sentence i, of so many tokens, rests on passage truth[i].

    Focused heads walk through that passage, with half of their weight on sinks all the same; the others look at the
    sinks and at random. The sinks get more than anything else, and not evenly.
    """
    rng = np.random.default_rng(seed)
    heads = []
    for head in range(8):
        weights = rng.gamma(0.3, 1e-3, (tokens * len(truth), SOURCE))
        for sink in (0, 99, 100, SOURCE - 1):
            weights[:, sink] += rng.uniform(0.3, 0.6, len(weights))
        if head < focused_heads:
            for row in range(len(weights)):
                start = PASSAGES[truth[row // tokens], 0] + 1 + row % tokens
                weights[row, start : start + 4] += [0.5, 0.8, 0.5, 0.2]
        heads.append((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))
    return heads


@given(
    st.lists(st.integers(0, len(PASSAGES) - 1), min_size=2, max_size=6, unique=True),
    st.integers(2, 8),
    st.integers(0, 1000),
)
@settings(max_examples=30, deadline=None)
def test_the_passage_a_sentence_was_made_of_comes_first(truth: list[int], focused: int, seed: int) -> None:
    heads = _attention(truth, focused, seed)
    sentences = [(12 * i, 12 * i + 12) for i in range(len(truth))]
    scores = passage_scores(relevance(heads, sentences, len(heads)), PASSAGES)
    assert scores.argmax(axis=1).tolist() == truth
    assert (scores.max(axis=1) > 0.5).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)


def test_the_order_of_the_heads_does_not_matter() -> None:
    heads = _attention([3, 17], 2, seed=5)
    forward = relevance(heads, [(0, 12), (12, 24)], 8)
    np.testing.assert_allclose(forward, relevance(heads[::-1], [(0, 12), (12, 24)], 8), rtol=1e-5)


def test_sinks_alone_are_no_evidence() -> None:
    weights = np.full((10, 50), 1e-3, dtype=np.float32)
    weights[:, 7] = 0.951
    assert relevance([weights], [(0, 5), (5, 10)], 1).max() == pytest.approx(0, abs=1e-3)


def test_a_lone_token_is_found_when_smoothing_would_lose_it() -> None:
    weights = np.full((10, 50), 1e-3, dtype=np.float32)
    weights[2, 30] = 0.951
    rows = relevance([weights], [(0, 5), (5, 10)], 1)
    assert rows[0].argmax() == 30
    assert not rows[1].any()


def test_looking_everywhere_alike_is_no_evidence() -> None:
    assert not passage_scores(np.full((2, SOURCE), 0.1), PASSAGES).any()
    assert not passage_scores(np.zeros((2, SOURCE)), PASSAGES).any()


def test_heads_count_by_their_weights_alone() -> None:
    heads = _attention([3, 17], focused_heads=2, seed=5)
    sentences = [(0, 12), (12, 24)]
    weights = np.array([2.0, 0.5, *[0.0] * 6])
    rows = weighted_attention(heads, sentences, weights)
    expected = 2 * heads[0][12:24].mean(axis=0) + 0.5 * heads[1][12:24].mean(axis=0)
    np.testing.assert_allclose(rows[1], expected, rtol=1e-5)
    assert passage_scores(rows, PASSAGES).argmax(axis=1).tolist() == [3, 17]
    with pytest.raises(ValueError):
        weighted_attention(heads, sentences, weights[:5])


@pytest.mark.parametrize(
    "given_weights",
    [
        None,
        "much",
        [[1.0, 2.0]],
        [[1.0, -1.0], [1.0, 1.0]],
        [[0, 0], [0, 0]],
        [[1, float("nan")], [1, 1]],
        [[1], [1, 2]],
    ],
    ids=str,
)
def test_head_weights_that_do_not_fit_are_none(given_weights: object) -> None:
    config = SimpleNamespace(num_decoder_layers=2, num_heads=2)
    given_ones = SimpleNamespace(evidence_head_weights=given_weights)
    assert head_weights_of(SimpleNamespace(config=config, generation_config=given_ones)) is None
    assert head_weights_of(SimpleNamespace(config=config, generation_config=SimpleNamespace())) is None


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_scores_are_shares(sentences: int, source: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    heads = [rng.dirichlet(np.ones(source), 3 * sentences).astype(np.float32) for _ in range(3)]
    rows = relevance(heads, [(3 * i, 3 * i + 3) for i in range(sentences)], 3)
    bounds = np.unique([0, *rng.integers(0, source, 5).tolist()])
    passages = np.stack([bounds, np.append(bounds[1:], source)], axis=1)
    scores = passage_scores(rows, passages)
    assert rows.shape == (sentences, source)
    assert (rows >= 0).all() and np.isfinite(rows).all()
    assert (scores >= 0).all() and (scores.sum(axis=1) <= 1 + 1e-9).all()


@given(st.integers(1, 500), st.integers(0, 1000), st.integers(0, 3))
def test_passages_cover_a_window_once(length: int, seed: int, prefix: int) -> None:
    rng = np.random.default_rng(seed)
    starts = np.unique([0, *rng.integers(0, 2 * length, 10).tolist()])
    text = TokenizedText(np.arange(2 * length), np.zeros((2 * length, 2), dtype=np.int64), starts)
    passages = passage_ranges(text, Window(length // 2, length // 2 + length), prefix)
    assert passages[0, 0] == prefix and passages[-1, 1] == prefix + length
    assert (passages[1:, 0] == passages[:-1, 1]).all()
    sizes = passages[:, 1] - passages[:, 0]
    assert (sizes > 0).all() and (sizes <= evidence.MOST_PASSAGE_TOKENS).all()


@pytest.fixture(scope="module")
def summary(store: ModelStore, tmp_path_factory: pytest.TempPathFactory) -> Summary:
    path = tmp_path_factory.mktemp("papers") / "paper.txt"
    path.write_text("\f".join("\n".join(paragraphs(4, seed=page)) for page in range(4)))
    settings = SummarySettings(
        model=store.choices[0], max_new_tokens=60, num_beams=1, max_input_tokens=800, long_papers="windows"
    )
    (done,) = (e for e in summarize(path, settings, store) if isinstance(e, Done))
    return done.summary


def test_evidence_lies_in_the_document(summary: Summary) -> None:
    found = [item for sentence in summary.sentences for item in sentence.evidence]
    assert found
    for item in found:
        assert 0 <= item.start < item.end <= len(summary.document.text)
        assert item.page == summary.document.page_of(item.start)
        assert item.quote == " ".join(summary.document.text[item.start : item.end].split())
        assert 0 < item.score <= 1


def test_evidence_is_sorted_and_from_its_own_window(summary: Summary) -> None:
    assert len(summary.windows) > 2
    for sentence in summary.sentences:
        scores = [item.score for item in sentence.evidence]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) <= evidence.MOST_PASSAGES and sum(scores) <= 1
        offsets = summary.windows[sentence.window].offsets
        assert all(offsets[0][0] <= item.start and item.end <= offsets[-1][1] for item in sentence.evidence)


def test_a_models_own_head_weights_choose_its_evidence(
    store: ModelStore, summary: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.use(store.choices[0]) as loaded:
        model, trace = loaded.model, summary.windows[0]
        encoded = store.encoded(loaded, trace.input_ids)
        forced = store.teacher_forced(loaded, trace.input_ids, encoded, trace.summary_ids)
        bounds = np.append(np.arange(0, len(trace.input_ids) - 1, 20), len(trace.input_ids) - 1)
        passages = np.stack([bounds[:-1], bounds[1:]], axis=1)
        sentence = evidence_sentence(len(trace.summary_ids))
        inputs = (model, encoded, forced, trace, summary.document, [sentence], passages)
        [by_rule] = evidence.find_evidence(*inputs)
        weights = np.zeros((model.config.num_decoder_layers, model.config.num_heads))
        weights[-1, 2] = 4.0
        monkeypatch.setattr(model.generation_config, "evidence_head_weights", weights.tolist(), raising=False)
        [learned] = evidence.find_evidence(*inputs)
        attention = {
            (layer, head): found for layer, head, found in cross_attention_heads(model, encoded, forced)
        }
        last = attention[model.config.num_decoder_layers - 1, 2].mean(axis=0, dtype=float)
        excess = [last[a:b].sum() - last[: bounds[-1]].sum() * (b - a) / bounds[-1] for a, b in passages]
        best = passages[int(np.argmax(excess))]
        assert learned[0].start == trace.offsets[best[0]][0]
        assert learned[0].score == pytest.approx(max(excess) / np.maximum(excess, 0).sum(), rel=1e-4)
        assert learned != by_rule


def test_finding_evidence_stops(store: ModelStore, summary: Summary) -> None:
    stop = threading.Event()
    with store.use(store.choices[0]) as loaded:
        trace = summary.windows[0]
        encoded = store.encoded(loaded, trace.input_ids)
        forced = store.teacher_forced(loaded, trace.input_ids, encoded, trace.summary_ids)
        stop.set()
        sentence = evidence_sentence(len(trace.summary_ids))
        with interruptible(partial(check, stop)), pytest.raises(Stopped):
            evidence.find_evidence(
                loaded.model, encoded, forced, trace, summary.document, [sentence], np.array([[0, 5]])
            )


def evidence_sentence(tokens: int):  # type: ignore[no-untyped-def]
    from app.summarizing.drafts import DraftSentence

    return DraftSentence("x", 0, tokens)
