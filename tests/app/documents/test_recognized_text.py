"""Words on a picture become lines and characters with places, whichever way the page lies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.page_lines import Line
from app.documents.recognized_text import Box, RecognizedPage, Word, recognized_page, settle_sizes

WIDTH, HEIGHT, SCALE = 600, 800, 2.0
# Pixels that a letter of the words below is wide, and type of size 20 reaches above and below its baseline.
LETTER, TALL, X_HEIGHT, DEEP = 10, 0.68, 0.45, 0.21


def word(line: int, text: str, left: int, baseline: int, *, size: float = 20, **changes: Any) -> Word:
    """A word set in type of a size, as wide as it has letters."""
    top = baseline - round(size * (X_HEIGHT if set(text) <= set("acemnorsuvwxzgpqy") else TALL))
    bottom = baseline + round(size * (DEEP if set(text) & set("gjpqy") else 0))
    box = Box(left, top, left + LETTER * len(text), bottom)
    return replace(Word(line, box, ink=len(text) * 40, confidence=95.0, text=text), **changes)


def line(number: int, text: str, left: int, baseline: int, **changes: Any) -> list[Word]:
    """Words beside each other with a space between them."""
    words = []
    for part in text.split():
        words.append(word(number, part, left, baseline, **changes))
        left += LETTER * (len(part) + 1)
    return words


def turned(box: Box, turn: int, width: int, height: int) -> Box:
    """The box on a picture of an upright page that was laid down by quarter turns to the right."""
    for _ in range(turn):
        box = Box(height - box.bottom, box.left, height - box.top, box.right)
        width, height = height, width
    return box


def page(words: list[Word], turn: int = 0) -> RecognizedPage:
    laid = [replace(word, box=turned(word.box, turn, WIDTH, HEIGHT)) for word in words]
    width, height = (HEIGHT, WIDTH) if turn % 2 else (WIDTH, HEIGHT)
    return recognized_page(width, height, SCALE, laid)


TEXT = [
    *line(1, "the first line goes", 40, 100),
    *line(2, "on in the next one", 40, 130),
    *line(3, "and ends", 60, 160),
]


@pytest.mark.parametrize("turn", range(4))
def test_lines_are_those_of_the_upright_page(turn: int) -> None:
    lines = page(TEXT, turn).lines
    assert [found.text for found in lines] == ["the first line goes", "on in the next one", "and ends"]
    assert [found.x for found in lines] == [20, 20, 30]
    assert [found.y for found in lines] == pytest.approx([350, 335, 320], abs=0.5)
    assert [found.size for found in lines] == pytest.approx([10, 10, 10], abs=0.5)


@pytest.mark.parametrize("turn", range(4))
def test_characters_lie_where_they_are_seen(turn: int) -> None:
    characters = page(TEXT, turn).characters
    assert characters.text == "the first line goes\non in the next one\nand ends\n"
    width, height = (HEIGHT, WIDTH) if turn % 2 else (WIDTH, HEIGHT)
    pixels = characters.boxes * [width, height, width, height]
    at = characters.text.index("line")
    for number in range(4):
        upright = Box(140 + LETTER * number, 86, 150 + LETTER * number, 100)
        assert pixels[at + number] == pytest.approx(turned(upright, turn, WIDTH, HEIGHT), abs=0.01)
    areas = (pixels[:, 2] - pixels[:, 0]) * (pixels[:, 3] - pixels[:, 1])
    assert [not character.isspace() for character in characters.text] == (areas > 0).tolist()


def test_sizes_do_not_depend_on_the_letters() -> None:
    words = ["on", "no", "type", "quay", "Ill", "sum", "bold", "gang"]
    lines = page([word(number, text, 40, 40 * number) for number, text in enumerate(words, 1)]).lines
    assert [found.size for found in lines] == pytest.approx([10.0] * len(words), rel=0.05)
    assert [found.y for found in lines] == pytest.approx([400 - 20.0 * n for n in range(1, 9)], abs=0.5)


def test_heavy_strokes_are_bold() -> None:
    heavy = [replace(found, ink=round(1.4 * found.ink)) for found in line(4, "Heading", 40, 60)]
    small = line(5, "a small note that stands below", 40, 700, size=14)
    assert [found.bold for found in page([*heavy, *TEXT, *small]).lines] == [True, False, False, False, False]


def test_settled_sizes_are_those_of_body_and_headings() -> None:
    sizes = [14.6, 10.3, 9.8, 10.0, 10.2, 15.5, 9.9, 8.1, 7.6]
    pages = [[Line("x" * 50, size=size) for size in sizes], [Line("x" * 50, size=10.1)]]
    settled = [found.size for page in settle_sizes(pages) for found in page]
    body = settled[-1]
    assert [size == body for size in settled] == [9.5 < size < 10.5 for size in [*sizes, 10.1]]
    assert settled[0] == settled[5]
    assert settled[7] == settled[8]


def test_dirt_at_the_ends_of_lines_is_left_out() -> None:
    text = TEXT[:4]
    dirt = [
        replace(text[0], text="=", confidence=40),
        replace(text[0], text="|", confidence=10),
        *text,
        replace(text[-1], text="ee", confidence=24),
        replace(text[-1], text="_", confidence=5),
    ]
    assert [found.text for found in page(dirt).lines] == ["the first line goes"]


@pytest.mark.parametrize(
    ("text", "confidence", "kept"),
    [("Uzendoorn", 12, True), ("of", 55, True), (";", 90, True), ("a", 30, False)],
)
def test_words_that_may_be_real_are_kept(text: str, confidence: float, kept: bool) -> None:
    last = replace(TEXT[3], text=text, confidence=confidence)
    assert page([*TEXT[:3], last]).lines[0].text.endswith(" " + text) == kept


def test_pictures_read_as_letters_are_left_out() -> None:
    found = page([*TEXT, *line(4, "wmdTO nwmo oO z", 40, 400, confidence=25.0)])
    assert len(found.lines) == 3
    assert "wmdTO" not in found.characters.text


def test_a_page_without_words() -> None:
    found = page([])
    assert found.lines == []
    assert found.characters.text == ""
    assert found.characters.boxes.shape == (0, 4)
    assert settle_sizes([[]]) == [[]]


@st.composite
def any_words(draw: st.DrawFn) -> list[Word]:
    words = []
    for _ in range(draw(st.integers(0, 12))):
        left, top = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
        box = Box(left, top, draw(st.integers(left, WIDTH)), draw(st.integers(top, HEIGHT)))
        ink, confidence = draw(st.integers(0, 10_000)), draw(st.floats(0, 100))
        words.append(Word(draw(st.integers(1, 4)), box, ink, confidence, draw(st.text(max_size=8))))
    return words


@settings(deadline=None)
@given(any_words())
def test_whatever_was_seen_every_character_has_a_box_on_the_page(words: list[Word]) -> None:
    found = recognized_page(WIDTH, HEIGHT, SCALE, words)
    boxes = found.characters.boxes
    assert boxes.shape == (len(found.characters.text), 4)
    assert boxes.dtype == np.float32
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[:, 0] <= boxes[:, 2]).all()
    assert (boxes[:, 1] <= boxes[:, 3]).all()
    assert found.characters.text == "".join(f"{row.text}\n" for row in found.lines)
    assert all(row.text and np.isfinite([row.x, row.y, row.size]).all() for row in found.lines)
    settled = settle_sizes([found.lines])
    assert [row.text for row in settled[0]] == [row.text for row in found.lines]
