from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.page_lines import Line
from app.documents.paragraphs import Paragraph, goes_on_after, split_paragraphs
from app.documents.text_cleaning import count_words
from app.documents.type_styles import Style

BODY = Style(10, "Times")


def column(
    *texts: str, x: float = 72, top: float = 700, size: float = 10, bold: bool = False, font: str = "Times"
) -> list[Line]:
    """Lines 12 points apart; leading spaces of a text indent it by 10 points."""
    return [
        Line(text.strip(), x + 10 * text.startswith(" "), top - 12 * number, size, bold, font)
        for number, text in enumerate(texts)
    ]


def split(page: list[Line], body: Style = BODY) -> list[str]:
    return [found.text for found in paragraphs(page, body)]


def paragraphs(page: list[Line], body: Style = BODY) -> list[Paragraph]:
    return split_paragraphs(page, body, count_words(line.text for line in page), check=lambda: None)


FULL = "a line of running text that goes from one edge to the other"


def test_lines_become_one_paragraph() -> None:
    assert split(
        column("We present a method for long", "documents of any kind and a repre-", "sentation of them.")
    ) == ["We present a method for long documents of any kind and a representation of them."]


def test_indented_line_begins_a_paragraph() -> None:
    page = column(
        FULL,
        "ends here and fills the line up to the edge of the column.",
        " Another begins and goes on",
        FULL,
    )
    assert len(split(page)) == 2


def test_hanging_entries_are_paragraphs() -> None:
    page = column(
        "Jane Doe and John Smith. A paper about many things of interest:",
        " a broken system. Journal, 2008.",
        "Ann Other, Jane Doe and John Smith. Another paper about things",
        " that were not of interest so far and take three lines of the list",
        " to be named. Journal, 2009.",
        "Zoe Zed. The last paper. Journal, 2010.",
    )
    assert [text.split()[0] for text in split(page)] == ["Jane", "Ann", "Zoe"]


def test_heading_stands_alone() -> None:
    page = [
        *column(FULL, "and so on."),
        *column("2 Methods", top=660, size=12, bold=True, font="Times-Bold"),
        *column(FULL, "and on.", top=640),
    ]
    found = paragraphs(page)
    assert [paragraph.text for paragraph in found] == [f"{FULL} and so on.", "2 Methods", f"{FULL} and on."]
    assert [paragraph.heading for paragraph in found] == [False, True, False]


def test_heading_of_two_lines_is_one() -> None:
    page = column("A Heading That Is Longer Than", "The Column Is Wide", bold=True) + column(
        FULL, FULL, top=660
    )
    assert split(page)[0] == "A Heading That Is Longer Than The Column Is Wide"


def test_italic_heading_stands_alone() -> None:
    page = [
        *column(FULL, "and so on."),
        *column("Courtship and mating", top=676, font="Times-Italic"),
        *column("In the first group " + FULL, FULL, top=664),
    ]
    assert "Courtship and mating" in split(page)


def test_sentence_that_starts_a_line_with_a_number_is_no_heading() -> None:
    page = column(
        FULL,
        "is evaluated and discussed in all its details in Section",
        "4. Finally, we conclude in Section 5 and",
        FULL,
    )
    assert len(split(page)) == 1


def test_next_column_continues_the_sentence() -> None:
    page = [*column(FULL, FULL, top=80), *column("continues here", FULL, x=310, top=700)]
    assert split(page) == [f"{FULL} {FULL} continues here {FULL}"]


def test_next_column_begins_a_paragraph() -> None:
    page = [*column(FULL, "A sentence ends here.", top=80), *column("Another begins", FULL, x=310, top=700)]
    assert len(split(page)) == 2


def test_footnote_does_not_cut_a_sentence_in_two() -> None:
    page = [
        *column(FULL, FULL, top=200),
        *column("1 A note in small type.", top=80, size=8),
        *column("goes on in the next column", "and ends there.", x=310, top=700),
    ]
    assert split(page) == [
        f"{FULL} {FULL} goes on in the next column and ends there.",
        "1 A note in small type.",
    ]


def test_figure_over_the_text_comes_after_the_sentence_it_interrupts() -> None:
    page = [
        *column("input", "hidden", "output", "loss", "gold", top=760, size=8, font="Arial"),
        *column("Figure 1: A network and its parts.", top=690, size=9),
        *column("goes on from the page before and", "ends here.", top=650),
    ]
    assert split(page) == [
        "goes on from the page before and ends here.",
        "input hidden output loss gold",
        "Figure 1: A network and its parts.",
    ]


def test_list_items_are_paragraphs() -> None:
    page = column(
        "We offer:", "• a method that is new and takes", " two lines to be told;", "• a corpus;", "• a tool."
    )
    assert [text[:5] for text in split(page)] == ["We of", "• a m", "• a c", "• a t"]


def test_plain_text() -> None:
    page = [
        Line(text)
        for text in (
            "Abstract",
            "First line of a",
            "paragraph.",
            "",
            "Second",
            "one.",
            "",
            "1. Item",
            "2. Item",
        )
    ]
    assert split(page, Style(0, "")) == [
        "Abstract",
        "First line of a paragraph.",
        "Second one.",
        "1. Item",
        "2. Item",
    ]


def test_plain_text_with_a_paragraph_a_line() -> None:
    page = [Line("word " * 100 + "end."), Line("Word " * 100 + "end")]
    assert len(split(page, Style(0, ""))) == 2


@pytest.mark.parametrize(
    ("last", "following", "goes_on"),
    [
        ("a sentence that does not", "end on its page", True),
        ("a repre-", "sentation", True),
        ("A sentence that ends.", "lower case", False),
        ("a sentence that does not", "Upper case", False),
    ],
)
def test_page_breaks(last: str, following: str, goes_on: bool) -> None:
    assert goes_on_after(Paragraph(last, False, 10, False), Paragraph(following, False, 10, False)) is goes_on


def test_headings_never_go_on() -> None:
    assert not goes_on_after(Paragraph("a heading", True, 10, True), Paragraph("text", False, 10, False))


coordinates = st.sampled_from([0.0, 72.0, 82.0, 310.0, 640.0, 652.0, 664.0, 676.0, 700.0])
any_line = st.builds(
    Line,
    st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=50),
    coordinates,
    coordinates,
    st.sampled_from([0.0, 8.0, 10.0, 12.0]),
    st.booleans(),
    st.sampled_from(["", "Times", "Arial"]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(any_line, max_size=30), st.sampled_from([BODY, Style(0, "")]))
def test_every_character_is_in_one_paragraph(page: list[Line], body: Style) -> None:
    found = "".join(split_text.text for split_text in paragraphs(page, body))
    dropped = Counter("".join(line.text for line in page)) - Counter(found)
    assert set(dropped) <= {"-", "\u2010"}
    assert set(Counter(found) - Counter("".join(line.text for line in page))) <= {" "}
