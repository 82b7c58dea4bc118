from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.page_lines import Line, without_furniture

BODY = (
    "We describe a method that reads long papers.",
    "It attends to what is near and to summaries of the rest.",
    "Experiments on three corpora show that it works.",
    "The cost grows with the length of the text only.",
    "All code and all models are made available.",
    "A discussion of what remains to be done ends the paper.",
    "There is more to say about every one of these points.",
    "None of it would change what we found in the end.",
)


def page(*texts: str, top: float = 700, first: float | None = None, last: float | None = None) -> list[Line]:
    """Lines 12 points apart; the first and last may stand at heights of their own."""
    lines = [Line(text, 72, top - 12 * number, 10) for number, text in enumerate(texts)]
    if first is not None:
        lines[0] = Line(texts[0], 72, first, 9)
    if last is not None:
        lines[-1] = Line(texts[-1], 300, last, 9)
    return lines


def texts(pages: list[list[Line]]) -> list[list[str]]:
    return [[line.text for line in page] for page in pages]


def body(number: int) -> list[str]:
    """Different words on every page, as in any text."""
    return [" ".join([*words[number:], *words[:number]]) for words in map(str.split, BODY)]


def test_running_heads_and_page_numbers_go() -> None:
    pages = [page("Journal of Tests 12 (2020)", *body(n), str(n + 340), first=760, last=40) for n in range(6)]
    assert texts(without_furniture(pages)) == [body(n) for n in range(6)]


def test_odd_and_even_heads_and_those_of_chapters_go() -> None:
    heads = [
        "LONG PAPERS",
        "A. Author",
        "LONG PAPERS",
        "A. Author",
        "LONG PAPERS",
        "A. Author",
        "5 Conclusions",
        "A. Author",
    ]
    pages = [page(f"{n} {head}", *body(n), first=760) for n, head in enumerate(heads, 1)]
    assert texts(without_furniture(pages)) == [body(n) for n in range(1, 9)]


@pytest.mark.parametrize("number", ["{}", "Page {}", "- {} -", "Page {} of 12", "{}/12", "Seite {}"])
def test_page_numbers_in_many_clothes(number: str) -> None:
    pages = [page(*body(n), number.format(n), last=40) for n in range(1, 4)]
    assert texts(without_furniture(pages)) == [body(n) for n in range(1, 4)]


def test_page_number_that_is_not_the_lowest_line_goes() -> None:
    """A figure has coordinates of its own; the number is the last line of the page all the same."""
    pages = []
    for n in range(1, 5):
        lines = page(*body(n), str(n), last=40)
        lines[2:2] = [Line(f"label {n}{letter}", 2, 20 - number, 8) for number, letter in enumerate("abcd")]
        pages.append(lines)
    assert all("label" in left[2] and not left[-1].isdecimal() for left in texts(without_furniture(pages)))


def test_numbers_of_a_table_stay() -> None:
    pages = [page(*body(1)), page("12", "15", "17", "19"), page(*body(3))]
    assert texts(without_furniture(pages))[1] == ["12", "15", "17", "19"]


@pytest.mark.parametrize("form", ["{number} {text}", "{text} {number}"])
@pytest.mark.parametrize("step", [1, 5])
def test_line_numbers_of_manuscripts_go(form: str, step: int) -> None:
    lines = []
    for number in range(88, 113):
        text = f"the year 19{number % 50 + 10} was a year like others"
        lines.append(form.format(number=number, text=text) if number % step == 0 else text)
    left = without_furniture([page(*lines), page(*body(1))])[0]
    assert [line.text for line in left] == [
        f"the year 19{number % 50 + 10} was a year like others" for number in range(88, 113)
    ]


def test_line_numbers_in_the_margin_go() -> None:
    lines = []
    for number, text in enumerate(BODY, 1):
        lines += [Line(text, 72, 700 - 12 * number, 10), Line(str(number), 40, 700 - 12 * number, 10)]
    assert texts(without_furniture([lines])) == [list(BODY)]


def test_numbered_lists_stay() -> None:
    items = [
        line
        for number, text in enumerate(BODY, 1)
        for line in (f"{number} {text}", "and more of the same item")
    ]
    assert texts(without_furniture([page(*items)])) == [items]


def test_document_that_repeats_itself_stays() -> None:
    pages = [page("attention", "attention", "attention") for _ in range(5)]
    assert texts(without_furniture(pages)) == texts(pages)


coordinates = st.floats(-1000, 1000)
any_line = st.builds(
    Line, st.text(min_size=1, max_size=20), coordinates, coordinates, st.floats(0, 30), st.booleans()
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(any_line, max_size=12), max_size=6))
def test_nothing_is_added_or_moved(pages: list[list[Line]]) -> None:
    result = without_furniture(pages)
    assert len(result) == len(pages)
    for before, after in zip(pages, result, strict=True):
        others = iter(before)
        assert all(any(line.text in other.text for other in others) for line in after)


def test_dotless_i_is_no_roman_number() -> None:
    pages = [page(*body(n), "ı", last=40) for n in range(1, 4)]
    assert without_furniture(pages)


def test_a_notice_of_many_lines_on_every_page_goes() -> None:
    notice = [f"Line {number} of a notice, which says that no one has looked at this." for number in "abcdef"]
    pages = [
        [*page(*body(number)), *(Line(text, 90, 90 - 9 * row, 7) for row, text in enumerate(notice))]
        for number in range(4)
    ]
    assert texts(without_furniture(pages)) == [body(number) for number in range(4)]


def test_a_stamp_in_the_middle_of_every_page_goes() -> None:
    pages = [page(*body(number)) for number in range(4)]
    for lines in pages:
        lines.insert(4, Line("32S 33R", 300, 651.5, 10))
    assert texts(without_furniture(pages)) == [body(number) for number in range(4)]


def test_captions_at_one_height_stay() -> None:
    pages = [page(*body(number)) for number in range(4)]
    for number, lines in enumerate(pages):
        lines.insert(4, Line(f"Figure {number}: What was measured", 72, 651.5, 10))
    assert sum("Figure" in line for lines in texts(without_furniture(pages)) for line in lines) == 4
