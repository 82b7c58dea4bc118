from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.paragraphs import Paragraph
from app.documents.sections import Part, divide

TEXT = (
    "We show that long papers can be read at once by a model of moderate size. It was tried on many of them, and the "
    "answers were the same as those of people who had read them from the first page to the last one."
)
ENTRIES = [f"[{n}] J. Doe. A paper. Journal of Things, 12(3):45–67, 200{n}." for n in range(1, 7)]


def text(words: str = TEXT) -> Paragraph:
    return Paragraph(words, False, 10.0, False)


def heading(words: str, size: float = 12.0, *, bold: bool = True, level: int = 0) -> Paragraph:
    return Paragraph(words, True, size, bold, level=level)


def small(words: str) -> Paragraph:
    return Paragraph(words, False, 8.0, False)


def parts_of(
    *paragraphs: Paragraph, title: str = "", pages: list[int] | None = None
) -> list[tuple[str, str]]:
    size = 10.0 if any(each.size for each in paragraphs) else 0.0
    found = divide(
        paragraphs, pages or [1] * len(paragraphs), title=title, body_size=size, check=lambda: None
    )
    assert [part.start for part in found] == [0, *(part.end for part in found[:-1])]
    assert found[-1].end == len(paragraphs)
    return [(part.heading, part.kind) for part in found]


def test_numbered_sections_take_their_subsections_in() -> None:
    assert parts_of(
        heading("Reading Long Papers", 17),
        heading("Jane Doe and John Smith", 12),
        heading("Abstract"), text(),
        heading("1 Introduction"), text(),
        heading("Figure 1: An overview"), text(),
        heading("2 Method"), text(),
        heading("2.1 Encoder", 10), text(),
        heading("Input", 18, bold=False), heading("Output", 18, bold=False), text(),
        heading("3 Conclusion"), text(),
        heading("Acknowledgments"), text("We thank them."),
        heading("References"), *map(text, ENTRIES),
        heading("A Proofs"), text(), text(),
        title="Reading Long Papers",
    ) == [
        ("", "front"),
        ("Abstract", "body"),
        ("1 Introduction", "body"),
        ("2 Method", "body"),
        ("3 Conclusion", "body"),
        ("Acknowledgments", "back"),
        ("References", "references"),
        ("A Proofs", "body"),
    ]  # fmt: skip


def test_subsections_that_look_like_sections_have_other_names() -> None:
    assert parts_of(
        heading("Abstract"), text(),
        heading("Introduction"), text(),
        heading("Results"), text(),
        heading("Males offer gifts"), text(),
        heading("Discussion"), text(),
        heading("Materials and methods"), text(),
        heading("Study animals"), text(),
        heading("Competing interests", 8), small("None."),
    ) == [
        ("Abstract", "body"),
        ("Introduction", "body"),
        ("Results", "body"),
        ("Discussion", "body"),
        ("Materials and methods", "body"),
        ("Competing interests", "back"),
    ]  # fmt: skip


def test_chapters_of_a_thesis() -> None:
    contents = ["1 First things . . . . . 1", "1.1 Smaller things . . . . 2", "2 Last things . . . . . 9"]
    pages = [1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 6, 6, 6]
    assert parts_of(
        heading("A Thesis about Things", 24),
        text("Jane Doe"),
        heading("Acknowledgements", 20), text(),
        heading("Abstract", 20), text(),
        heading("Contents", 20), *map(text, contents),
        heading("Chapter 1", 16), heading("First things", 20), text(),
        heading("1.1 Smaller things", 14), text(), text(),
        heading("Conclusion", 20), text(), text(),
        title="A Thesis about Things",
        pages=pages,
    ) == [
        ("", "front"),
        ("Acknowledgements", "front"),
        ("Abstract", "body"),
        ("Contents", "front"),
        ("Chapter 1 First things", "body"),
        ("Conclusion", "body"),
    ]  # fmt: skip


