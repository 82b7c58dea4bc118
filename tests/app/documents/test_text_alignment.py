"""Two readings of a page are matched letter by letter: what is matched is the same letter, and none twice."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.text_alignment import UNKNOWN, align, fold
from tests.app.pdf_files import LOREM

PROSE = (
    f"{LOREM} Sphinx of black quartz, judge my vow. Pack my box with five dozen liquor jugs! "
    "We promptly judged antique ivory buckles for the next prize; how vexingly quick daft zebras jump."
)
TEXTS = st.text(st.sampled_from("abAB ä-ﬁ1²\n.\0"), max_size=80) | st.text(max_size=40)


def matched(text: str, other: str) -> str:
    """The letters of `text` that were found in `other`; capital letters stand for those that were not."""
    alignment = align(fold(text), fold(other))
    found = alignment.to_other
    for letter, place in zip(alignment.text.text, found.tolist()):
        assert place < 0 or alignment.other.text[place] in (letter, UNKNOWN)
    return "".join(
        letter if place >= 0 else letter.upper() for letter, place in zip(alignment.text.text, found.tolist())
    )


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("A b\nC", "abc"),
        ("exam-\nple", "example"),
        ("exam\u00adple", "example"),
        ("ﬁnd the ﬂaw", "findtheflaw"),
        ("\x0cnd", "find"),
        ("x² ½", "x212"),
        ("Größe, naïve, Ångström", "grossenaiveangstrom"),
        ("na\u00a8\u0131ve", "naive"),
        ("\U0001d45a = 3", "m3"),
        ("हिन्दी", "हिनदी"),
        ("", ""),
    ],
)
def test_letters_of_a_text(text: str, letters: str) -> None:
    folded = fold(text)
    assert folded.text == letters
    assert len(folded.origins) == len(letters)


@given(TEXTS)
def test_every_letter_knows_where_it_comes_from(text: str) -> None:
    folded = fold(text)
    assert len(folded.origins) == len(folded.text)
    assert np.all(np.diff(folded.origins) >= 0)
    for letter, origin in zip(folded.text, folded.origins.tolist()):
        assert letter in fold(text[origin]).text
    assert fold(folded.text).text == folded.text


@given(TEXTS, TEXTS)
def test_matches_are_the_same_letters_once(text: str, other: str) -> None:
    matched(text, other)
    alignment = align(fold(text), fold(other))
    found = alignment.to_other[alignment.to_other >= 0]
    known = [place for place in found.tolist() if alignment.other.text[place] != UNKNOWN]
    assert len(set(known)) == len(known)


@given(st.text(st.sampled_from("abcdefgh "), max_size=200))
def test_a_text_matches_itself(text: str) -> None:
    assert matched(text, text).islower() or not text.strip()


@settings(max_examples=50)
@given(st.integers(), st.integers(2, 9))
def test_paragraphs_in_any_order(seed: int, count: int) -> None:
    rng = random.Random(seed)
    words = sorted(set(PROSE.split()))
    paragraphs = [" ".join(rng.sample(words, 12)) + f" {number}." for number in range(count)]
    shuffled = rng.sample(paragraphs, count)
    result = matched("\n".join(paragraphs), "Running title 17\r\n" + "\r\n".join(shuffled))
    assert sum(map(str.isupper, result)) <= 0.02 * len(result)


def test_numbers_of_lines_and_footnotes_between() -> None:
    lines = [PROSE[start : start + 30] for start in range(0, len(PROSE), 30)]
    assert matched(PROSE, "\r\n".join(f"{number} {line}" for number, line in enumerate(lines, 100))).islower()
    assert matched(PROSE, PROSE[:100] + " 1 A note at the foot of this page. " + PROSE[100:]).islower()


def test_single_letters_are_taken_from_nowhere_far() -> None:
    half = len(PROSE) // 2
    between = " Labels of a figure with some quotients: quartz, quality, quicksand and what else there is. "
    result = matched(f"{PROSE[:half]} q {PROSE[half:]}", PROSE[:half] + between + PROSE[half:])
    assert sum(map(str.isupper, result)) == 1


def test_repeated_text() -> None:
    refrain = "all work and no play makes jack a dull boy "
    assert matched(refrain * 9, f"Title {refrain} 1 " + f"12 {refrain}" * 9).islower()
    sentences = [f"{word} {refrain}" for word in PROSE.split()[:30]]
    assert matched(" ".join(sentences), " ".join(sentence * 2 for sentence in sentences)).islower()
    assert matched(refrain * 2, refrain).startswith(refrain.replace(" ", ""))


def test_blocks_that_begin_alike_keep_their_letters() -> None:
    text = fold("The first block ends with method. The next one begins as the table of the other page does.")
    other = fold(
        "Table 3 and more. The next one begins as the table of the other page does. "
        "The first block ends with method. Table of contents"
    )
    found = align(text, other).to_other
    assert np.sum(np.diff(found) != 1) == 1


def test_what_is_not_there_is_not_matched() -> None:
    assert matched("wholly other words", "1234567890").isupper()
    assert matched(PROSE + " Qqqqq kkkkk", PROSE).endswith("QQQQQKKKKK")


def test_repeated_words_are_told_apart_by_their_neighbours() -> None:
    alignment = align(
        fold("alpha the same words beta the same words gamma"), fold("beta the same words gamma")
    )
    assert alignment.to_other[-22:].tolist() == list(
        range(alignment.to_other[-22], len(alignment.other.text))
    )


def test_glyphs_that_do_not_tell_their_letters() -> None:
    assert matched(
        "this efficient method defines differences", "this e\0cient method de\0nes di\ufffderences"
    ).islower()
    assert "TOOMANY" in matched("before it toomany letters after it", "before it \0 letters after it")
