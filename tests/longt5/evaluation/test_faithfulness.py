"""What does not stand in the text that was read, by hand-made cases and against every extract of a text."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from longt5.evaluation.faithfulness import WINDOW, ReadText

SENTENCES = [
    "We treated 1,024 patients with 5 mg of IL-6 in Zürich.",
    "The two CNNs of Müller's group reached 93.5 % on ImageNet (Fig. 2).",
    "From 1990–2000 the TNF-α of 12-month-old mice fell by 3.0 ± 0.2 µg/mL.",
    "BERT-based models need 10³ steps, e.g. on the U.S. corpus.",
    "Its error was 0.05 in the 2nd run, as Smith et al. (2010) had found.",
]
TEXT = " ".join(SENTENCES)
READ = ReadText(TEXT)


def unsupported(summary: str, text: str) -> list[str]:
    found = ReadText(text).check(summary).unsupported
    assert all(summary[item.start : item.end] == item.text for item in found)
    return [item.text for item in found]


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        ("It has 1000 nodes.", "There are 1,000 nodes."),
        ("It has 1,000 nodes.", "There are 1 000 nodes."),
        ("It has 1 000 nodes.", "There are 1000 nodes."),
        ("It rose by 5%.", "It rose by 5 %."),
        ("It rose by 5 percent.", "It rose by 5%."),
        ("It rose by 85%.", "The share was 0.85, see (%)."),
        ("It is 3 now.", "It is 3.0 now."),
        ("It is .5 now.", "It is 0.50 now."),
        ("It had 2 parts.", "It had two parts."),
        ("It had two parts.", "It had 2 parts."),
        ("We saw 5 million of them.", "We saw 5,000,000 of them."),
        ("It fell by -0.3 in 1990-2000.", "It fell by −0.3 in 1990–2000."),
        ("It took 10^3 steps.", "It took 10³ steps."),
        ("The 10th run and the 1990s.", "Run 10 was in 1990."),
        ("They gave 5mg of it.", "The dose was 5 mg."),
        ("They gave 5 μg of it.", "The dose was 5 µg."),
        ("In Figure 2 we see CNNs.", "Figure 2 shows a CNN."),
        ("With a CNN we see it.", "We use CNNs."),
        ("By Einstein’s law.", "The law of Einstein."),
        ("It needs TNF-α here.", "It needs TNFα here."),
        ("It needs TNF-alpha here.", "It needs TNFα here."),
        ("The IL6 here.", "Of IL-6 here."),
        ("The IL-6 here.", "Of IL 6 here."),
        ("It is by Muller here.", "It is by Müller here."),
        ("It is by Müller here.", "It is by Mu\u0308ller here."),
        ("It is by Fischer here.", "It is by Fiscﬁscher, not by Fischer."),
        ("It is by Griﬃth here.", "It is by Griffith here."),
        ("They met in Heidelberg again.", "They met in Heidel-\nberg again."),
        ("It is CO₂ here.", "It is CO2 here."),
        ("Surprisingly it works.", "It works."),
        ("We say: Never again.", "It works."),
        ("A BERT-based model.", "The model BERT is based on text."),
    ],
)
def test_other_spellings_are_no_new_claims(summary: str, text: str) -> None:
    assert unsupported(summary, text) == []


@pytest.mark.parametrize(
    ("summary", "text", "expected"),
    [
        ("It has 1001 nodes.", "There are 1,000 nodes.", ["1001"]),
        ("It is 3.1 or 31.", "It is 31.", ["3.1"]),
        ("It rose by 50%.", "It rose by 5 %.", ["50"]),
        ("It took 5 kg of it.", "It took 5 mg of it.", ["kg"]),
        ("It had three parts.", "It had two parts.", ["three"]),
        ("In Boston it works with LSTMs.", "In Berlin it works with CNNs.", ["Boston", "LSTMs"]),
        ("Jane Smith found it.", "John Smith found it.", ["Jane"]),
        ("The p53 of mice.", "The p63 of mice.", ["p53"]),
        ("In IL-8 it is 8.", "In IL-6 it is 8.", ["IL-8"]),
        ("A GPT-based model.", "The model BERT is based on text.", ["GPT-based"]),
        ("Models of 2010-2012.", "Models of 2010.", ["2012"]),
    ],
)
def test_what_does_not_stand_there_is_found(summary: str, text: str, expected: list[str]) -> None:
    assert unsupported(summary, text) == expected


def test_kinds_and_precision() -> None:
    result = ReadText("It took 5 mg in Rome.").check("It took 7 mg in Paris and Rome.")
    assert [(item.kind, item.text) for item in result.items] == [
        ("number", "7"),
        ("name", "Paris"),
        ("name", "Rome"),
        ("unit", "mg"),
    ]
    assert [item.text for item in result.unsupported] == ["7", "Paris"]
    assert result.precision == 0.5
    nothing = ReadText("").check("")
    assert nothing.precision == 1.0 and nothing.in_one_window == 0.0


def test_sentences_within_one_window() -> None:
    far = "The encoder reads. " + "Other words stand here. " * WINDOW + "The decoder writes poems."
    read = ReadText(far)
    assert read.check("The decoder writes poems. An encoder reads.").in_one_window == 1.0
    assert read.check("The encoder writes poems. The decoder writes.").in_one_window == 0.5
    assert read.check("The encoder sings.").in_one_window == 0.0
    assert read.check("It is so.").in_one_window == 1.0


@given(st.lists(st.sampled_from(SENTENCES), max_size=5))
def test_sentences_of_the_text_have_no_unsupported_item(sentences: list[str]) -> None:
    result = READ.check(" ".join(sentences))
    assert result.unsupported == ()
    assert result.precision == 1.0
    assert result.in_one_window == (1.0 if sentences else 0.0)


@given(st.text(alphabet="aB1 ,.-%/–'\n²αﬁ(", max_size=60))
def test_a_text_supports_itself(text: str) -> None:
    assert ReadText(text).check(text).unsupported == ()


@given(
    st.permutations(SENTENCES),
    st.integers(0, 60),
    st.sampled_from(["7391", "64.25", "Zorblax", "QXZ", "Kp77", "Quent-Lohr"]),
)
def test_a_fresh_item_is_always_found(sentences: list[str], place: int, fresh: str) -> None:
    words = " ".join(sentences).split(" ")
    place = min(place, len(words))
    # A capital letter at the beginning of a sentence makes no name.
    assume(fresh != "Zorblax" or (place > 0 and not words[place - 1].endswith((".", ")."))))
    words.insert(place, fresh)
    summary = " ".join(words)
    found = READ.check(summary).unsupported
    assert fresh in [item.text for item in found]
    assert all(summary[item.start : item.end] == item.text for item in found)
