from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.page_lines import Line
from app.documents.titles import find_title

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


def test_stated_title_says_the_capitals_if_the_page_has_it() -> None:
    stated = "Reading long papers with little memory"
    assert find_title(stated, [FIRST_PAGE], "paper.pdf") == stated


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


TEXT = Line("We present a method for reading long papers. " * 8, size=10)


@pytest.mark.parametrize(
    "banner",
    ["Journal Pre-proof", "JOURNAL PRE-PROOF", "R E S E A R C H A R T I C L E Open Access", "Original Research Article",
     "Journal of Hydrology", "Frontiers in Neuroscience", "PLOS ONE", "Review", "Article in Press", "Contents",
     "International Journal of Things and Their Uses", "Proceedings of the 12th Annual Meeting", "Open Access",
     "DOCTORAL THESIS", "University of Somewhere", "May 2019", "ScienceDirect", "Theory Group Preprint Series",
     "nature communications"],
)  # fmt: skip
def test_what_is_larger_than_the_title_is_not_it(banner: str) -> None:
    page = [Line(banner, y=760, size=24), Line("A title of a paper", y=700, size=14), TEXT]
    assert find_title(None, [page], "paper.pdf") == "A title of a paper"


def test_title_behind_a_cover_of_the_publisher() -> None:
    cover = [
        Line("Journal Pre-proof", y=760, size=24),
        Line("This is a PDF file of an article. " * 9, size=10),
    ]
    page = [Line("A title of a paper", y=700, size=14), TEXT]
    assert find_title(None, [cover, page], "paper.pdf") == "A title of a paper"


def test_title_behind_blank_pages_and_a_declaration() -> None:
    declaration = [Line("Declaration", y=760, size=24), Line("A form of the faculty", y=700, size=18), TEXT]
    page = [Line("A title of a paper", y=700, size=14), TEXT]
    assert find_title(None, [[], [], declaration, [], page], "paper.pdf") == "A title of a paper"


def test_title_is_not_the_proceedings_that_the_file_states() -> None:
    stated = "Proceedings of the 12th Annual Meeting on Things"
    page = [Line("A title of a paper", y=700, size=14), TEXT, Line(stated, y=30, size=8)]
    assert find_title(stated, [page], "paper.pdf") == "A title of a paper"
    foot = Line("Things in Town, 2004", y=30, size=8)
    assert find_title("Things in Town", [[page[0], TEXT, foot]], "paper.pdf") == "A title of a paper"


def test_journal_is_the_title_if_nothing_else_is() -> None:
    assert (
        find_title(None, [[Line("Journal of Hydrology", size=24), TEXT]], "x.pdf") == "Journal of Hydrology"
    )


def test_the_longer_printed_title_counts_and_what_follows_a_stated_one_does_not() -> None:
    page = [Line("An Introduction to Things and Their Uses", y=700, size=14), TEXT]
    assert find_title("Things and their uses", [page], "x.pdf") == "An Introduction to Things and Their Uses"
    page = [Line("THINGS AND THEIR USES", y=700, size=14), Line("by Jane Doe", y=680, size=10), TEXT]
    assert find_title("Things and Their Uses, by Jane Doe", [page], "x.pdf") == "Things and Their Uses"


def test_title_that_is_only_bold() -> None:
    page = [
        Line("A title of a paper", y=700, size=10, bold=True),
        Line("in two lines", y=688, size=10, bold=True),
        TEXT,
    ]
    assert find_title(None, [page], "paper.pdf") == "A title of a paper in two lines"


def test_a_sentence_that_goes_on_is_no_title() -> None:
    assert (
        find_title(None, [[Line("however, did not last long; it became too dan-", size=10)]], "x.pdf")
        == "x.pdf"
    )
