from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents import Document, LeftOut, Page, Section, left_out


def document(*sections: tuple[str, str, str]) -> Document:
    """A document of these (heading, kind, text), each on a page of its own."""
    text, pages, ranges = "", [], []
    for number, (heading, kind, words) in enumerate(sections, 1):
        start = len(text)
        text += words
        pages.append(Page(number, start, len(text)))
        ranges.append(Section(heading, start, len(text), kind))  # type: ignore[arg-type]
    return Document("x.pdf", "X", text, tuple(pages), tuple(ranges), ())


def test_kinds_are_described_in_words_with_their_pages() -> None:
    assert left_out(
        document(
            ("", "front", "A Paper\nJane Doe, University of Somewhere\n"),
            ("1 Introduction", "body", "We show things.\n"),
            ("", "front", "© 2011 Doe. All rights reserved.\n"),
            ("Contents", "front", "1 Introduction 1\n"),
            ("2 Method", "body", "We do things.\n"),
            ("Danksagung", "back", "Wir danken allen.\n"),
            ("", "back", "Funding: None.\n"),
            ("References", "references", "[1] Doe.\n"),
            ("Something else", "back", "Quite different.\n"),
        )
    ) == (
        LeftOut("front", "authors, copyright notice and contents", (1, 3, 4)),
        LeftOut("references", "reference list", (8,)),
        LeftOut("back", "acknowledgements, funding and other back matter", (6, 7, 9)),
    )


def test_many_names_are_cut_short() -> None:
    names = ("Funding", "Author contributions", "Ethics statement", "Data availability", "Acknowledgements")
    (found,) = left_out(document(*((name, "back", "Text.\n") for name in names)))
    assert found.what == "funding, author contributions, ethics declarations and more"


def test_nothing_is_left_out_of_a_body() -> None:
    assert left_out(document(("", "body", "Text."), ("End", "body", "Text."))) == ()
    assert left_out(document(("", "front", ""))) == ()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=30),
            st.sampled_from(["front", "body", "back", "references"]),
            st.text(max_size=50),
        ),
        max_size=8,
    )
)
def test_says_something_of_every_section(sections: list[tuple[str, str, str]]) -> None:
    found = left_out(document(*sections))
    for kind in ("front", "references", "back"):
        pages = tuple(n for n, each in enumerate(sections, 1) if each[1] == kind and each[2])
        said = [each for each in found if each.kind == kind]
        assert [each.pages for each in said] == ([pages] if pages else [])
        assert all(each.what for each in said)
