from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.front_matter import find_contents, form, is_prose
from app.documents.paragraphs import Paragraph

PROSE = "We show that it works, and that nothing else does. " * 6


def small(text: str) -> Paragraph:
    return Paragraph(text, False, 8.0, False)


def plain(text: str) -> Paragraph:
    return Paragraph(text, False, 10.0, False)


@pytest.mark.parametrize(
    "text",
    [
        "* Correspondence: jane@example.org",
        "E-mail address: jane@example.org (J. Doe).",
        "{jane,john}@example.org",
        "1 Department of Things, University of Somewhere, 12345 Town, Country",
        "a School of Things, b Institute for Other Things, Town",
        "Received: 3 May 2011 Accepted: 4 June 2011 Published: 5 July 2011",
        "Submission received: 16 December 2008; accepted for publication: 7 March 2010.",
        "© 2011 Doe et al; licensee BioMed Central Ltd.",
        "Permission to make digital or hard copies of all or part of this work is granted without fee.",
        "Keywords: long papers; summaries",
        "关键词：长文档；摘要",
        "These authors contributed equally to this work.",
        "Academic editor: John Smith",
        "ISBN 978-3-16-148410-0",
    ],
)
def test_front_matter_by_its_form(text: str) -> None:
    assert form(small(text), 1, 10.0) == "front"
    assert form(small(text), 7, 10.0) in (None, "back")


@pytest.mark.parametrize(
    "text",
    [
        "Funding: This work was supported by a foundation.",
        "Data Availability Statement: All data are within the paper.",
        "Competing interests. The authors declare none.",
        "Acknowledgements: we are grateful to everybody.",
        "Authors’ contributions JD wrote the paper.",
        "© 2014 The Author(s)",
    ],
)
def test_back_matter_by_its_form(text: str) -> None:
    assert form(small(text), 7, 10.0) == "back"


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "The students of the University of Somewhere were asked whether they had read it, and most of them were.",
        "Background: In nuptial gift-giving species, benefits of acquiring a mate may select for deception.",
        "Received signals are decoded by a filter that we describe below.",
        "Published work on this question is scarce, as we have said.",
        "An institute was founded.",
        "Editors make mistakes.",
        "Funding is scarce.",
        "Copyrighted works are protected in most countries of the world.",
    ],
)
def test_text_is_not_taken_for_it(text: str) -> None:
    assert form(plain(text), 1, 10.0) is None


def test_contents_under_a_heading() -> None:
    heading = Paragraph("Contents", True, 20.0, True)
    chapter = Paragraph("Chapter 1", True, 20.0, True)
    entries = map(
        plain,
        ["1 One 1", "1.1 A title that takes", "two lines 2", "2 Two . . . . . . . . 9", "References 12"],
    )
    paragraphs = [plain("A Book"), heading, *entries, chapter, plain(PROSE)]
    assert find_contents(paragraphs, [1, 2, 2, 2, 2, 2, 2, 3, 3]) == frozenset(range(1, 7))


def test_contents_without_a_heading_stand_at_the_beginning() -> None:
    entries = [plain(f"Part {number} ............ {number}") for number in range(1, 7)]
    assert find_contents([plain(PROSE), *entries], [1] * 7) == frozenset(range(1, 7))
    assert find_contents([plain(PROSE), *entries], [1, *[30] * 6]) == frozenset()


def test_section_called_contents_is_text() -> None:
    assert (
        find_contents([Paragraph("Contents", True, 12.0, True), plain(PROSE), plain(PROSE)], [1, 1, 1])
        == frozenset()
    )


def test_prose() -> None:
    assert is_prose(PROSE) and is_prose(
        "我们提出了一种分析大型图的简单方法，并且证明它在许多数据集上效果良好，" * 2 + "完。"
    )
    assert not is_prose("Jane Doe, John Smith, Ann Other, " * 10)
    assert not is_prose("A short sentence.") and not is_prose("")


@settings(deadline=None, max_examples=80)
@given(st.text(st.characters(), max_size=2000), st.integers(1, 9), st.sampled_from([0.0, 8.0, 12.0]))
def test_any_paragraph_has_a_form_or_none(text: str, page: int, size: float) -> None:
    assert form(Paragraph(text, False, size, False), page, 10.0) in (None, "front", "back")
    assert is_prose(text) in (True, False)