def test_pieces_of_another_kind_are_cut_out() -> None:
    assert parts_of(
        heading("Abstract"), text(),
        heading("Introduction"), text(),
        small("* Correspondence: jane@example.org"),
        small("1 Department of Things, University of Somewhere, Town, Country"),
        text(), text(),
        small("Received: 3 May 2011 Accepted: 4 June 2011"),
        small("© 2011 Doe; licensee Somebody. This is an Open Access article."),
    ) == [
        ("Abstract", "body"),
        ("Introduction", "body"),
        ("", "front"),
        ("", "body"),
        ("", "front"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Funding", "back"), ("Danksagung", "back"), ("Data availability", "back"), ("利益冲突", "back"),
     ("Authors' contributions", "back"), ("Conflict of Interest Statement", "back"), ("Limitations", "body"),
     ("Supporting Information Available", "back"), ("Appendix: Proofs", "body"), ("L I M I T A T I O N S", "body")],
)  # fmt: skip
def test_kind_by_heading(name: str, kind: str) -> None:
    found = parts_of(
        heading("1 Introduction"), text(), heading("2 Method"), text(), heading("3 Results"), text(),
        heading(name), text(),
    )  # fmt: skip
    assert found[-1][1] == kind
    assert found[-1][0].replace(" ", "").casefold() == name.replace(" ", "").casefold()


def test_running_text_is_no_part_of_a_list() -> None:
    assert parts_of(
        heading("Abstract"), text(), heading("Keywords", 10), text("things, papers"), text(), text(),
        heading("Method"), text(), heading("Conclusion"), text(),
    ) == [
        ("Abstract", "body"), ("Keywords", "front"), ("", "body"), ("Method", "body"), ("Conclusion", "body"),
    ]  # fmt: skip


def test_levels_of_markdown() -> None:
    def level(number: int, words: str) -> Paragraph:
        return Paragraph(words, True, 0.0, True, level=number)

    plain = Paragraph(TEXT, False, 0.0, False)
    assert parts_of(
        level(1, "A Paper"), plain, level(2, "Why"), plain, level(3, "Because"), plain, level(2, "How"), plain,
        level(3, "Funding"), plain, title="A Paper",
    ) == [("", "front"), ("", "body"), ("Why", "body"), ("How", "body"), ("Funding", "back")]  # fmt: skip


def test_text_without_headings_is_one_section() -> None:
    assert parts_of(text(), text()) == [("", "body")]
    assert divide([], [], title="", body_size=0, check=lambda: None) == ()


def test_a_paper_is_never_thrown_away() -> None:
    assert {kind for _, kind in parts_of(text(), heading("Funding"), text(), text(), text())} == {"body"}


kinds_of_paragraphs = st.builds(
    Paragraph,
    st.one_of(
        st.text(min_size=1, max_size=60),
        st.sampled_from([TEXT, *ENTRIES, "References", "Abstract", "1 Introduction", "2 Methods", "Chapter 3",
                         "Funding", "Contents", "A . . . . . . . 3", "3 Results", "IV. END", "© 2011", "A Proofs",
                         "一、 图片"]),
    ),
    st.booleans(),
    st.sampled_from([0.0, 8.0, 10.0, 12.0, 20.0]),
    st.booleans(),
    level=st.sampled_from([0, 0, 0, 1, 2]),
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(kinds_of_paragraphs, max_size=25), st.text(max_size=20), st.sampled_from([0.0, 10.0]))
def test_parts_tile_any_paragraphs(paragraphs: list[Paragraph], title: str, size: float) -> None:
    parts = divide(
        paragraphs,
        sorted(n // 4 + 1 for n in range(len(paragraphs))),
        title=title,
        body_size=size,
        check=lambda: None,
    )
    position = 0
    for part in parts:
        assert isinstance(part, Part)
        assert part.start == position < part.end
        assert len(part.heading) <= 120 and "\n" not in part.heading
        position = part.end
    assert position == len(paragraphs)
    lengths = {kind: sum(len(p.text) for part in parts if part.kind == kind for p in paragraphs[part.start : part.end])
               for kind in ("front", "body", "back")}  # fmt: skip
    assert 2 * lengths["body"] >= sum(lengths.values())
