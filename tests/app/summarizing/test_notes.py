from __future__ import annotations

import numpy as np
import pytest

from app.documents import Document, Page
from app.summarizing.notes import page_list, pages_of, reading_notes

DOCUMENT = Document(
    "x.pdf", "X", "a" * 100, (Page(1, 0, 40), Page(2, 40, 40), Page(4, 40, 90), Page(5, 90, 100)), None, ()
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


def _notes(**changes: object) -> str:
    values = {
        "windows": 1,
        "max_input_tokens": 4096,
        "tokens_read": 3000,
        "tokens_cut": 0,
        "pages_cut": (),
        "end_read": False,
        "reference_tokens": 0,
        "reference_pages": (),
        "repeats_dropped": 0,
        "ends_early": False,
    }
    notes = reading_notes(**{**values, **changes})
    assert all(note.endswith((".", ").")) and "\n" not in note for note in notes)
    return " ".join(notes)


def test_everything_left_out_is_said() -> None:
    assert _notes() == "All 3,000 tokens of the text were read."
    cut = _notes(tokens_read=4095, tokens_cut=905, pages_cut=(4, 5))
    assert "first 4,095 of 5,000 tokens" in cut and "last 905" in cut and "pages 4 to 5" in cut
    assert "All" not in cut.split()
    middle = _notes(tokens_read=4095, tokens_cut=905, pages_cut=(4,), end_read=True)
    assert "the beginning and the end were read, 4,095 of 5,000 tokens; the 905 between" in middle
    references = _notes(reference_tokens=1234, reference_pages=(9,))
    assert "reference list on page 9 was left out (1,234 tokens)" in references
    windows = _notes(windows=3, tokens_read=9000)
    assert "3 overlapping windows" in windows and "4,096" in windows
    assert "One sentence" in _notes(repeats_dropped=1) and "3 sentences" in _notes(repeats_dropped=3)
    assert "The summary was cut off" in _notes(ends_early=True)
    assert "A part of the summary was cut off" in _notes(windows=2, ends_early=True)
