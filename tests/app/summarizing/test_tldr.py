from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.summarizing.tldr import choose_tldr

ABSTRACT = [
    "Long papers are hard to read for models with full attention.",
    "However, their cost grows with the square of the length.",
    "In this paper, we present a model whose globals stand for blocks of tokens.",
    "It reads sixteen thousand tokens at once.",
    "Our results show that it summarizes long papers better than shorter models.",
    "This allows people to read more.",
]


def test_an_aim_and_a_finding_are_chosen() -> None:
    assert choose_tldr(ABSTRACT, "A model for long papers") == [2, 4]


def test_without_either_the_sentence_that_says_most_of_the_title_is() -> None:
    sentences = [
        "Frogs sing at night.",
        "The songs of frogs differ between ponds and seasons.",
        "Water is wet.",
    ]
    assert choose_tldr(sentences, "Songs of frogs in ponds") == [1]


def test_what_leans_on_another_sentence_is_taken_only_if_all_do() -> None:
    assert choose_tldr(["This shows it.", "They propose this."], "") in ([0], [1])
    assert choose_tldr([], "Title") == []
    further = "Further, we find that small models are better at long papers."
    assert choose_tldr([further, *ABSTRACT], "Small models for long papers") == [3, 5]


@given(st.lists(st.sampled_from([*ABSTRACT, "", "x"]), max_size=8), st.text(max_size=20))
def test_one_or_two_in_order(sentences: list[str], title: str) -> None:
    chosen = choose_tldr(sentences, title)
    assert chosen == sorted(set(chosen)) and len(chosen) == min(len(chosen), 2)
    assert bool(chosen) == bool(sentences)
