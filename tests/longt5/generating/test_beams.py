"""Beam search of our own: transformers' tokens, whatever ends a beam, and transformers' search where it must be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LogitsProcessor, LogitsProcessorList, MaxTimeCriteria, StoppingCriteriaList

from longt5.generating.beams import BeamRules, Beams
from tests.longt5.factories import ENDS, random_ids, texts, writers


class Barring(LogitsProcessor):
    """Bars all but the end after some beams, and the end after others, as rules of writing do."""

    def __init__(self, every: int, from_length: int) -> None:
        self.every, self.from_length = every, from_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.clone()
        must_end = (input_ids.sum(dim=1) % self.every == 0) & (input_ids.shape[1] >= self.from_length)
        ends = scores[:, ENDS].clone()
        scores[must_end] = -torch.inf
        scores[:, ENDS] = torch.where(must_end[:, None], ends, -torch.inf)
        return scores


@pytest.fixture
def searches(monkeypatch) -> list[int]:
    """The tokens that our search adds from now on: a one for each."""
    added: list[int] = []
    advance = Beams.advance

    def counted(self, scores, tokens):
        added.append(1)
        return advance(self, scores, tokens)

    monkeypatch.setattr(Beams, "advance", counted)
    return added


@given(
    every=st.integers(1, 7),
    from_length=st.integers(2, 12),
    count=st.integers(1, 3),
    prompt=st.integers(1, 3),
    num_beams=st.integers(2, 6),
    early_stopping=st.sampled_from([True, False, "never"]),
    length_penalty=st.sampled_from([-1.0, 0.0, 0.7, 2.0]),
    max_new_tokens=st.integers(1, 25),
    data=st.data(),
)
@settings(max_examples=25, deadline=None)
def test_transformers_tokens_whatever_ends_a_beam(every, from_length, count, prompt, data, **options):
    options["num_return_sequences"] = data.draw(st.integers(1, options["num_beams"]))
    ours, theirs = (
        model.generate(
            **texts(count),
            decoder_input_ids=random_ids(count, prompt),
            eos_token_id=list(ENDS),
            logits_processor=LogitsProcessorList([Barring(every, from_length)]),
            **options,
        ).tolist()
        for model in writers()
    )
    assert ours == theirs


def test_more_beams_than_tokens_to_choose_from():
    input_ids = random_ids(1, 40) % 18 + 2
    ours, theirs = (
        model.generate(input_ids, num_beams=12, max_new_tokens=8, eos_token_id=[1, 5]).tolist()
        for model in writers(vocab_size=20)
    )
    assert ours == theirs


def test_a_search_by_hand():
    """Two beams; 1 ends. After two tokens "5 1" has -1.5 / 2, after three "5 6 1" -1.2 / 3, and nothing beats both."""
    rules = BeamRules(2, ends=np.array([1]), max_length=9, length_penalty=1.0, early_stopping=False, fill=0)
    beams = Beams(np.array([[3], [3]]), rules)
    tokens = np.array([[5, 7, 8, 9]] * 2)
    assert beams.advance(np.float32([[-1, -2, -8, -9]] * 2), tokens).tolist() == [0, 0]
    assert beams.written().tolist() == [[3, 5], [3, 7]]
    order = beams.advance(np.float32([[-0.1, -0.5, -8, -9], [-4, -5, -8, -9]]), np.array([[6, 1, 8, 9]] * 2))
    assert order.tolist() == [0, 1]
    assert beams.written().tolist() == [[3, 5, 6], [3, 7, 6]]
    assert beams.advance(np.float32([[-0.1, -3, -8, -9]] * 2), np.array([[1, 6, 8, 9]] * 2)) is None
    assert beams.best(2).tolist() == [[3, 5, 6, 1], [3, 5, 1, 0]]


def test_ordinary_calls_are_searched_here(searches):
    (model,) = writers(1)
    model.generate(**texts(2), num_beams=3, max_new_tokens=6, eos_token_id=None)
    assert len(searches) == 6


ELSEWHERE = {
    "sampling": {"do_sample": True},
    "a criterion of another kind": {"stopping_criteria": StoppingCriteriaList([MaxTimeCriteria(60.0)])},
    "scores": {"return_dict_in_generate": True, "output_scores": True},
    "no cache": {"use_cache": False},
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_searched_by_transformers(name, searches):
    ours, theirs = writers()
    options = {**texts(2), "num_beams": 3, "max_new_tokens": 6, "eos_token_id": None, **ELSEWHERE[name]}
    written = []
    for model in (ours, theirs):
        torch.manual_seed(0)
        output = model.generate(**options)
        written.append(getattr(output, "sequences", output).tolist())
    assert not searches
    assert written[0] == written[1]


def test_both_searches_agree_on_what_the_app_asks_for(monkeypatch):
    """The rules of writing read the beams' tokens: they must be given those that transformers gives."""
    seen: list[list[list[int]]] = []

    class Reading(LogitsProcessor):
        def __call__(self, input_ids, scores):
            seen.append(input_ids.tolist())
            return scores

    (model,) = writers(1)
    options = {**texts(2), "num_beams": 4, "max_new_tokens": 12, "no_repeat_ngram_size": 2}
    model.generate(**options, logits_processor=LogitsProcessorList([Reading()]))
    here, seen[:] = list(seen), []
    monkeypatch.setattr("longt5.modeling.can_search", lambda *_: False)
    model.generate(**options, logits_processor=LogitsProcessorList([Reading()]))
    assert here == seen
