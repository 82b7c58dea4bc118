"""Words that a person types are found in the text, whatever their case, accents, hyphens and line ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents import Document, Page, find_words, undivided

TEXT = (
    "The state-of-the-art für Größe re-\nsults. Naïve Bayes, p < 0.05 and don’t 10–20 “x”. An exam- ple\n"
    "中文 字符 end. 2020 20-20 a.b (C++) ﬁne. Therapist the rapist; 5 % of 1,000. ΑΒΓ"
)


def document(text: str) -> Document:
    return Document("a.txt", "A", text, (Page(1, 0, len(text)),), undivided(text), ())


def found(words: str, text: str = TEXT, limit: int = 100) -> list[str]:
    return [text[start:end] for start, end in find_words(document(text), words, limit)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("state of the art", ["state-of-the-art"]),
        ("State-of-the-Art", ["state-of-the-art"]),
        ("  STATE   of ", ["state-of"]),
        ("fur grosse", ["für Größe"]),
        ("results", ["re-\nsults"]),
        ("naive bayes", ["Naïve Bayes"]),
        ("p<0.05", ["p < 0.05"]),
        ("p < 0.05", ["p < 0.05"]),
        ("don't", ["don’t"]),
        ("10-20", ["10–20"]),
        ('"x"', ["“x”"]),
        ("example", ["exam- ple"]),
        ("an example", ["An exam- ple"]),
        ("中文字符", ["中文 字符"]),
        ("2020", ["2020"]),
        ("a.b", ["a.b"]),
        ("(c++)", ["(C++)"]),
        ("fine", ["ﬁne"]),
        ("the rapist", ["the rapist"]),
        ("therapist", ["Therapist"]),
        ("5%", ["5 %"]),
        ("1000", []),
        ("αβγ", ["ΑΒΓ"]),
        ("a*b", []),
        ("[a-z]", []),
        (" - ", []),
        ("", []),
    ],
)
def test_words(words: str, expected: list[str]) -> None:
    assert found(words) == expected


def test_limit_and_order() -> None:
    ranges = find_words(document("one two one two one"), "ONE", 2)
    assert ranges == ((0, 3), (8, 11))
    assert find_words(document("one"), "one", 0) == ()


@given(st.text(max_size=60), st.text(max_size=12))
def test_anything_may_be_typed(text: str, words: str) -> None:
    last = 0
    for start, end in find_words(document(text), words, 9):
        assert last <= start < end <= len(text)
        last = start


@given(st.text(st.sampled_from("abÄßﬁ -'.\n1"), min_size=1, max_size=40), st.data())
def test_what_stands_there_is_found(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    words = text[start : data.draw(st.integers(start + 1, len(text)))].strip(" -\n")
    if words:
        assert found(words.upper(), text)
        assert found(words.replace("\n", "  "), text)


def test_long_searches_and_texts_take_no_time() -> None:
    text = "a- " * 20_000
    assert find_words(document(text), "a" * 199 + "b", 5) == ()
    assert len(find_words(document(text), "a" * 100_000, 5)) == 5
