from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.document import Section
from app.documents.page_lines import Line
from app.documents.running_text import RunningText, run_together
from app.documents.text_cleaning import clean_characters


def run(*pages: list[str], title: str | None = None) -> RunningText:
    lines = [
        [Line(text, 72, 700 - 12 * number, 10, False, "Times") for number, text in enumerate(page)]
        for page in pages
    ]
    return run_together(lines, title, fallback_title="paper.pdf", check=lambda: None)


def pieces(result: RunningText) -> list[str]:
    return [result.text[start:end] for start, end in result.page_ranges]


def test_pages_follow_each_other() -> None:
    result = run(["The first page ends here."], [], ["The third one too."])
    assert result.text == "The first page ends here.\nThe third one too."
    assert pieces(result) == ["The first page ends here.\n", "", "The third one too."]


def test_sentence_goes_on_over_a_page_break() -> None:
    assert pieces(run(["A sentence that is"], ["not over yet."])) == ["A sentence that is ", "not over yet."]


def test_word_goes_on_over_a_page_break() -> None:
    assert pieces(run(["A sentence with a repre-"], ["sentation."])) == [
        "A sentence with a repre",
        "sentation.",
    ]
    assert pieces(run(["A state-of-the-"], ["art method."])) == ["A state-of-the-", "art method."]


def test_reference_list_is_a_range_of_the_text() -> None:
    entries = [f"[{n}] J. Doe. A paper. Journal of Things, 12(3):45–67, 200{n}." for n in range(1, 7)]
    result = run(["A title of a paper", "Some text."], ["References", *entries])
    last = result.sections[-1]
    assert (last.heading, last.kind) == ("References", "references")
    assert result.text[last.start : last.end].startswith("References\n[1] J. Doe")
    assert last.end == len(result.text)


def test_no_pages() -> None:
    assert run() == RunningText("paper.pdf", "", (), (Section("", 0, 0),))
    assert run([], []).page_ranges == ((0, 0), (0, 0))


def test_check_can_stop_the_work() -> None:
    class Enough(Exception):
        pass

    def check() -> None:
        raise Enough

    with pytest.raises(Enough):
        run_together([[Line("text")]], None, fallback_title="", check=check)


any_line = st.builds(
    Line,
    st.one_of(
        st.text(st.characters(), max_size=40).map(clean_characters),
        st.sampled_from(["References", "[1] J. Doe. Paper, 2004.", "half-", "word"]),
    ),
    st.sampled_from([72.0, 82.0, 310.0]),
    st.sampled_from([700.0, 688.0, 676.0, 40.0]),
    st.sampled_from([0.0, 8.0, 10.0]),
    st.booleans(),
    st.sampled_from(["", "Times"]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(any_line, max_size=8), max_size=6), st.one_of(st.none(), st.text()))
def test_pages_and_sections_tile_the_text(pages: list[list[Line]], title: str | None) -> None:
    result = run_together(pages, title, fallback_title="paper.pdf", check=lambda: None)
    assert len(result.page_ranges) == len(pages)
    position = 0
    for start, end in result.page_ranges:
        assert start == position <= end
        position = end
    assert position == len(result.text)
    position = 0
    for section in result.sections:
        assert section.start == position <= section.end
        position = section.end
    assert position == len(result.text)
    result.text.encode("utf-8")
    assert result.title
