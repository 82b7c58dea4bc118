from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents import Document, Page, Section
from app.models import ModelStore
from app.summarizing.plan import (
    LEAST_SECTION_TOKENS,
    PART_WORDS,
    SECTION_WORDS,
    Plan,
    estimated_cost,
    make_plan,
)
from app.summarizing.settings import LENGTHS, SummaryError, SummarySettings
from tests.app.factories import paragraphs


def document(*sections: tuple[str, str, int]) -> Document:
    """Heading, kind and number of paragraphs of each section."""
    text, parts = "", []
    for number, (heading, kind, count) in enumerate(sections):
        start = len(text)
        text += "\n".join([heading, *paragraphs(count, seed=number)]).strip("\n") + "\n"
        parts.append(Section(heading, start, len(text), kind))  # type: ignore[arg-type]
    middle = len(text) // 2
    return Document("x.pdf", "X", text, (Page(1, 0, middle), Page(2, middle, len(text))), tuple(parts), ())


PAPER = document(
    ("", "front", 1),
    ("Abstract", "body", 3),
    ("1 Introduction", "body", 6),
    ("2 Methods", "body", 9),
    ("", "front", 1),  # a footnote in the middle of it
    ("", "body", 3),
    ("3 A note", "body", 0),
    ("Funding", "back", 1),
    ("References", "references", 4),
)


def plan(store: ModelStore, paper: Document = PAPER, **changes: object) -> Plan:
    with store.use("tiny") as loaded:
        return make_plan(paper, SummarySettings(model="tiny", **changes), loaded.tokenizer, 0)


def test_the_whole_paper_is_read_without_what_surrounds_it(store: ModelStore) -> None:
    made = plan(store)
    (window,) = made.windows
    assert made.merged is None and len(made.text) == len(made.whole)
    summary, *sections = window.pieces
    assert (summary.kind, summary.name, summary.end) == ("summary", "the paper", len(made.text))
    assert [piece.heading for piece in sections] == ["1 Introduction", "2 Methods"]
    covered = PAPER.text[made.text.offsets[0, 0] : made.text.offsets[-1, 1]]
    assert covered.startswith("Abstract")
    read = {start for start, _ in made.text.offsets.tolist()}
    for section in PAPER.sections:
        inside = any(section.start <= start < section.end for start in read)
        assert inside == (section.kind == "body")


def test_a_section_goes_on_after_what_interrupts_it(store: ModelStore) -> None:
    made = plan(store)
    methods = made.windows[0].pieces[2]
    last = made.text.offsets[methods.end - 1, 1]
    assert last > PAPER.sections[5].start and methods.position == PAPER.sections[3].start


@pytest.mark.parametrize(
    ("setting", "kinds"),
    [("include_references", {"references"}), ("include_front_and_back", {"front", "back"})],
)
def test_what_was_left_out_can_be_put_back(store: ModelStore, setting: str, kinds: set[str]) -> None:
    read = {start for start, _ in plan(store, **{setting: True}).text.offsets.tolist()}
    for section in PAPER.sections:
        inside = any(section.start <= start < section.end for start in read)
        assert inside == (section.kind == "body" or section.kind in kinds)


def test_a_longer_paper_is_read_in_parts_that_follow_its_sections(store: ModelStore) -> None:
    paper = document(*[(f"{number} Section", "body", 4 + number % 3) for number in range(1, 9)])
    made = plan(store, paper, max_input_tokens=2000, length="short")
    assert len(made.windows) > 1 and made.merged is not None
    assert made.merged.words == LENGTHS["short"]
    assert all(window.pieces[0].kind == "part" for window in made.windows)
    assert all(window.pieces[0].words == LENGTHS["short"] < PART_WORDS for window in made.windows)
    assert made.windows[0].pieces[0].name == "page 1"
    headings = {section.start for section in paper.sections}
    begins = [int(made.text.offsets[window.window.start, 0]) for window in made.windows]
    assert set(begins) <= headings
    named = [piece.heading for window in made.windows for piece in window.pieces[1:]]
    assert named == [section.heading for section in paper.sections]


def test_no_sections_are_written_about_unless_asked_for(store: ModelStore) -> None:
    assert [len(window.pieces) for window in plan(store, sections=False).windows] == [1]


def test_what_a_summary_costs_is_estimated_without_a_tokenizer() -> None:
    def cost(paper: Document = PAPER, **changes: object) -> float:
        return estimated_cost(paper, SummarySettings(model="tiny", **changes))

    longer = document(("1 Introduction", "body", 60), ("2 Methods", "body", 90))
    assert 0 < cost(sections=False) < cost() < cost(longer)
    assert cost(length="short") < cost(length="long")
    # In parts there is something to be written about each, and what is not read costs nothing.
    assert cost(longer, max_input_tokens=1000) > cost(longer)
    assert cost(longer, max_input_tokens=1000, long_papers="truncate") < cost(longer)
    assert cost(document(("", "front", 1))) > 0


def test_nothing_to_read_is_said(store: ModelStore) -> None:
    with pytest.raises(SummaryError, match="no text"):
        plan(store, document(("References", "references", 4)))
    few = Document("x.txt", "X", "Only three words.", (Page(1, 0, 17),), (Section("", 0, 17),), ())
    with pytest.raises(SummaryError, match="too little"):
        plan(store, few)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.integers(300, 2000), st.booleans())
@settings(deadline=None, max_examples=25)
def test_pieces_lie_within_their_windows(
    store: ModelStore, counts: list[int], size: int, quotes: bool
) -> None:
    sections = [(f"{number} Section", "body", count) for number, count in enumerate(counts, 1)]
    paper = document(("Beginning", "body", 1), *sections)
    writing = "quotes" if quotes else "own words"
    for planned in plan(store, paper, max_input_tokens=size, writing=writing).windows:
        assert (planned.pieces[0].start, planned.pieces[0].end) == (planned.window.start, planned.window.end)
        for piece in planned.pieces:
            assert planned.window.start <= piece.start < piece.end <= planned.window.end
            assert piece.max_tokens > 0
        for piece in planned.pieces[1:]:
            assert piece.end - piece.start >= LEAST_SECTION_TOKENS
            assert SECTION_WORDS[0] <= (piece.words or 0) <= SECTION_WORDS[1]
