from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.line_signs import (
    begins_item,
    ends_sentence,
    ends_with_full_stop,
    ends_with_hyphen,
    goes_on,
)


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=30))
def test_hyphens_at_the_end(text: str) -> None:
    assert ends_with_hyphen(text) == (len(text) > 1 and text[-1] in "-\u2010" and text[-2].isalpha())


def test_a_colon_ends_a_sentence_but_is_no_full_stop() -> None:
    assert ends_sentence("as follows:")
    assert not ends_with_full_stop("as follows:")
    assert ends_with_full_stop("he said “no.”")
    assert not ends_sentence("and so on")


@pytest.mark.parametrize(
    ("text", "following", "expected"),
    [
        ("atten-", "Tion", True),
        ("and then", "it went", True),
        ("It ended.", "it went", False),
        ("A", "B", False),
    ],
)
def test_a_sentence_goes_on_in_lower_case_and_a_word_after_its_hyphen(
    text: str, following: str, expected: bool
) -> None:
    assert goes_on(text, following) == expected


@pytest.mark.parametrize("text", ["• first", "(a) first", "[12] Doe", "3. third", "iv) fourth"])
def test_items_begin(text: str) -> None:
    assert begins_item(text)


@pytest.mark.parametrize("text", ["1999 was", "a word", "•", "(see below) and"])
def test_ordinary_lines_are_no_items(text: str) -> None:
    assert not begins_item(text)
