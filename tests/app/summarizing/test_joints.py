from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.summarizing.joints import Joints

PAPER = """Long papers are hard to read.
Sparse attention reads long papers at once. Models of other kinds cut them. We use sparse attention, as Guo did.
Low-rank models forget what a low-rank model of Hodgkin lymphoma can’t see in Hodgkin's own papers.
"""


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        # Two sentences of the paper, the first without its end.
        ("We show how Models of other kinds cut them.", "Models of other kinds cut them."),
        ("We read papers with Low-rank models forget.", "Low-rank models forget."),
        ("Long papers are hard Sparse attention helps Models forget.", "Models forget."),
        # A name has its capital everywhere, a beginning its own, and what the paper does not have tells nothing.
        ("It can’t see lymphoma of Hodgkin in papers.", None),
        ("Models of other kinds cut them.", None),
        ("The method of Smith reads long papers.", None),
        ("We read papers, Long papers too.", None),  # after a comma it may be meant
        ("", None),
    ],
)
def test_of_melted_sentences_the_last_is_kept(written: str, shown: str | None) -> None:
    assert Joints(PAPER).after_last(written) == (written if shown is None else shown)


@given(st.text(alphabet="aA b,.-", max_size=40), st.text(alphabet="aA b,.-\n", max_size=80))
def test_what_is_kept_is_the_end_and_begins_at_a_word(sentence: str, paper: str) -> None:
    kept = Joints(paper).after_last(sentence)
    assert sentence.endswith(kept)
    before = sentence[: len(sentence) - len(kept)]
    assert not before or (before.endswith(" ") and kept[0].isupper())
