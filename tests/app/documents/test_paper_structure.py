from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.page_lines import Line
from app.documents.paper_structure import find_references, find_title, looks_like_entry
from app.documents.paragraphs import Paragraph

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
    return find_references([paragraph(text) for text in texts])


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


def test_stubs_of_entries_do_not_end_the_list() -> None:
    assert found(
        *BODY, "References", *ENTRIES[:3], "of the Society.", *ENTRIES[3:], "http://example.org"
    ) == (4, 12)


def test_word_references_in_the_contents_is_no_list() -> None:
    assert found("Contents", "References", "1 Introduction", "2 Methods", "3 Results", *BODY) is None


def test_last_list_counts() -> None:
    assert found("References", *ENTRIES, *BODY, "References", *ENTRIES) == (10, 16)


def test_no_list() -> None:
    assert found(*BODY) is None
    assert find_references([]) is None


def test_entries() -> None:
    assert all(looks_like_entry(paragraph(entry)) for entry in ENTRIES)
    assert not looks_like_entry(paragraph("We write about things, as Doe did in his book."))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([*ENTRIES, *BODY, "References", "Appendix A", "x" * 900])))
def test_list_is_a_range_of_the_paragraphs(texts: list[str]) -> None:
    references = found(*texts)
    assert references is None or 0 <= references[0] < references[1] <= len(texts)


FIRST_PAGE = [
    Line("Proceedings of the Conference on Things, pages 1–9", size=8),
    Line("RESEARCH ARTICLE", size=24),
    Line("Reading Long Papers", y=700, size=17),
    Line("with Little Memory∗", y=680, size=17),
    Line("Jane Doe and John Smith", y=650, size=12),
    Line("We present a method for reading long papers. " * 8, size=10),
]


@pytest.mark.parametrize(
    "stated",
    [None, "", "untitled", "Microsoft Word - paper_final2.doc", "paper.dvi", "C:\\papers\\x", "Document", "title",
     "Slide 1", "A quite different title of a template", "\ud800\ud801", "2004-12-11"],
)  # fmt: skip
def test_title_is_what_stands_large_on_the_first_page(stated: str | None) -> None:
    assert find_title(stated, [FIRST_PAGE], "paper.pdf") == "Reading Long Papers with Little Memory"


def test_stated_title_is_used_if_the_page_has_it() -> None:
    assert find_title("Reading long papers", [FIRST_PAGE], "paper.pdf") == "Reading long papers"


def test_title_of_text_without_a_layout() -> None:
    assert (
        find_title(None, [[Line(""), Line("A plain title"), Line("And text.")]], "paper.txt")
        == "A plain title"
    )


def test_file_name_stands_in_for_a_title() -> None:
    assert find_title(None, [[Line("12 34")], []], "paper.pdf") == "paper.pdf"
    assert find_title("untitled", [], "paper.pdf") == "paper.pdf"


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(st.none(), st.text()),
    st.lists(st.lists(st.builds(Line, st.text(max_size=400), size=st.floats(0, 30)))),
)
def test_title_is_short_and_never_empty(stated: str | None, pages: list[list[Line]]) -> None:
    title = find_title(stated, pages, "paper.pdf")
    assert 0 < len(title) <= 300
