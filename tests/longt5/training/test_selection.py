"""Teaching choices: gains and shares by hand, shares along the trie, and the loss that is made of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longt5.training.batches import Position, collate
from longt5.training.losses import target_losses
from longt5.training.objectives import Example
from longt5.training.selection import BranchTargets, Choice, branch_targets, draw_extract


def arrays(*sentences: list[int]) -> list[np.ndarray]:
    return [np.array(sentence) for sentence in sentences]


def draw(sentences: list[np.ndarray], reference: list[int], **settings) -> list[Choice]:
    lengths = np.array([len(sentence) for sentence in sentences])
    settings = {
        "lengths": lengths,
        "enough": 1,
        "budget": 100,
        "candidates": np.ones(len(sentences), dtype=bool),
        "temperature": 0.1,
        **settings,
    }
    return draw_extract(sentences, np.array(reference), np.random.default_rng(0), **settings)


def test_gains_by_hand() -> None:
    # Against "1 2 3": two words and one pair are hits; one word is; none is. Short sentences count as ten words.
    sentences = arrays([1, 2, 9], [3, 8], [7])
    (choice,) = draw(sentences, [1, 2, 3])
    weights = np.exp(np.array([3, 1, 0]) / 10 / 0.1)
    assert choice.shares == pytest.approx(weights / weights.sum())


def test_what_is_said_is_no_gain_again() -> None:
    sentences = arrays([1, 2], [1, 2], [3])
    first, second = draw(sentences, [1, 2, 3], enough=3, temperature=0.001)
    assert first.sentence in (0, 1) and second.sentence == 2
    assert second.shares[first.sentence] == 0.0


def test_long_sentences_are_measured_by_the_word() -> None:
    sentences = arrays([1] + [9] * 19, [2] + [9] * 9)
    (choice,) = draw(sentences, [1, 2])
    assert choice.shares == pytest.approx(np.array([1.0, math.exp(0.5)]) / (1 + math.exp(0.5)))


def test_the_draw_keeps_to_candidates_and_lengths() -> None:
    sentences = arrays([1] * 4, [2] * 4, [3] * 4)
    candidates = np.array([True, True, False])
    assert len(draw(sentences, [1, 2, 3], enough=4, candidates=candidates)) == 1
    assert len(draw(sentences, [1, 2, 3], enough=5, candidates=candidates)) == 2
    assert {choice.sentence for choice in draw(sentences, [3], enough=99, candidates=candidates)} == {0, 1}
    assert len(draw(sentences, [1, 2, 3], enough=99, budget=7)) == 1
    assert draw(sentences, [1], budget=3) == []


def test_branches_by_hand() -> None:
    sentences = arrays([5, 6, 7], [5, 6, 8], [5, 9], [4, 4])
    choices = [Choice(1, np.array([0.1, 0.2, 0.3, 0.4])), Choice(3, np.array([0.25, 0.0, 0.0, 0.75]))]
    targets = branch_targets(sentences, choices)
    entries = list(zip(targets.positions.tolist(), targets.tokens.tolist(), targets.shares.tolist()))
    assert entries == [
        (0, 4, pytest.approx(0.4)),
        (0, 5, pytest.approx(0.6)),
        (1, 6, pytest.approx(0.5)),
        (1, 9, pytest.approx(0.5)),
        (2, 7, pytest.approx(1 / 3)),
        (2, 8, pytest.approx(2 / 3)),
        (3, 4, pytest.approx(0.75)),
        (3, 5, pytest.approx(0.25)),
    ]


@given(
    st.sets(st.tuples(*[st.integers(0, 2)] * 5), min_size=1, max_size=40).map(sorted),
    st.randoms(use_true_random=False),
)
def test_shares_along_a_sentence_multiply_to_its_own(
    sentences: list[tuple[int, ...]], random_numbers
) -> None:
    shares = np.array([random_numbers.random() + 0.01 for _ in sentences])
    shares /= shares.sum()
    chosen = random_numbers.randrange(len(sentences))
    targets = branch_targets([np.array(s) for s in sentences], [Choice(chosen, shares)])
    product = 1.0
    for position, token, share in zip(targets.positions, targets.tokens, targets.shares):
        assert targets.shares[targets.positions == position].sum() == pytest.approx(1.0, abs=1e-5)
        if sentences[chosen][position] == token:
            product *= share
    assert product == pytest.approx(shares[chosen], rel=1e-4)


def batch_of(labels: list[int], branches: BranchTargets | None):
    example = Example(np.array([3, 1]), np.array(labels), branches)
    return collate([example], 0, Position())


def test_loss_of_certain_tokens_is_cross_entropy() -> None:
    logits = torch.randn(1, 3, 6)
    losses = target_losses(logits, batch_of([4, 2, 1], None))
    expected = torch.nn.functional.cross_entropy(logits[0], torch.tensor([4, 2, 1]))
    assert losses.mean(4.0).item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses.choice_count == 0


def test_a_choice_costs_nothing_when_the_shares_are_met() -> None:
    branches = BranchTargets(np.array([1, 1]), np.array([2, 5]), np.array([0.25, 0.75], dtype=np.float32))
    logits = torch.zeros(1, 3, 6)
    logits[0, 1] = torch.tensor([1e-9, 1e-9, 0.25, 1e-9, 1e-9, 0.75]).log()
    losses = target_losses(logits, batch_of([4, 2, 1], branches))
    assert losses.choices.item() == pytest.approx(0.0, abs=1e-6)
    assert (losses.token_count.item(), losses.choice_count.item()) == (3, 1)
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert losses.tokens.item() == pytest.approx(2 * math.log(6) + entropy, rel=1e-5)


def test_choices_are_measured_among_what_is_possible() -> None:
    shares = np.array([0.5, 0.5, 0.9, 0.1], dtype=np.float32)
    branches = BranchTargets(np.array([0, 0, 2, 2]), np.array([2, 5, 0, 1]), shares)
    logits = torch.randn(1, 3, 6)
    logits[0, 0, [2, 5]] = torch.tensor([1.0, 0.0])
    logits[0, 2, [0, 1]] = torch.tensor([3.0, 3.0])
    losses = target_losses(logits, batch_of([2, 4, 1], branches))
    first = math.log(0.5) - 0.5 * (1.0 - 2 * math.log(1 + math.e))
    second = 0.9 * math.log(0.9) + 0.1 * math.log(0.1) + math.log(2)
    assert losses.choices.item() == pytest.approx(first + second, rel=1e-4)
    assert losses.choice_count == 2
    expected = losses.tokens / 3 + 7.0 * (first + second) / 2
    assert losses.mean(7.0).item() == pytest.approx(expected.item(), rel=1e-4)


def test_branches_of_a_batch_stand_in_their_rows() -> None:
    branches = BranchTargets(np.array([0, 0]), np.array([2, 5]), np.array([0.5, 0.5], dtype=np.float32))
    plain = Example(np.array([3, 3, 1]), np.array([4, 1]))
    batch = collate([plain, Example(np.array([3, 1]), np.array([2, 1]), branches)], 0, Position())
    assert batch.branch_places.tolist() == [[1, 1], [0, 0], [2, 5]]
    assert batch.attention_mask is not None and batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert collate([plain], 0, Position()).attention_mask is None
