from __future__ import annotations

import pytest

from app.summarizing.drafts import DraftSentence
from app.summarizing.joints import Joints
from app.summarizing.presentable import presentable

NO_JOINTS = Joints("")


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
