import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longt5.text.sentences import is_whole_sentence, may_end_text, split_sentences


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
        (
            "It holds.12 The rest fails.3,4 p53 was high.",
            ["It holds.12", "The rest fails.3,4", "p53 was high."],
        ),
        (
            "It was kept.5–7 α-Synuclein is low. mTOR rises.",
            ["It was kept.5–7", "α-Synuclein is low.", "mTOR rises."],
        ),
        ("See Fig.2 The v2.0 End.", ["See Fig.2 The v2.0 End."]),
        ("of the subject.Systems that work.", ["of the subject.", "Systems that work."]),
        ("We call torch.Tensor objects.", ["We call torch.Tensor objects."]),
        ("他说：“好。”然后走了。我们来了！对吗？", ["他说：“好。”", "然后走了。", "我们来了！", "对吗？"]),
        ("彼は「行く。」と言った。次の文。", ["彼は「行く。」と言った。", "次の文。"]),
        ("यह है। वह है।", ["यह है।", "वह है।"]),
        ("Es ist z. B. Wasser. Am 3. Mai nicht.", ["Es ist z. B. Wasser.", "Am 3. Mai nicht."]),
        ("Vgl. Abb. 3 bzw. Tab. 4. Dann so.", ["Vgl. Abb. 3 bzw. Tab. 4.", "Dann so."]),
        ("Это см. рис. 3. Далее так.", ["Это см. рис. 3.", "Далее так."]),
        ("the variable x. We see it.", ["the variable x.", "We see it."]),
        ("The U.S. Census Bureau and J.R. Smith know.", ["The U.S. Census Bureau and J.R. Smith know."]),
        (
            "J.-P. Serre and И.И. Иванов of U.C.L.A. Health.",
            ["J.-P. Serre and И.И. Иванов of U.C.L.A. Health."],
        ),
        ("It is in the U.S. The rest is not.", ["It is in the U.S.", "The rest is not."]),
        ("It is in the U.K. Furthermore, so is this.", ["It is in the U.K.", "Furthermore, so is this."]),
        ("It is in the U.S. “We” are not.", ["It is in the U.S.", "“We” are not."]),
        (
            "Synechocystis sp. PCC 6803 and sp. WH8102 grew.",
            ["Synechocystis sp. PCC 6803 and sp. WH8102 grew."],
        ),
        (
            "Ticks (Ixodes spp. (n = 3)) and Bacillus sp. We saw.",
            ["Ticks (Ixodes spp. (n = 3)) and Bacillus sp.", "We saw."],
        ),
        (
            "From Promega Corp. (Madison), Roche Inc. (Basel), Sun Co. Ltd. (Tokyo), and Abcam Ltd. The rest was made.",
            [
                "From Promega Corp. (Madison), Roche Inc. (Basel), Sun Co. Ltd. (Tokyo), and Abcam Ltd.",
                "The rest was made.",
            ],
        ),
        ("Kits (Cat. No. A12; cat. # 7; Cat. 15) of it.", ["Kits (Cat. No. A12; cat. # 7; Cat. 15) of it."]),
        ("We saw the cat. No mouse was there.", ["We saw the cat.", "No mouse was there."]),
        (
            "Martin King Jr. Memorial of J. King Jr. He spoke.",
            ["Martin King Jr. Memorial of J. King Jr.", "He spoke."],
        ),
        ("It emits CO. It is lost.", ["It emits CO.", "It is lost."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_cases_by_hand(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="aB1 .!?。é\n)(\"'é", max_size=80))
def test_ranges_are_in_order_and_leave_out_white_space_only(text: str) -> None:
    position = 0
    for start, end in split_sentences(text):
        assert not text[position:start].strip()
        assert start < end and text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()


@pytest.mark.parametrize(
    ("sentence", "whole"),
    [
        ("Étale maps were drawn for each of the harbours.", True),
        ("p53 was found in all of the cells.", True),
        ("β-Catenin was found in all of the cells.5,6", True),
        ("结果显示，该方法的内存消耗随长度线性增长。", True),
        ("Это было так и не иначе, как раньше.", True),
        ("and so it was found in all of the cells.", False),
        ("It was found in all of the", False),
        ("速度快。", False),
    ],
)
def test_whole_sentences(sentence: str, whole: bool) -> None:
    assert is_whole_sentence(sentence) == whole


@pytest.mark.parametrize(
    ("text", "may_end"),
    [
        ("It reads and it writes.", True),
        ("Does it read?", True),
        ("It is the one called type A.", True),
        ("It reads and.", False),
        ("It reads the.", False),
        ("It is known as a.", False),
        ("It reads long papers, they.", False),
        ("It hides faults, and tolerance,.", False),
        ("It is shown in Fig.", False),
        ("It is a gift of.", False),
        ("What it is for!", True),  # not by chance
        ("It reads", False),
    ],
)
def test_where_a_text_may_end(text: str, may_end: bool) -> None:
    assert may_end_text(text) == may_end
