from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents import Page, read
from app.documents.page_labels import page_labels
from app.documents.page_lines import Line
from tests.app.pdf_files import lines, pdf_of, write


def page(*texts: str) -> list[Line]:
    return [Line(text, y=700.0 - 12 * number) for number, text in enumerate(texts)]


TEXT = ("Some text stands here.", "And more of it.", "And the last of it.")


def test_stated_labels_come_first() -> None:
    pages = [page(*TEXT, str(number)) for number in (1, 2, 3)]
    assert page_labels(["i", "ii", "1"], pages) == ("i", "ii", "1")


def test_places_in_the_file_say_nothing_of_what_is_printed() -> None:
    pages = [page("Proceedings", *TEXT, str(number)) for number in (498, 499, 500)]
    assert page_labels(["1", "2", "3"], pages) == ("498", "499", "500")
    assert page_labels(None, pages) == ("498", "499", "500")


def test_roman_pages_before_the_others() -> None:
    pages = [
        page("A Title"),
        page(*TEXT, "ii"),
        page(*TEXT, "iii"),
        page(),
        *(page(*TEXT, str(n)) for n in (1, 2, 3)),
    ]
    assert page_labels(None, pages) == ("i", "ii", "iii", "iv", "1", "2", "3")


def test_numbers_at_the_ends_of_running_heads() -> None:
    pages = [
        page("Jane Doe 7", *TEXT),
        page("8 Journal of Things", *TEXT),
        page(*TEXT),
        page("Jane Doe 10", *TEXT),
    ]
    assert page_labels(None, pages) == ("7", "8", "9", "10")


def test_first_page_without_a_number() -> None:
    pages = [page("A Title", *TEXT), *(page(*TEXT, f"- {number} -") for number in (2, 3, 4))]
    assert page_labels(None, pages) == ("1", "2", "3", "4")
    pages = [page(*TEXT), page(*TEXT), *(page(*TEXT, str(number)) for number in (1, 2, 3))]
    assert page_labels(None, pages) == ("1", "2", "1", "2", "3")


def test_other_numbers_are_no_labels() -> None:
    pages = [page("Table 3", *TEXT, "17"), page("2018", *TEXT), page("2018", *TEXT, "4"), page(*TEXT)]
    assert page_labels(None, pages) == ("1", "2", "3", "4")


def test_stated_labels_may_be_too_few_too_long_or_empty() -> None:
    pages = [page(*TEXT) for _ in range(4)]
    assert page_labels(["iv", "x" * 13, "\u200b"], pages) == ("iv", "2", "3", "4")


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(st.none(), st.lists(st.text(st.characters(), max_size=15), max_size=8)),
    st.lists(st.lists(st.builds(Line, st.text(max_size=8), y=st.floats(0, 800)), max_size=6), max_size=8),
)
def test_every_page_has_a_short_label(stated: list[str] | None, pages: list[list[Line]]) -> None:
    labels = page_labels(stated, pages)
    assert len(labels) == len(pages)
    assert all(0 < len(label) <= 12 for label in labels)


def test_file_states_its_labels(tmp_path: Path) -> None:
    contents = [lines("One.", "Two."), lines("Three."), lines("Four.")]
    data = pdf_of(contents).replace(
        b"/Type /Catalog", b"/Type /Catalog /PageLabels << /Nums [0 << /S /r >> 2 << /S /D /St 7 >>] >>"
    )
    document = read(write(tmp_path, data))
    assert [each.label for each in document.pages] == ["i", "ii", "7"]


def test_broken_labels_of_a_file_are_none(tmp_path: Path) -> None:
    for labels in (b"7", b"<< /Nums [(x) 3 null] >>", b"<< /Kids [1 0 R 1 0 R] >>", b"<< /Nums 1 0 R >>"):
        data = pdf_of([lines("One."), lines("Two.")]).replace(
            b"/Type /Catalog", b"/Type /Catalog /PageLabels " + labels
        )
        document = read(write(tmp_path, data))
        assert [each.label for each in document.pages] == ["1", "2"]


def test_label_is_the_number_where_there_is_none() -> None:
    assert Page(3, 0, 1).label == "3"
    assert Page(3, 0, 1, "iv").label == "iv"
