"""The search for quotes: scores against the model asked token by token, choices against all that are possible."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.modeling_outputs import BaseModelOutput

from longt5 import LongT5ForConditionalGeneration
from longt5.generation import EncodedText, encode
from longt5.interruption import interruptible
from longt5.quote_search import Sampling, _draw, branches, quote
from tests.longt5.factories import randomize, tiny_config

PAPER = list(range(2, 42))
SENTENCES = [(2, 3, 4), (2, 3, 5, 6), (2, 7), (8, 9, 10), (8, 11, 12, 13), (14, 15, 16)]


@pytest.fixture(scope="module")
def model() -> LongT5ForConditionalGeneration:
    return randomize(LongT5ForConditionalGeneration(tiny_config())).eval()


@pytest.fixture(scope="module")
def encoded(model: LongT5ForConditionalGeneration) -> EncodedText:
    return encode(model, torch.tensor([PAPER]))


@torch.no_grad()
def log_shares(
    model,
    source: torch.Tensor,
    written: tuple[tuple[int, ...], ...],
    begun: tuple[int, ...],
    allowed: set[int] | None,
) -> torch.Tensor:
    """The logarithms of the next token's probabilities after a begun sentence, among the allowed ones.

    The paper is read without the sentences written before.
    """
    mask = torch.ones(source.shape[:2], dtype=torch.long)
    for sentence in written:
        for start in range(mask.shape[1]):
            if tuple(PAPER[start : start + len(sentence)]) == sentence:
                mask[:, start : start + len(sentence)] = 0
    logits = model(
        encoder_outputs=BaseModelOutput(last_hidden_state=source),
        attention_mask=mask if mask.shape[1] == len(PAPER) else None,
        decoder_input_ids=torch.tensor([[0, *begun]]),
    ).logits[0, -1]
    if allowed is not None:
        barred = torch.full_like(logits, -torch.inf)
        barred[sorted(allowed)] = 0
        logits = logits + barred
    return logits.log_softmax(-1)


def renormalised(model, source, written, sentence, possible) -> float:
    total = 0.0
    for depth, token in enumerate(sentence):
        allowed = {
            other[depth] for other in possible if len(other) > depth and other[:depth] == sentence[:depth]
        }
        total += float(log_shares(model, source, written, sentence[:depth], allowed)[token])
    return total


def chosen(model, encoded: EncodedText, sentences=SENTENCES, **settings) -> tuple[tuple[int, ...], ...]:
    progress: list[tuple[int, ...]] = []
    last = quote(model, encoded, sentences, on_progress=progress.append, **settings)
    assert progress[-1] == last.token_ids
    assert last.token_ids == tuple(token for index in last.indices for token in sentences[index])
    return tuple(tuple(sentences[index]) for index in last.indices)


def test_choices_are_the_best_by_the_model_asked_token_by_token(model, encoded) -> None:
    expected: list[tuple[int, ...]] = []
    room = 13
    while possible := [s for s in SENTENCES if s not in expected and len(s) <= room]:
        scores = {
            s: renormalised(model, encoded.last_hidden_state, tuple(expected), s, possible) for s in possible
        }
        expected.append(max(scores, key=scores.__getitem__))
        room -= len(expected[-1])
    assert chosen(model, encoded, max_new_tokens=14) == tuple(expected)
    assert len(expected) >= 3


def test_beams_find_the_best_of_all_sequences(model, encoded) -> None:
    # Seven tokens: two sentences, or three if one of them is the shortest; many beams are all there are.
    def sequences(written: tuple[tuple[int, ...], ...], total: float):
        room = 7 - sum(map(len, written))
        possible = [s for s in SENTENCES if s not in written and len(s) <= room]
        if not possible:
            yield total / len(written), written
        for s in possible:
            score = renormalised(model, encoded.last_hidden_state, written, s, possible)
            yield from sequences((*written, s), total + score)

    best = max(sequences((), 0.0))
    assert set(chosen(model, encoded, max_new_tokens=8, num_beams=200)) == set(best[1])


def test_a_sentence_that_stands_there_twice_is_quoted_once(model, encoded) -> None:
    twice = [*SENTENCES, *SENTENCES]
    quoted = chosen(model, encoded, twice, max_new_tokens=60)
    assert sorted(quoted) == sorted(SENTENCES)


def test_nothing_fits(model, encoded) -> None:
    with pytest.raises(ValueError, match="longer summary"):
        quote(model, encoded, SENTENCES, max_new_tokens=2)


class Stop(Exception):
    pass


def test_stopping(model, encoded) -> None:
    """After the first choice, by progress or at the next interruption point."""

    def stop(*_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        quote(model, encoded, SENTENCES, max_new_tokens=60, on_progress=stop)

    chosen: list[tuple[int, ...]] = []

    def check() -> None:
        if chosen:
            raise Stop

    with interruptible(check), pytest.raises(Stop):
        quote(model, encoded, SENTENCES, max_new_tokens=60, on_progress=chosen.append)
    assert len(chosen) == 1


def test_sampling_is_repeatable_and_differs_by_seed(model, encoded) -> None:
    drawn = {
        seed: chosen(model, encoded, max_new_tokens=14, sampling=Sampling(seed, temperature=5.0))
        for seed in range(6)
    }
    assert len(set(drawn.values())) > 1
    assert chosen(model, encoded, max_new_tokens=14, sampling=Sampling(3, temperature=5.0)) == drawn[3]
    narrow = Sampling(0, top_p=1e-6)
    assert chosen(model, encoded, max_new_tokens=14, sampling=narrow) == chosen(
        model, encoded, max_new_tokens=14
    )


def test_draws_by_hand() -> None:
    scores = torch.tensor([0.1, 0.6, 0.3]).log()
    generator = torch.Generator().manual_seed(0)
    draws = [int(_draw(scores, Sampling(0), generator)) for _ in range(2000)]
    assert [draws.count(i) / 2000 for i in range(3)] == pytest.approx([0.1, 0.6, 0.3], abs=0.04)
    draws = [int(_draw(scores, Sampling(0, top_p=0.7), generator)) for _ in range(2000)]
    assert [draws.count(i) / 2000 for i in range(3)] == pytest.approx([0.0, 2 / 3, 1 / 3], abs=0.04)
    cold = Sampling(0, temperature=0.5)
    draws = [int(_draw(scores, cold, generator)) for _ in range(2000)]
    assert draws.count(1) / 2000 == pytest.approx(0.36 / 0.46, abs=0.04)


def test_branches_by_hand() -> None:
    assert {prefix: sorted(tokens) for prefix, tokens in branches(SENTENCES).items()} == {
        (): [2, 8, 14],
        (2,): [3, 7],
        (2, 3): [4, 5],
        (8,): [9, 11],
    }
    assert branches([(2, 3), (2, 3, 4)]) == {} == branches([(5, 6)]) == branches([])


@given(st.sets(st.tuples(*[st.integers(0, 2)] * 4), min_size=1, max_size=30))
def test_uniform_choices_at_branches_lead_to_each_sentence(sentences: set[tuple[int, ...]]) -> None:
    nodes = branches(sorted(sentences))
    shares = {
        s: math.prod(1 / len(nodes[s[:depth]]) for depth in range(4) if s[:depth] in nodes) for s in sentences
    }
    assert sum(shares.values()) == pytest.approx(1.0)
    for prefix, tokens in nodes.items():
        assert len(tokens) > 1
        assert {s[len(prefix)] for s in sentences if s[: len(prefix)] == prefix} == set(tokens)
