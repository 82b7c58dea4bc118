"""Quoting: whatever the model would say, only whole sentences of the source come out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig, LogitsProcessorList

from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.generation import Written, encode, write
from longt5.quotes import QuoteConstraint, is_quotable

END = 1
sentence_lists = st.lists(
    st.lists(st.integers(2, 6), min_size=1, max_size=6).map(tuple), min_size=1, max_size=8
)


def allowed_after(constraint: QuoteConstraint, *tokens: int) -> dict[int, float]:
    """Allowed next tokens and their probabilities under uniform scores, reading token by token as decoding does."""
    for length in range(len(tokens) + 1):
        scores = constraint(torch.tensor([[0, *tokens[:length]]]), torch.zeros(1, 10))
    return {token: p for token, p in enumerate(scores[0].exp().tolist()) if p > 0}


def test_a_trie_worked_by_hand() -> None:
    constraint = QuoteConstraint([(2, 3, 4), (2, 3, 5), (6,)], END, max_new_tokens=20)
    assert allowed_after(constraint) == pytest.approx(
        {2: 1 / 2, 6: 1 / 2}
    )  # not the end: something must be said
    constraint = QuoteConstraint([(2, 3, 4), (2, 3, 5), (6,)], END, max_new_tokens=20)
    assert allowed_after(constraint, 2) == {3: 1.0}  # forced, so it costs nothing
    constraint = QuoteConstraint([(2, 3, 4), (2, 3, 5), (6,)], END, max_new_tokens=20)
    assert set(allowed_after(constraint, 2, 3)) == {4, 5}
    constraint = QuoteConstraint([(2, 3, 4), (2, 3, 5), (6,)], END, max_new_tokens=20)
    assert set(allowed_after(constraint, 2, 3, 4)) == {2, 6, END}
    constraint = QuoteConstraint([(2, 3, 4), (2, 3, 5), (6,)], END, max_new_tokens=20)
    assert set(allowed_after(constraint, 2, 3, 4, 2, 3)) == {5}  # the other one has been said


def test_a_sentence_that_begins_another_may_end_or_go_on() -> None:
    constraint = QuoteConstraint([(2, 3), (2, 3, 4)], END, max_new_tokens=20)
    assert set(allowed_after(constraint, 2, 3)) == {2, 4, END}
    assert constraint.quoted([2, 3, 4, 2, 3]) == [(1, 0, 3), (0, 3, 5)]
    constraint = QuoteConstraint([(2, 3), (2, 3, 4), (4, 5)], END, max_new_tokens=20)
    assert constraint.quoted([2, 3, 4, 5]) == [(0, 0, 2), (2, 2, 4)]


def test_nothing_is_begun_that_does_not_fit() -> None:
    constraint = QuoteConstraint([(2, 3, 4), (5, 6)], END, max_new_tokens=6)
    assert set(allowed_after(constraint, 2, 3, 4)) == {5, END}
    constraint = QuoteConstraint([(2, 3, 4), (5, 6)], END, max_new_tokens=5)
    assert set(allowed_after(constraint, 2, 3, 4)) == {END}
    with pytest.raises(ValueError, match="longer summary"):
        QuoteConstraint([(2, 3, 4)], END, max_new_tokens=3)


@settings(max_examples=60, deadline=None)
@given(sentence_lists, st.integers(0, 2**16), st.integers(7, 40))
def test_every_walk_ends_in_whole_sentences(sentences: list, seed: int, longest: int) -> None:
    constraint = QuoteConstraint(sentences, END, max_new_tokens=longest)
    generator = torch.Generator().manual_seed(seed)
    tokens: list[int] = []
    while not tokens or tokens[-1] != END:
        scores = constraint(torch.tensor([[0, *tokens]]), torch.randn(1, 10, generator=generator))
        torch.testing.assert_close(scores.exp().sum(), torch.tensor(1.0))
        tokens.append(int(torch.multinomial(scores.exp(), 1, generator=generator)))
    assert len(tokens) <= longest
    spans = constraint.quoted(tokens[:-1])
    assert [token for place, *_ in spans for token in sentences[place]] == tokens[:-1]
    assert [(start, end) for _, start, end in spans] == _tiling(spans)


def _tiling(spans: list) -> list:
    ends = [end for *_, end in spans]
    return list(zip([0, *ends[:-1]], ends))


def test_quoted_leaves_out_what_is_unfinished() -> None:
    constraint = QuoteConstraint([(2, 3, 4), (5, 6)], END, max_new_tokens=20)
    assert constraint.quoted([5, 6, 2, 3]) == [(1, 0, 2)]
    assert constraint.quoted([]) == []


@pytest.mark.parametrize("num_beams", [1, 4])
def test_a_model_quotes(num_beams: int) -> None:
    torch.manual_seed(0)
    config = LongT5Config(
        vocab_size=50,
        d_model=32,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=4,
        decoder_start_token_id=0,
        encoder_attention_type="transient-global",
    )
    model = LongT5ForConditionalGeneration(config).eval()
    text = torch.randint(2, 50, (1, 60))
    sentences = [text[0, start : start + 6].tolist() for start in range(0, 60, 6)]
    *_, encoded = encode(model, text)
    constraint = QuoteConstraint(sentences, END, max_new_tokens=26)
    generation = GenerationConfig(
        num_beams=num_beams, max_new_tokens=26, decoder_start_token_id=0, eos_token_id=END, pad_token_id=0
    )
    *_, written = write(model, encoded, generation, logits_processor=LogitsProcessorList([constraint]))
    assert isinstance(written, Written)
    places = [place for place, *_ in constraint.quoted(written.token_ids)]
    assert 1 <= len(places) <= 4 and len(set(places)) == len(places)
    assert [token for place in places for token in sentences[place]] == list(written.token_ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We show that sparse attention reads long papers well.", True),
        ("“Attention” is, as others have said, not an explanation [3, 4].", True),
        ("2 Related work on attention in long papers", False),
        ("and so the sentence goes on from another page.", False),
        ("Too short.", False),
        ("0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9.", False),
    ],
)
def test_what_looks_like_a_sentence(text: str, expected: bool) -> None:
    assert is_quotable(text) is expected


def test_the_end_is_possible_where_nothing_else_is() -> None:
    constraint = QuoteConstraint([(2, 3)], END, max_new_tokens=20)
    barred = torch.zeros(1, 10)
    barred[0, END] = -torch.inf  # as a least length does
    for length in range(3):
        scores = constraint(torch.tensor([[0, 2, 3][: length + 1]]), barred)
    assert scores[0].exp().tolist() == pytest.approx([0.0, 1.0] + [0.0] * 8)
