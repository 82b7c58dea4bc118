"""Batches are pure functions of their index, hold papers of one length, and every paper as often as its weight says."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from longt5.training.batches import PaperSources, StageBatches, batches_from, collate, stage_batches
from longt5.training.configuration import Stage, TrainingConfig
from longt5.training.corpus import DataError
from longt5.training.objectives import OBJECTIVES, Example, TokenizedPaper, Vocabulary
from tests.longt5.training.test_objectives import HAND


def source(config: TrainingConfig, vocabulary: Vocabulary, stage: int = 0, process: int = 0) -> StageBatches:
    papers = PaperSources(Path(config.data), config.sources)
    return stage_batches(config, papers, vocabulary, 0, stage, process)


def same(first, second) -> bool:
    pairs = [
        (getattr(first, name), getattr(second, name)) for name in ("input_ids", "attention_mask", "labels")
    ]
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)


def test_a_batch_depends_on_its_index_alone(config: TrainingConfig, vocabulary: Vocabulary) -> None:
    batches = source(config, vocabulary)
    first = [batches[index] for index in range(6)]
    for index in reversed(range(6)):
        assert same(source(config, vocabulary)[index], first[index])
    assert not same(first[0], first[1])
    assert not same(first[0], source(config, vocabulary, process=1)[0])
    assert not same(first[0], source(config, vocabulary, stage=1)[0])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_workers_change_nothing(config: TrainingConfig, vocabulary: Vocabulary, workers: int) -> None:
    batches = source(config, vocabulary)
    torch.manual_seed(0)
    made = list(itertools.islice(batches_from(batches, 2, workers), 5))
    assert all(same(batch, batches[index]) for index, batch in enumerate(made, start=2))
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))  # or a resumed run would draw other dropout


def test_collate_pads_at_the_end() -> None:
    examples = [Example(np.arange(5, 5 + n), np.arange(2, 2 + m)) for n, m in ((3, 2), (17, 70))]
    batch = collate(examples, pad_token_id=0, source_tokens=32, target_tokens=80)
    assert batch.input_ids.shape == (2, 32) and batch.labels.shape == (2, 80)
    assert batch.attention_mask.sum(-1).tolist() == [3, 17] and batch.input_ids[0, :4].tolist() == [
        5,
        6,
        7,
        0,
    ]
    assert (batch.labels != -100).sum(-1).tolist() == [2, 70]
    assert collate(examples[1:], 0, 17, 70).attention_mask.all()


class HandMade:
    """Papers that are no more than their index, length and weight."""

    def __init__(self, lengths: list[int], weights: list[float]) -> None:
        self.lengths, self.weights = np.array(lengths), np.array(weights)
        self.made: dict[int, TokenizedPaper] = {}

    def __getitem__(self, index: int) -> TokenizedPaper | int:
        return self.made.get(index, index)


def hand_made(lengths: list[int], weights: list[float], **options) -> StageBatches:
    stage = Stage(1.0, 160, {"gap": 1.0})
    return StageBatches(HandMade(lengths, weights), None, stage, **options)  # type: ignore[arg-type]


def test_papers_come_as_often_as_their_weights_say(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Counter[int] = Counter()

    def objective(paper, vocabulary, rng, source_tokens, target_tokens):
        drawn[paper] += 1
        return Example(np.ones(4, dtype=int), np.ones(4, dtype=int))

    monkeypatch.setitem(OBJECTIVES, "gap", objective)
    options = {"target_tokens": 20, "batch_tokens": 400, "pad_token_id": 0, "seed": (1,)}
    batches = hand_made([30, 35, 150, 900], [1.0, 2.0, 1.0, 4.0], **options)
    for index in range(3000):
        batch = batches[index]
        assert len(batch.input_ids) in (400 // (40 + 20), 400 // (160 + 20))
    total = sum(drawn.values())
    for paper, share in enumerate((1 / 8, 2 / 8, 1 / 8, 4 / 8)):
        assert drawn[paper] / total == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_papers_of_every_length_fit_their_batches(objective: str) -> None:
    """Papers just as long as a class of lengths, to which `</s>` and the mask token of extracts come."""
    rng = np.random.default_rng(0)
    papers = HandMade([*range(150, 260)], [1.0] * 110)
    sentence = [*range(20, 29), 10]
    tokens = {length: np.array((sentence * 30)[:length]) for length in range(150, 260)}
    starts = {length: np.append(np.arange(0, length, 10), length) for length in tokens}
    papers.made = {
        index: TokenizedPaper(tokens[length], starts[length], np.array(sentence))
        for index, length in enumerate(papers.lengths.tolist())
    }
    stage = Stage(1.0, 240, {objective: 1.0})
    options = {"target_tokens": 100, "batch_tokens": 1000, "pad_token_id": 0, "seed": (1,)}
    batches = StageBatches(papers, HAND, stage, **options)  # type: ignore[arg-type]
    for group, members in enumerate(batches.groups):
        for paper in members.tolist():
            example = OBJECTIVES[objective](papers[paper], HAND, rng, 240, 100)
            if example is not None:
                collate([example], 0, batches.lengths[group], 100)


@pytest.mark.parametrize("lengths", [[30], [30, 60, 150, 900]])
def test_papers_that_give_nothing_are_a_sentence(monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> None:
    monkeypatch.setitem(OBJECTIVES, "gap", lambda *_: None)
    options = {"target_tokens": 20, "batch_tokens": 400, "pad_token_id": 0, "seed": (1,)}
    with pytest.raises(DataError, match="no example of gap"):
        hand_made(lengths, [1.0] * len(lengths), **options)[0]


def test_another_length_is_drawn_where_one_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As short papers give no continuation; what is drawn depends on the index alone."""

    def objective(paper, vocabulary, rng, source_tokens, target_tokens):
        return Example(np.full(4, paper), np.full(4, rng.integers(1000))) if paper in (2, 3) else None

    options = {"target_tokens": 20, "batch_tokens": 400, "pad_token_id": 0, "seed": (1,)}
    weights = [50.0, 5.0, 1.0, 1.0]
    monkeypatch.setitem(OBJECTIVES, "gap", objective)
    batches = hand_made([30, 60, 150, 900], weights, **options)
    drawn = [batches[index] for index in range(40)]
    assert {int(batch.input_ids[0, 0]) for batch in drawn} == {2, 3}
    assert all(
        same(hand_made([30, 60, 150, 900], weights, **options)[index], drawn[index]) for index in (39, 7)
    )


def test_a_worker_without_an_example_is_a_sentence_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OBJECTIVES, "gap", lambda *_: None)
    options = {"target_tokens": 20, "batch_tokens": 400, "pad_token_id": 0, "seed": (1,)}
    with pytest.raises(DataError, match="no example of gap") as caught:
        next(batches_from(hand_made([30], [1.0], **options), 0, workers=1))
    assert "\n" not in str(caught.value)
