"""What may be quoted: whole sentences, with their characters and tokens."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.summarizing.quoting import MOST_TOKENS, quotable_sentences
from longt5.text.sentences import is_whole_sentence

GOOD = "Sparse attention reads long papers as well as dense attention."
SHORT = "It is so."
HEADING = "Results of attention to long papers in three fields"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We show that sparse attention reads long papers well.", True),
        ("“Attention” is, as others have said, not an explanation [3, 4].", True),
        ("2 Related work on attention in long papers", False),
        ("and so the sentence goes on from another page.", False),
        ("Too short.", False),
        ("0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9.", False),
    ],
)
def test_what_looks_like_a_sentence(text: str, expected: bool) -> None:
    assert is_whole_sentence(text) is expected


def tokenized(sentences: list[str], *, spaces: bool) -> tuple[str, np.ndarray, np.ndarray, list[int]]:
    """The sentences as one text whose words are its tokens; with `spaces` each has the space before it."""
    text = " ".join(sentences)
    words = [match.span() for match in re.finditer(r"\S+", text)]
    offsets = np.array([(max(0, start - 1) if spaces else start, end) for start, end in words])
    starts = np.cumsum([0, *(len(sentence.split()) for sentence in sentences)])[:-1].tolist()
    return text, np.arange(len(words)) + 10, offsets, starts


@pytest.mark.parametrize("spaces", [False, True])
def test_sentences_with_their_characters_and_tokens(spaces: bool) -> None:
    found = quotable_sentences(*tokenized([HEADING, GOOD, SHORT, GOOD], spaces=spaces))
    assert [sentence.tokens for sentence in found] == [tuple(range(19, 29)), tuple(range(32, 42))]
    text = " ".join([HEADING, GOOD, SHORT, GOOD])
    assert [text[sentence.start : sentence.end] for sentence in found] == [GOOD, GOOD]


def test_what_is_too_long_is_left_out() -> None:
    long = "We " + "show " * (MOST_TOKENS - 2)
    assert len(quotable_sentences(*tokenized([long + "it."], spaces=False))) == 1
    assert quotable_sentences(*tokenized([long + "all it."], spaces=False)) == []


@given(
    st.lists(st.sampled_from([GOOD, SHORT, HEADING, "And so on, as others have done before us."]), max_size=8)
)
def test_just_the_quotable_ones_are_found(sentences: list[str]) -> None:
    text, ids, offsets, starts = tokenized(sentences, spaces=True)
    found = quotable_sentences(text, ids, offsets.reshape(-1, 2), starts)
    quotes = [text[sentence.start : sentence.end] for sentence in found]
    assert quotes == [sentence for sentence in sentences if is_whole_sentence(sentence)]
