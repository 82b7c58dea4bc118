from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import ModelStore
from app.summarizing.drafts import (
    DraftSentence,
    decoded,
    draft_sentences,
    finished_sentences,
    nearest_count,
    presentable,
    without_repeats,
)
from app.summarizing.joints import Joints

NO_JOINTS = Joints("")
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


def test_debris_and_sentences_that_hang_are_not_shown() -> None:
    def drafts(*texts: str) -> list[DraftSentence]:
        return [DraftSentence(text, i, i + 1) for i, text in enumerate(texts)]

    debris = "x i = 3 · y j + 2 ( a b ) = 0 ∑ k ."
    half = "The model reads long papers of"
    kept = presentable(
        drafts("This shows it well.", debris, "The model reads long papers.", "It is fast.", half), NO_JOINTS
    )
    assert [draft.text for draft in kept] == ["The model reads long papers.", "It is fast."]
    assert presentable(drafts(debris, half), NO_JOINTS) == []


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("CONCLUSION The model reads long papers.", "The model reads long papers."),
        ("4 Results The model reads long papers.", "The model reads long papers."),
        ("Results. We read long papers.", "We read long papers."),
        ("Results show that we read long papers.", "Results show that we read long papers."),
        ("Reading of Papers Recent models read papers.", "Recent models read papers."),
        ("Reading of Papers C.1.", None),
        ("Results.", None),
        ("Semantic Modeling We read long papers.", "We read long papers."),
        ("Network Dynamics and Architecture A model reads long papers.", "A model reads long papers."),
        ("Hepatitis A is read about.", "Hepatitis A is read about."),
        ("Using The Reader we read long papers.", "Using The Reader we read long papers."),
        ("∗ *Ada Byron is now with another university.", None),
        ("(B) Activity before the movement was read.", None),
        ("(A–C) Activity before the movement was read.", None),
        ("† These authors gave the same.", None),
    ],
)
def test_headings_and_footnotes_are_taken_off(written: str, shown: str | None) -> None:
    headings = [
        "",
        "1 Introduction",
        "3.1 Reading",
        "Appendix B. Reading of Papers",
        "4. Results",
        "CONCLUSION",
    ]
    kept = presentable([DraftSentence(written, 0, 9)], NO_JOINTS, headings)
    assert [draft.text for draft in kept] == ([shown] if shown else [])


@pytest.mark.parametrize(
    "sentence",
    [
        "Table 1 provides a summary.",
        "In Section 2.2, we read long papers.",
        "The papers are like that shown in Fig. 3 (a).",
        "In this section, we read long papers.",
        "By Theorem 2 we read long papers.",
        "Let r be the selected reader for all x, that is ∀x ∈ X.",
    ],
)
def test_what_leads_to_a_part_of_the_paper_is_not_shown(sentence: str) -> None:
    assert presentable([DraftSentence(sentence, 0, 9)], NO_JOINTS) == []


FIRST = "Reading memory gives readers long papers with lower overhead and no loss of accuracy."


@pytest.mark.parametrize(
    ("later", "is_shown"),
    [
        ("We also show that reading memory gives lower overhead and a loss of accuracy.", False),
        ("Results demonstrate long papers with lower overhead.", False),
        ("Reading memory gives readers of Chinese novels less to do on paper.", True),
        ("In this paper, we propose reading memory with lower overhead.", True),  # what others did came first
        ("It gives accuracy.", True),  # too short to tell
    ],
)
def test_what_is_said_again_is_not_shown(later: str, is_shown: bool) -> None:
    kept = presentable([DraftSentence(FIRST, 0, 9), DraftSentence(later, 9, 18)], NO_JOINTS)
    assert [draft.text for draft in kept] == ([FIRST, later] if is_shown else [FIRST])


@pytest.mark.parametrize(
    "sentence",
    [
        "The table was read by six people.",
        "Section after section is read.",
        "Their figures are those of 2019.",
    ],
)
def test_what_only_sounds_like_it_is(sentence: str) -> None:
    assert [draft.text for draft in presentable([DraftSentence(sentence, 0, 9)], NO_JOINTS)] == [sentence]


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
