from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents import Document, Page, undivided
from app.models import ModelStore
from app.summarizing import windows
from app.summarizing.windows import (
    TokenizedText,
    Window,
    excerpt,
    join,
    shorten,
    tokenize,
    truncate,
    windows_at_sections,
)
from app.work import Stopped
from tests.app.factories import paragraphs


@st.composite
def texts(draw: st.DrawFn) -> TokenizedText:
    length = draw(st.integers(1, 3000))
    step = draw(st.integers(1, 400))
    starts = draw(st.lists(st.integers(0, length - 1), max_size=1 + length // step))
    return TokenizedText(
        ids=np.arange(length),
        offsets=np.stack([np.arange(length), np.arange(1, length + 1)], axis=1),
        sentence_starts=np.unique([0, *starts]),
    )


@st.composite
def texts_with_sections(draw: st.DrawFn) -> tuple[TokenizedText, list[int]]:
    text = draw(texts())
    return text, draw(st.lists(st.integers(0, len(text) - 1), max_size=30))


@given(texts_with_sections(), st.integers(1, 1000))
def test_windows_hold_every_token_in_order(made: tuple[TokenizedText, list[int]], size: int) -> None:
    text, sections = made
    found = windows_at_sections(text, size, sections)
    assert found[0].start == 0
    assert found[-1].end == len(text)
    assert all(0 < len(window) <= size for window in found)
    for one, next_one in pairwise(found):
        assert one.start < next_one.start <= one.end < next_one.end
        assert one.end - next_one.start <= size * windows.OVERLAP
    # As many as are needed where windows overlap; where they end with sections, which they share no token of, it may do
    # with fewer, though never with less than would hold every token.
    overlap = int(size * windows.OVERLAP)
    assert len(found) <= max(1, -(-(len(text) - overlap) // (size - overlap)))
    assert len(found) >= -(-len(text) // size)


@given(texts_with_sections(), st.integers(8, 1000))
def test_windows_end_with_a_section_or_a_sentence_where_they_can(
    made: tuple[TokenizedText, list[int]], size: int
) -> None:
    text, sections = made
    starts = set(text.sentence_starts.tolist())
    for one, next_one in pairwise(windows_at_sections(text, size, sections)):
        if one.end in sections:
            assert next_one.start == one.end  # a section is read from its beginning, and nothing twice
        else:
            overlap = set(range(one.end - int(size * windows.OVERLAP), one.end)) - set(range(one.start + 1))
            assert next_one.start in starts or not overlap & starts


def test_parts_follow_the_sections_of_a_paper() -> None:
    text = TokenizedText(np.arange(900), np.zeros((900, 2), int), np.arange(0, 900, 10))
    assert windows_at_sections(text, 400, [0, 280, 640, 800]) == [
        Window(0, 280),
        Window(280, 640),
        Window(640, 900),
    ]


@given(texts(), st.integers(1, 1000))
def test_truncation_reads_the_beginning(text: TokenizedText, size: int) -> None:
    (window,) = truncate(text, size)
    assert window.start == 0
    assert len(window) == min(size, len(text))


@given(texts(), st.integers(2, 1000))
def test_shortening_keeps_beginning_and_end_in_whole_sentences(text: TokenizedText, size: int) -> None:
    short = shorten(text, size)
    assert len(short) <= max(size, 0)
    if len(text) <= size:
        assert len(short) == len(text)
        return
    positions = np.flatnonzero(np.isin(text.offsets[:, 0], short.offsets[:, 0]))
    np.testing.assert_array_equal(text.ids[positions], short.ids)
    assert positions[0] == 0
    gaps = np.flatnonzero(np.diff(positions) > 1)
    if len(gaps):
        (gap,) = gaps.tolist()
        ending = positions[gap + 1]
        assert ending in text.sentence_starts
        assert gap + 1 in short.sentence_starts
        assert positions[-1] == len(text) - 1
    np.testing.assert_array_equal(
        short.sentence_starts, np.flatnonzero(np.isin(positions, text.sentence_starts))
    )


def _document(text: str) -> Document:
    return Document("x.txt", "X", text, (Page(1, 0, len(text)),), undivided(text), ())


def _covered(document: Document, text: TokenizedText) -> str:
    """The text of the tokens; several may stand for one character, spelled in bytes or with a space before it."""
    pieces = [document.text[start:end] for start, end in dict.fromkeys(map(tuple, text.offsets.tolist()))]
    assert all(piece == piece.strip() for piece in pieces)
    return "".join(pieces)


def test_offsets_give_the_text_back(store: ModelStore) -> None:
    document = _document("\n".join(paragraphs(5)) + "\n\tTabs,  spaces and ﬁne “quotes” — 4.2 %.\n")
    with store.use(store.choices[0]) as loaded:
        text = tokenize(loaded.tokenizer, document, ((0, len(document.text)),))
    assert _covered(document, text) == "".join(document.text.split())
    assert (np.diff(text.offsets[:, 0]) >= 0).all()
    firsts = [document.text[start : start + 3] for start in text.offsets[text.sentence_starts, 0].tolist()]
    assert len(firsts) == 31
    assert all(first[0].isupper() for first in firsts)


def test_only_the_ranges_are_read(store: ModelStore) -> None:
    document = _document("First part. Left out here. Last part.")
    ranges = ((0, 12), (27, len(document.text)))
    with store.use(store.choices[0]) as loaded:
        text = tokenize(loaded.tokenizer, document, ranges)
    assert _covered(document, text) == "Firstpart.Lastpart."
    assert len(text.sentence_starts) == 2


@pytest.mark.parametrize("separator", ["\n", " ", ""])
def test_pieces_change_nothing(store: ModelStore, monkeypatch: pytest.MonkeyPatch, separator: str) -> None:
    document = _document(separator.join(paragraphs(20)) if separator else "abcde" * 2000)
    everything = ((0, len(document.text)),)
    with store.use(store.choices[0]) as loaded:
        whole = tokenize(loaded.tokenizer, document, everything)
        monkeypatch.setattr(windows, "PIECE_CHARACTERS", 1500)
        pieces = tokenize(loaded.tokenizer, document, everything)
    if separator:
        np.testing.assert_array_equal(whole.ids, pieces.ids)
        np.testing.assert_array_equal(whole.offsets[:, 0], pieces.offsets[:, 0])
        lone_space = loaded.tokenizer.convert_tokens_to_ids("▁")
        np.testing.assert_array_equal(
            whole.offsets[whole.ids != lone_space], pieces.offsets[pieces.ids != lone_space]
        )
    else:  # nowhere to cut but inside a word
        assert pieces.offsets[-1, 1] == len(document.text)
    assert (np.diff(pieces.offsets[:, 0]) >= 0).all()


def test_tokenizing_stops(store: ModelStore) -> None:
    stop = threading.Event()
    stop.set()
    with store.use(store.choices[0]) as loaded, pytest.raises(Stopped):
        tokenize(loaded.tokenizer, _document("Some text."), ((0, 10),), stop)


def test_no_text_is_no_tokens(store: ModelStore) -> None:
    with store.use(store.choices[0]) as loaded:
        assert len(tokenize(loaded.tokenizer, _document(" \n "), ((0, 3),))) == 0
        assert len(tokenize(loaded.tokenizer, _document(""), ())) == 0


def test_a_paper_that_writes_special_tokens_means_text(store: ModelStore) -> None:
    text = "The sequence ends with </s> and is filled with <pad> up to its length."
    document = Document("paper.txt", "A Paper", text, (Page(1, 0, len(text)),), undivided(text), ())
    with store.use("tiny") as loaded:
        found = tokenize(loaded.tokenizer, document, [(0, len(text))])
        assert not set(found.ids.tolist()) & set(loaded.tokenizer.all_special_ids)


@given(texts(), st.data())
def test_excerpts_joined_are_the_text(text: TokenizedText, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(text)))
    whole = join([excerpt(text, Window(0, cut)), excerpt(text, Window(cut, len(text)))])
    assert (whole.ids == text.ids).all() and (whole.offsets == text.offsets).all()
    assert set(whole.sentence_starts) == {*text.sentence_starts, *({cut} - {len(text)})}
