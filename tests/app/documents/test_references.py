from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.paragraphs import Paragraph
from app.documents.references import find_reference_lists, looks_like_entry

ENTRIES = (
    "[1] J. Doe and A. Smith. A paper about things. Journal of Things, 12(3):45–67, 2004.",
    "[2] M. Mustermann. Another paper. In Proceedings of the Conference on Things, pages 1–9, 2010.",
    "[3] Ann Other. A book. Springer, 1999.",
    "[4] B. Green, C. Black. Yet another paper. https://example.org/paper, 2020.",
    "[5] X. Yellow. The last paper. arXiv preprint arXiv:2001.00001, 2020.",
)


def paragraph(text: str) -> Paragraph:
    return Paragraph(text, len(text) < 40 and not text.endswith("."), 10, False)


def found(*texts: str) -> tuple[int, int] | None:
    """The only list, if there is one."""
    lists = find_reference_lists([paragraph(text) for text in texts])
    assert len(lists) < 2
    return lists[0] if lists else None


BODY = ("1 Introduction", "We write about things, as Doe (2004) did.", "2 Conclusion", "Things matter.")


@pytest.mark.parametrize(
    "heading",
    ["References", "REFERENCES", "References:", "7 References", "7. References", "Bibliography",
     "Literature Cited", "VI. REFERENCES", "Literaturverzeichnis", "Références", "参考文献",
     "References and notes", "Works cited"],
)  # fmt: skip
def test_list_under_a_heading_runs_to_the_end(heading: str) -> None:
    assert found(*BODY, heading, *ENTRIES) == (4, 10)


@pytest.mark.parametrize(
    "appendix",
    ["Appendix A. Proofs", "A Proofs", "A.1 More proofs", "Supporting information", "Figure legends"],
)
def test_list_ends_at_an_appendix(appendix: str) -> None:
    assert found(*BODY, "References", *ENTRIES, appendix, "Here we prove it.") == (4, 10)


def test_list_without_a_heading() -> None:
    assert found(*BODY, *ENTRIES) == (4, 9)


def test_list_without_numbers() -> None:
    entries = [entry[4:] for entry in ENTRIES]
    assert found(*BODY, "References", *entries) == (4, 10)


def test_numbered_text_behind_a_list_without_numbers_is_not_of_it() -> None:
    entries = [entry[4:] for entry in ENTRIES]
    items = [f"{number}. " + "We show that it holds for all of them. " * 20 for number in range(1, 7)]
    assert found(*BODY, "References", *entries, *items) == (4, 10)


def test_entries_of_a_numbered_list_may_be_told_by_their_numbers_alone() -> None:
    plain = [
        f"[{number}] " + "A report of which no more is known, by its office. " * 14 for number in (6, 7, 8)
    ]
    assert found(*BODY, "References", *ENTRIES, *plain) == (4, 13)
    first = [f"[{number}] " + "A report of which no more is known. " * 30 for number in (1, 2)]
    assert found(*BODY, "References", *first, *ENTRIES[2:]) == (4, 10)


def test_stubs_of_entries_do_not_end_the_list() -> None:
    assert found(
        *BODY, "References", *ENTRIES[:3], "of the Society.", *ENTRIES[3:], "http://example.org"
    ) == (4, 12)


def test_word_references_in_the_contents_is_no_list() -> None:
    assert found("Contents", "References", "1 Introduction", "2 Methods", "3 Results", *BODY) is None


def test_each_chapter_may_have_its_list() -> None:
    texts = ("References", *ENTRIES, *BODY, "References", *ENTRIES)
    assert find_reference_lists([paragraph(text) for text in texts]) == ((0, 6), (10, 16))


def test_name_at_the_head_of_a_page_begins_no_second_list() -> None:
    assert found(*BODY, "References", *ENTRIES[:3], "References", *ENTRIES[3:]) == (4, 11)


@pytest.mark.parametrize("heading", ["L I T E R A T U R", "参 考 文 献", "R E F E R E N C E S"])
def test_heading_may_be_spaced_out(heading: str) -> None:
    assert found(*BODY, heading, *ENTRIES) == (4, 10)


def test_list_may_be_broken_by_a_figure() -> None:
    labels = (
        "0.5 1 1.5 2",
        "Number of Episodes",
        "Random Problems",
        "(a) One",
        "10 20 30",
        "(b) Two",
        "Figure 1: Results.",
    )
    assert found(*BODY, "References", *ENTRIES[:2], *labels, *ENTRIES[2:]) == (4, 17)


def test_short_list_before_an_appendix() -> None:
    assert found(*BODY, "References", *ENTRIES[:2], "Appendix A", *BODY, *BODY) == (4, 7)


def test_no_list() -> None:
    assert found(*BODY) is None
    assert find_reference_lists([]) == ()


def test_entries() -> None:
    assert all(looks_like_entry(paragraph(entry)) for entry in ENTRIES)
    assert not looks_like_entry(paragraph("We write about things, as Doe did in his book."))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*ENTRIES, *BODY, "References", "Appendix A", "x" * 900])))
def test_list_is_a_range_of_the_paragraphs(texts: list[str]) -> None:
    position = 0
    for start, end in find_reference_lists([paragraph(text) for text in texts]):
        assert position <= start < end <= len(texts)
        position = end
