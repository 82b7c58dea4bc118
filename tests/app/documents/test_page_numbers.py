from __future__ import annotations

import numpy as np
import pytest

from app.documents import Document, Page, undivided
from app.documents.page_numbers import page_list, page_numbers, pages_of

DOCUMENT = Document(
    "x.pdf",
    "X",
    "a" * 100,
    (Page(1, 0, 40), Page(2, 40, 40), Page(4, 40, 90), Page(5, 90, 100)),
    undivided("a" * 100),
    (),
)


@pytest.mark.parametrize(
    ("pages", "text"),
    [
        ([3], "page 3"),
        ([3, 4], "pages 3 to 4"),
        ([1, 4, 6, 7, 8], "pages 1, 4 and 6 to 8"),
    ],
)
def test_page_lists(pages: list[int], text: str) -> None:
    assert page_list(pages) == text


def test_pages_of_tokens() -> None:
    offsets = np.array([[0, 3], [39, 41], [40, 44], [89, 91]])
    assert pages_of(DOCUMENT, offsets) == (1, 4)
    assert pages_of(DOCUMENT, np.array([[90, 92]])) == (5,)
    assert pages_of(DOCUMENT, np.zeros((0, 2), dtype=np.int64)) == ()


def test_every_character_has_the_page_that_the_document_says() -> None:
    found = page_numbers(DOCUMENT, np.arange(100))
    assert found.tolist() == [DOCUMENT.page_of(character) for character in range(100)]
