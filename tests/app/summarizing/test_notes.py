from __future__ import annotations

from app.summarizing.notes import reading_notes


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
