from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.models import ModelStore
from app.summarizing.drafts import (
    decoded,
    draft_sentences,
    finished_sentences,
    nearest_count,
    without_repeats,
)

TEXT = "The model reads the long paper. It costs 4.2 points, i.e. “naïve” ∑ tokens! Does a reader see?"


def test_sentences_know_their_tokens(store: ModelStore) -> None:
    with store.use(store.choices[0]) as loaded:
        tokenizer = loaded.tokenizer
        ids = tokenizer(TEXT)["input_ids"]
        sentences = draft_sentences(tokenizer, ids)
        assert [sentence.text for sentence in sentences] == [
            "The model reads the long paper.",
            "It costs 4.2 points, i.e. “naïve” ∑ tokens!",
            "Does a reader see?",
        ]
        for sentence in sentences:
            assert decoded(tokenizer, ids[sentence.token_start : sentence.token_end]) == sentence.text
        # Nothing is left out but lone spaces and the end token.
        inside = {i for s in sentences for i in range(s.token_start, s.token_end)}
        outside = set(range(len(ids))) - inside
        assert sum(s.token_end - s.token_start for s in sentences) == len(inside)
        assert {tokenizer.convert_ids_to_tokens(ids[i]) for i in outside} == {"▁", "</s>"}


def test_nothing_written_is_no_sentence(store: ModelStore) -> None:
    with store.use(store.choices[0]) as loaded:
        assert draft_sentences(loaded.tokenizer, ()) == []
        assert draft_sentences(loaded.tokenizer, (1, 0, 0)) == []


def test_half_a_character_does_no_harm(store: ModelStore) -> None:
    with store.use(store.choices[0]) as loaded:
        ids = loaded.tokenizer("Fin ∑", add_special_tokens=False)["input_ids"]
        for end in range(1, len(ids) + 1):
            for sentence in draft_sentences(loaded.tokenizer, ids[:end]):
                assert 0 <= sentence.token_start < sentence.token_end <= end


def test_repeats_are_dropped_and_counted(store: ModelStore) -> None:
    with store.use(store.choices[0]) as loaded:
        ids = loaded.tokenizer(TEXT)["input_ids"]
        sentences = draft_sentences(loaded.tokenizer, ids)
    earlier = ["the model reads THE long, long paper", "Something else."]
    fresh, dropped = without_repeats(sentences, earlier)
    assert fresh == sentences[1:]
    assert dropped == 1
    assert without_repeats(sentences, []) == (sentences, 0)


def test_a_text_that_breaks_off_ends_with_its_last_whole_sentence(store: ModelStore) -> None:
    with store.use(store.choices[0]) as loaded:
        tokenizer = loaded.tokenizer
        ids = tokenizer("The model reads it. A reader se", add_special_tokens=False)["input_ids"]
        assert [draft.text for draft in finished_sentences(tokenizer, ids)] == ["The model reads it."]
        whole = tokenizer("The model reads it. A reader sees.", add_special_tokens=False)["input_ids"]
        assert len(finished_sentences(tokenizer, whole)) == 2
        assert finished_sentences(tokenizer, ()) == []


@given(st.integers(0, 60), st.lists(st.integers(1, 30), max_size=8))
def test_the_first_sentences_come_nearest_to_a_length(words: int, lengths: list[int]) -> None:
    kept = nearest_count(words, ("word " * length for length in lengths))
    assert 0 <= kept <= len(lengths) and bool(kept) == bool(lengths)
    totals = [sum(lengths[:count]) for count in range(1, len(lengths) + 1)]
    assert not totals or abs(totals[kept - 1] - words) == min(abs(total - words) for total in totals)


def test_citations_and_stutters_are_not_shown(store: ModelStore) -> None:
    with store.use(store.choices[0]) as loaded:
        ids = loaded.tokenizer(
            "The model (LT) model (LT) reads it [3]. A reader reads and reads (see Figure 2).",
            add_special_tokens=False,
        )["input_ids"]
        sentences = draft_sentences(loaded.tokenizer, ids)
    assert [sentence.text for sentence in sentences] == [
        "The model (LT) reads it.",
        "A reader reads and reads.",
    ]
    assert sentences[-1].token_end == len(ids)
