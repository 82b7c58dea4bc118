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
