"""Which pages are pictures of their text: what is stamped on all of them is none."""

from __future__ import annotations

import pytest

from app.documents.page_lines import Line
from app.documents.scanned_pages import pages_without_text

TEXT = "A page of text has many lines of words. " * 10
STAMP = "This content downloaded from 10.1.2.{} on May 3"


def pages(*texts: str) -> list[list[Line]]:
    return [[Line(line) for line in text.split("\n") if line] for text in texts]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], []),
        ([TEXT, TEXT], []),
        ([TEXT, "", TEXT], [2]),
        (["", ""], [1, 2]),
        # A repository's cover, and stamps on what it covers.
        ([TEXT, *(STAMP.format(n) for n in range(5))], [2, 3, 4, 5, 6]),
        # One stamp in the margin of the first page.
        (["arXiv:hep-th/9901001v1 1 Jan 1999", "", ""], [1, 2, 3]),
        # Slides say little, and each something else.
        (["Welcome", "Our method", "What we found", ""], [4]),
        # A head and a page number stand on pages of text too.
        ([f"Journal of Things\n{TEXT}\n{n}" for n in range(4)], []),
        ([*(f"Journal of Things\n{TEXT}\n{n}" for n in range(4)), "Journal of Things\n5"], [5]),
    ],
)
def test_pages_without_text(texts: list[str], expected: list[int]) -> None:
    assert pages_without_text(pages(*texts), ()) == expected


def test_pages_that_failed_are_not_tried_again() -> None:
    assert pages_without_text(pages("", "", TEXT), {2: "time"}) == [1]
