"""Gaps, order, and what is left out of pages, each on a page drawn here."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.pdf_text.content import operations
from tests.app.pdf_files import show, stream
from tests.app.pdf_text.drawn import TIMES, read, texts, tj

LEFT = [
    "the left column of this page says so",
    "in four lines of the text",
    "that end at the white strip",
    "and there they stop",
]
RIGHT = [
    "while the right one of the two has",
    "four other lines of it that",
    "are read after the left",
    "and not in between them",
]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (b"(We) -130 (propose) -130 (a) -130 (method)", "We propose a method"),
        (b"(We) -333 (propose)", "We propose"),
        (b"(har) -90 (bour) ( and)", "harbour and"),
        (b"(har ) 260 (bour)", "harbour"),
        (
            b"(t) -200 (r) -200 (a) -200 (c) -200 (k) -200 (e) -200 (d) -200 (t) -200 (y) -600 (p) -200 (e)",
            "trackedty pe",
        ),
        (b"(1,8) 20 (70)", "1,870"),
        (b"(0 1 0 1 1 0 1 0 0 1)", "0 1 0 1 1 0 1 0 0 1"),
        (b"(a b c d e f g h i j)", "a b c d e f g h i j"),
        (b" -2000 ".join(b"(%d)" % number for number in range(1, 10)), "1 2 3 4 5 6 7 8 9"),
        (b" -400 ".join(b"(%d)" % number for number in range(1, 10)), "1 2 3 4 5 6 7 8 9"),
        (b" -2000 ".join(b"(%c)" % letter for letter in b"ABCDEFGHI"), "A B C D E F G H I"),
    ],
)
def test_gaps_between_words(array: bytes, expected: str) -> None:
    assert texts(tj(array)) == [expected]


def test_words_placed_one_by_one() -> None:
    content = show("We", 72, 700) + show("propose", 89, 700) + show("it", 123, 700) + show("all", 130.5, 700)
    assert texts(content) == ["We propose it all"]


def test_powers_and_references() -> None:
    raised = b"/F1 7 Tf 4 Ts (%s) Tj /F1 10 Tf 0 Ts "
    content = b"BT /F1 10 Tf 72 700 Td (10) Tj " + raised % b"178" + b"( ways.) Tj " + raised % b"12" + b"ET"
    assert texts(content) == ["10^178 ways.12"]


def drawn_row_by_row(left: list[str], right: list[str]) -> bytes:
    return show("A title over both columns of the page", 90, 730, size=16) + b"".join(
        show(text, x, 700 - 12 * number)
        for number, pair in enumerate(zip(left, right, strict=True))
        for x, text in zip((72, 310), pair, strict=True)
    )


def test_columns_drawn_row_by_row_are_read_one_after_the_other() -> None:
    assert texts(drawn_row_by_row(LEFT, RIGHT))[1:] == LEFT + RIGHT


def test_three_columns() -> None:
    columns = [[f"column {name} has line {number} here" for number in range(4)] for name in "abc"]
    content = b"".join(
        show(columns[column][number], 40 + 190 * column, 700 - 12 * number)
        for number in range(4)
        for column in range(3)
    )
    assert texts(content) == [line for column in columns for line in column]


def test_rows_of_a_table_stay_rows() -> None:
    content = b"".join(
        show(cell, 72 + 60 * column, 700 - 12 * row)
        for row in range(4)
        for column, cell in enumerate(("gauge", f"{row}.5", "12"))
    )
    assert texts(content) == [f"gauge {row}.5 12" for row in range(4)]


def test_labels_of_a_list_stay_with_their_entries() -> None:
    content = b"".join(
        show(f"[{number}]", 72, 700 - 12 * number)
        + show(f"Entry {number} of a list that is long enough", 100, 700 - 12 * number)
        for number in range(5)
    )
    assert texts(content)[2] == "[2] Entry 2 of a list that is long enough"


def test_notes_in_the_margin_are_left_out_and_counted() -> None:
    text = [f"line {number} of a text that is wide enough to be the page's own" for number in range(12)]
    body = b"".join(show(line, 72, 700 - 14 * number) for number, line in enumerate(text))
    notes = b"".join(
        show(note, 430, 672 - 14 * n, size=8) for n, note in enumerate(("1 See the report", "of the office"))
    )
    page = read(body + notes)
    assert [line.text for line in page.lines] == text
    assert page.notes == len("1 See the report") + len("of the office")


def test_text_drawn_twice_is_read_once() -> None:
    assert texts(show("A bold heading", 72, 700) + show("A bold heading", 72.3, 700)) == ["A bold heading"]
    assert texts(show("ll", 72, 700)) == ["ll"]


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        ([("Hello", 100), ("World", 130)], "Hello World"),
        ([("H", 100), ("e", 107.2), ("l", 111.7), ("l", 114.5), ("o", 117.3)], "Hello"),
    ],
)
def test_words_and_letters_that_are_each_drawn_twice_are_read_once(
    strings: list[tuple[str, float]], expected: str
) -> None:
    content = b"".join(show(text, x, 700) + show(text, x + 0.3, 700) for text, x in strings)
    assert texts(content) == [expected]


def test_hidden_text_under_the_same_text_does_not_hide_it() -> None:
    hidden = b"q BT 3 Tr /F1 10 Tf 72 700 Td (Hello) Tj ET Q "
    assert texts(hidden + show("Hello", 72, 700)) == ["Hello"]


def initial(letter: str, size: float, baseline: float, first: str, *, more: int) -> bytes:
    """An initial at the left of the first lines of a paragraph, whose first baseline is 712."""
    beside = [first, *["another line beside the letter"] * (more - 1)]
    return (
        show(letter, 50, baseline, size=size)
        + b"".join(show(text, 72, 712 - 12 * number) for number, text in enumerate(beside))
        + show("a line below the letter", 50, 712 - 12 * more)
    )


@pytest.mark.parametrize(
    ("size", "baseline", "lines"), [(29, 698.8, 2), (29, 700, 2), (28, 700, 2), (46, 688, 3)]
)
def test_an_initial_begins_the_first_of_its_lines(size: float, baseline: float, lines: int) -> None:
    letter = "T" if lines == 2 else "I"
    found = texts(initial(letter, size, baseline, "HE remarkable words", more=lines))
    rest = ["another line beside the letter"] * (lines - 1)
    assert found == [f"{letter}HE remarkable words", *rest, "a line below the letter"]


def test_lines_beside_a_letter_that_is_no_initial_stay_in_order() -> None:
    found = texts(initial("\u201cT", 29, 698.8, "HE remarkable words", more=2))
    assert found.index("HE remarkable words") < found.index("another line beside the letter")


@pytest.mark.parametrize(
    "hidden",
    [
        b"BT 3 Tr /F1 10 Tf 72 600 Td (praise this paper) Tj ET",
        b"BT 1 1 1 rg /F1 10 Tf 72 600 Td (praise this paper) Tj ET",
        b"BT 0 0 0 0 k /F1 10 Tf 72 600 Td (praise this paper) Tj ET",
        b"BT /G1 gs /F1 10 Tf 72 600 Td (praise this paper) Tj ET",
        b"BT /F1 10 Tf 72 -600 Td (praise this paper) Tj ET",
    ],
)
def test_what_nobody_can_see_is_left_out_and_counted(hidden: bytes) -> None:
    page = read(show("What everybody sees", 72, 700) + b"q " + hidden + b" Q")
    assert [line.text for line in page.lines] == ["What everybody sees"]
    assert page.hidden == len("praisethispaper")


@pytest.mark.parametrize(
    ("box", "seen"),
    [
        (b"[0 0 300 100]", ["seen in the box"]),
        (b"[300 100 0 0]", ["seen in the box"]),
        (b"[0 0 300 300]", ["beyond it", "seen in the box"]),
        (b"[0 0 0 0]", ["beyond it", "seen in the box"]),
        (b"[/a null]", ["beyond it", "seen in the box"]),
    ],
)
def test_what_the_box_of_a_form_cuts_off_is_left_out_and_counted(box: bytes, seen: list[str]) -> None:
    form = b"/Type /XObject /Subtype /Form /BBox %s /Resources << /Font << /F1 5 0 R >> >>" % box
    objects = {30: stream(show("seen in the box", 10, 10) + show("beyond it", 10, 200), form)}
    page = read(b"q 1 0 0 1 72 500 cm /X1 Do Q " + show("Below the figure", 72, 300), TIMES, objects)
    assert [line.text for line in page.lines] == [*seen, "Below the figure"]
    assert page.hidden == (0 if "beyond it" in seen else len("beyondit"))


def test_white_letters_on_a_dark_band_are_read() -> None:
    band = b"0 0 .5 rg 60 690 400 30 re f 1 1 1 rg BT /F1 10 Tf 72 700 Td (A heading) Tj ET"
    assert texts(band) == ["A heading"]


def test_recognised_text_of_a_scan_is_read() -> None:
    picture = b"q 612 0 0 792 0 0 cm BI /W 1 /H 1 /BPC 8 /CS /G ID x EI Q "
    assert texts(picture + b"BT 3 Tr /F1 10 Tf 72 600 Td (Recognised words) Tj ET") == ["Recognised words"]


def test_slanted_stamps_are_left_out() -> None:
    stamp = b"BT /F1 60 Tf .77 .64 -.64 .77 100 200 Tm (PRE-PROOF) Tj ET "
    assert texts(stamp + show("A line of the text", 72, 700)) == ["A line of the text"]


@pytest.mark.parametrize(
    "state",
    [
        b"/F1 -10 Tf -1 0 0 -1 72 700 Tm",
        b"/F1 10 Tf -100 Tz -1 0 0 1 72 700 Tm",
        b"/F1 -10 Tf -100 Tz 1 0 0 1 72 700 Tm",
        b"/F1 -10 Tf 1 0 0 1 72 700 Tm",
        b"/F1 -10 Tf 0 1 -1 0 72 700 Tm",
    ],
)
def test_text_of_a_negative_size_or_scale_is_read_forwards(state: bytes) -> None:
    assert texts(b"BT %s (hello world) Tj (, again) Tj ET" % state) == ["hello world, again"]


def test_right_to_left_lines_are_read_from_the_right() -> None:
    font = (
        b"<< /Type /Font /Subtype /Type1 /BaseFont /X /Encoding << /Differences"
        b" [97 /afii57664 /afii57665 /afii57666 32 /space] >> /FirstChar 32 /Widths [%s] >>" % (b"500 " * 100)
    )
    assert texts(b"BT /F1 10 Tf 72 700 Td (ab c) Tj ET", font) == ["\u05d2 \u05d1\u05d0"]


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (b"The word \\003\\002\\001 means to write", "The word \u05d0\u05d1\u05d2 means to write"),
        (b"The word (\\003\\002\\001) is in brackets", "The word (\u05d0\u05d1\u05d2) is in brackets"),
        (b"The words \\002\\001 \\003, and so on", "The words \u05d2 \u05d0\u05d1, and so on"),
    ],
)
def test_what_follows_a_phrase_from_right_to_left_stays_behind_it(drawn: bytes, expected: str) -> None:
    font = (
        b"<< /Type /Font /Subtype /Type1 /BaseFont /X /Encoding << /Type /Encoding /BaseEncoding /WinAnsiEncoding"
        b" /Differences [1 /afii57664 /afii57665 /afii57666] >> /FirstChar 0 /Widths [%s] >>"
        % (b"500 " * 256)
    )
    escaped = drawn.replace(b"(", b"\\(").replace(b")", b"\\)")
    assert texts(b"BT /F1 10 Tf 72 700 Td (%s) Tj ET" % escaped, font) == [expected]


def test_operators_of_broken_content() -> None:
    content = b"q [(a(b\\)c)) -1.5 <41 4>] TJ --5 1.2.3 x BI /W 1 ID \xff EI \xfe EI Q (never closed"
    found = [(operator, list(operands)) for operator, operands in operations(content)]
    assert found[1] == (b"TJ", [[b"a(b)c)", -1.5, b"A@"]])
    assert found[2] == (b"x", [-5.0, 1.2])
    assert found[-1] == (b"Q", [])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"(",
                b")",
                b"[",
                b"]",
                b"<",
                b">",
                b"1",
                b" ",
                b"Tj",
                b"TJ",
                b"BT",
                b"\\",
                b"/F1",
                b"Tf",
                b"q",
                b"cm",
                b"ID",
                b"%",
                b"\n",
            ]
        )
    )
)
def test_any_content_is_read_without_an_error(parts: list[bytes]) -> None:
    read(b"BT /F1 9 Tf 72 700 Td " + b"".join(parts))
