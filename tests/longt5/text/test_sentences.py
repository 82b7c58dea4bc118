import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longt5.text.sentences import split_sentences


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "We follow Lee et al. (2020) here. Then we stop.",
            ["We follow Lee et al. (2020) here.", "Then we stop."],
        ),
        ("This was shown by Lee et al. We agree.", ["This was shown by Lee et al.", "We agree."]),
        ("See Fig. 2 and Eqs. (3), e.g. B. It holds.", ["See Fig. 2 and Eqs. (3), e.g. B. It holds."]),
        ("The mean is 3.5. The rest is 0.2.", ["The mean is 3.5.", "The rest is 0.2."]),
        ("It was found by J. R. Smith. Nobody knew.", ["It was found by J. R. Smith.", "Nobody knew."]),
        ("It is known [12]. So is this. [13] Next.", ["It is known [12].", "So is this. [13]", "Next."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        (
            "1 Introduction\nWe begin.\n2 Methods\nWe go on.",
            ["1 Introduction", "We begin.", "2 Methods", "We go on."],
        ),
        ("This line is\nbroken here. Next.", ["This line is\nbroken here.", "Next."]),
        ("The strain of E. coli grew. It was small.", ["The strain of E. coli grew.", "It was small."]),
        ("it is so . we see ( fig . 2 ) it .", ["it is so .", "we see ( fig . 2 ) it ."]),
        (
            "smith et al . found it in fig. 3 . why ? \n nobody knew .",
            ["smith et al . found it in fig. 3 .", "why ?", "nobody knew ."],
        ),
        ("It goes on ... and on.", ["It goes on ... and on."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_cases_by_hand(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="aB1 .!?\n)(\"'é", max_size=80))
def test_ranges_are_in_order_and_leave_out_white_space_only(text: str) -> None:
    position = 0
    for start, end in split_sentences(text):
        assert not text[position:start].strip()
        assert start < end and text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()
