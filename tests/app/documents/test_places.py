"""Passages are found where they stand on the page: read by one library, drawn by another, held against each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents import (
    Document,
    Page,
    PageCharacters,
    PageImages,
    Place,
    find_places,
    find_words,
    position_at,
    read,
    undivided,
)
from app.documents.places import CharactersOf
from app.documents.text_alignment import fold
from tests.app import pdf_files
from tests.app.pdf_files import lines, pdf_of, show, write

WORDS = (
    "attention is computed within blocks of tokens so that memory grows linearly with length while summaries of every "
    "block are seen by all the others which lets distant parts of a long paper reach each other in one layer"
).split()
LEFT = [f"{a} {b} left {c} x{n}" for n, (a, b, c) in enumerate(zip(WORDS, WORDS[7:], WORDS[13:]))][:24]
RIGHT = [f"{a} {b} right {c} x{n}" for n, (a, b, c) in enumerate(zip(WORDS[3:], WORDS[2:], WORDS[11:]), 50)][
    :24
]


@contextmanager
def opened(path: Path) -> Iterator[tuple[Document, CharactersOf]]:
    with PageImages(path) as images:
        yield read(path), images.characters


def shown(place: Place, characters: PageCharacters) -> str:
    """The letters and digits in the rectangles of a place, sorted: lines of turned pages come in any order."""
    x = (characters.boxes[:, 0] + characters.boxes[:, 2]) / 2
    y = (characters.boxes[:, 1] + characters.boxes[:, 3]) / 2
    inside = np.zeros(len(x), bool)
    for left, top, right, bottom in place.rectangles:
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        inside |= (left < x) & (x < right) & (top < y) & (y < bottom)
    return letters("".join(character for character, is_in in zip(characters.text, inside) if is_in))


def letters(text: str) -> str:
    return "".join(sorted(fold(text).text))


def assert_found(
    document: Document, passage: str, characters_of: CharactersOf, rectangles: int | None = None
) -> Place:
    """The passage is found on one page, all of it and nothing else, and clicks on it lead back."""
    start = document.text.index(passage)
    end = start + len(passage)
    (place,) = find_places(document, start, end, characters_of)
    characters = characters_of(place.page)
    assert characters is not None
    assert place.exact
    assert place.page == document.page_of(start)
    assert shown(place, characters) == letters(passage)
    if rectangles is not None:
        assert len(place.rectangles) == rectangles
    for left, top, right, bottom in place.rectangles:
        for share in (0.01, 0.5, 0.99):
            x, y = left + share * (right - left), (top + bottom) / 2
            position = position_at(document, place.page, x, y, characters)
            assert position is not None
            assert start <= position < end
    return place


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"/Rotate 90",
        b"/Rotate 180",
        b"/Rotate 270 /CropBox [60 300 590 760]",
        b"/CropBox [60 300 590 760]",
    ],
)
def test_two_columns(page: bytes, tmp_path: Path) -> None:
    content = (
        show("Running title", 250, 750) + lines(*LEFT, x=72) + lines(*RIGHT, x=320) + show("17", 300, 310)
    )
    with opened(write(tmp_path, pdf_of([content], page=page))) as (document, characters_of):
        for count in (1, 3):
            for column in (LEFT, RIGHT):
                place = assert_found(document, " ".join(column[4 : 4 + count]), characters_of, count)
                # Lines are long and low, or high and narrow where the page is turned.
                left, top, right, bottom = place.rectangles[0]
                assert (right - left > bottom - top) == (
                    b"/Rotate 90" not in page and b"/Rotate 270" not in page
                )
        assert_found(document, f"{LEFT[-1]} {RIGHT[0]}", characters_of, 2)
        characters = characters_of(1)
        assert characters is not None
        left, top, right, bottom = characters.boxes[characters.text.rindex("17")]
        assert position_at(document, 1, (left + right) / 2, (top + bottom) / 2, characters) is None


def test_hyphens_ligatures_and_signs(tmp_path: Path) -> None:
    """Lines with glyphs that are called /fi, a broken word, signs at both ends."""
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        4: pdf_files.stream(
            b"BT /F1 10 Tf 1 0 0 1 72 700 Tm (Here we say it: \\(the de\\001nition of an atten-) Tj"
            b" 0 -12 Td (tion matrix is e\\002cient.\\) Another sentence follows.) Tj ET"
        ),
        5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding << /Type /Encoding"
        b" /BaseEncoding /WinAnsiEncoding /Differences [1 /fi /ffi] >> >>",
    }
    with opened(write(tmp_path, pdf_files.pdf(objects))) as (document, characters_of):
        passage = "(the definition of an attention matrix is efficient.)"
        place = assert_found(document, passage, characters_of, 2)
        characters = characters_of(1)
        assert characters is not None
        for sign in "()":
            left, top, right, bottom = characters.boxes[characters.text.index(sign)]
            assert any(
                box[0] <= left and right <= box[2] and box[1] <= (top + bottom) / 2 <= box[3]
                for box in place.rectangles
            )


def test_numbers_of_lines_in_the_margin(tmp_path: Path) -> None:
    texts = [f"{a} {b} {c} {d} in line" for a, b, c, d in zip(WORDS, WORDS[5:], WORDS[9:], WORDS[1:])]
    content = b"".join(
        show(text, 100, 700 - 20 * number) + show(str(101 + number), 60, 700 - 20 * number)
        for number, text in enumerate(texts)
    )
    with opened(write(tmp_path, pdf_of([content]))) as (document, characters_of):
        assert_found(document, " ".join(texts[3:6]), characters_of, 3)


def test_passage_across_pages(tmp_path: Path) -> None:
    first, second = [f"{line} and" for line in LEFT], RIGHT
    with opened(write(tmp_path, pdf_of([lines(*first), lines(*second)]))) as (document, characters_of):
        passage = f"{first[-1]} {second[0]}"
        start = document.text.index(passage)
        places = find_places(document, start, start + len(passage), characters_of)
        assert [place.page for place in places] == [1, 2]
        assert all(place.exact and len(place.rectangles) == 1 for place in places)
        only_second = find_places(
            document, start, start + len(passage), lambda page: characters_of(page) if page == 2 else None
        )
        assert only_second == places[1:]


def test_turned_text_on_an_upright_page(tmp_path: Path) -> None:
    content = b"".join(
        b"BT /F1 10 Tf 0 1 -1 0 %d 72 Tm (%s) Tj ET\n" % (100 + 12 * number, line.encode())
        for number, line in enumerate(LEFT)
    )
    with opened(write(tmp_path, pdf_of([content]))) as (document, characters_of):
        place = assert_found(document, f"{LEFT[2]} {LEFT[3]}", characters_of, 2)
        left, top, right, bottom = place.rectangles[0]
        assert bottom - top > right - left


def test_what_is_not_on_the_page(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([lines(*LEFT)]))
    with opened(path) as (document, characters_of):
        characters = characters_of(1)
        assert characters is not None
        text = "Something else entirely, quizzical and foxy: 123."
        other = Document("b.pdf", "B", text, (Page(1, 0, len(text)),), undivided(text), ())
        assert find_places(other, 0, len(text), characters_of) == ()
        assert find_places(document, 5, 5, characters_of) == ()
        assert find_places(document, 0, len(document.text), lambda page: None) == ()
        empty = PageCharacters("", np.zeros((0, 4), np.float32))
        assert find_places(document, 0, len(document.text), lambda page: empty) == ()
        assert position_at(document, 1, 0.5, 0.5, empty) is None
        assert position_at(document, 1, 0.9, 0.9, characters) is None
        assert position_at(document, 2, 0.15, 0.12, characters) is None


def test_part_of_a_passage(tmp_path: Path) -> None:
    """What the other library does not see is left out, and the place says that it is not exact."""
    with opened(write(tmp_path, pdf_of([lines(*LEFT)]))) as (document, characters_of):
        characters = characters_of(1)
        assert characters is not None
        start = document.text.index(LEFT[5])
        end = start + len(LEFT[5])
        half = characters.text.index(LEFT[5]) + len(LEFT[5]) // 2
        cut = PageCharacters(characters.text[:half], characters.boxes[:half])
        (place,) = find_places(document, start, end, lambda page: cut)
        assert not place.exact
        assert shown(place, cut) == letters(characters.text[half - len(LEFT[5]) // 2 : half])


def test_words_that_are_searched_have_places(tmp_path: Path) -> None:
    with opened(
        write(tmp_path, pdf_of([lines("One exam-", "ple of words."), lines("Another example.")]))
    ) as (
        document,
        characters_of,
    ):
        places = [
            find_places(document, *found, characters_of) for found in find_words(document, "EXAMPLE", 9)
        ]
        assert [[place.page for place in found] for found in places] == [[1], [2]]
        assert [len(found[0].rectangles) for found in places] == [2, 1]


PARAGRAPHS = st.lists(st.lists(st.sampled_from(WORDS), min_size=8, max_size=20), min_size=1, max_size=6)


def grid(page_lines: list[str]) -> PageCharacters:
    """Lines of characters of one size, each line with a line end that is not drawn."""
    text, boxes = "", []
    for row, line in enumerate(page_lines):
        for column, character in enumerate(line + "\n"):
            text += character
            left, top = column * 0.008, row * 0.03
            boxes.append((left, top, left + 0.008 * (character != "\n"), top + 0.02))
    return PageCharacters(text, np.array(boxes, np.float32).reshape(-1, 4))


@settings(max_examples=40, deadline=None)
@given(PARAGRAPHS, st.data())
def test_places_of_any_layout(paragraphs: list[list[str]], data: st.DataObject) -> None:
    """Paragraphs in any order, with furniture between: rectangles are on the page, one a line, and clicks lead back."""
    named = [" ".join(f"{'xyzuvw'[n]}{word}" for word in words) for n, words in enumerate(paragraphs)]
    text = "\n".join(named)
    rows = [
        line for number in data.draw(st.permutations(range(len(named)))) for line in wrapped(named[number])
    ]
    characters = grid(["Furniture 99", *rows])
    document = Document("a.pdf", "A", text, (Page(1, 0, len(text)),), undivided(text), ())
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    places = find_places(document, start, end, lambda page: characters)
    if fold(text[start:end]).text:
        (place,) = places
        assert place.exact
        tops = [round(rectangle[1], 4) for rectangle in place.rectangles]
        assert len(set(tops)) == len(tops)
        assert shown(place, characters) == letters(text[start:end])
    else:
        assert places == ()


def wrapped(paragraph: str, width: int = 60) -> list[str]:
    return [paragraph[start : start + width] for start in range(0, len(paragraph), width)]
