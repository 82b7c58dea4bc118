import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.legibility import is_legible, is_sound, readable

PROSE = "We copy the tide of the next harbour and shift it by a constant that was measured on many days. "


@pytest.mark.parametrize(
    "text",
    [
        "We present a method for long documents. " * 20,
        "Bonjour. C’est une méthode pour les documents longs. " * 20,
        "这是一篇关于长文档的论文。" * 20,
        "هذه ورقة عن المستندات الطويلة. " * 20,
        "Это статья о длинных документах. " * 20,
        "これは長い文書に関する論文です。" * 20,
        "이것은 긴 문서에 관한 논문입니다. " * 20,
        "Alabama 12 345 6,789 0 0 1 Alaska 4 5 6 7 8 9 " * 20,
        "e\u0316\u0317\u0318 z\u0316\u0317a l g o text " * 20,
        "Hi",
        "x",
    ],
)
def test_readable(text: str) -> None:
    assert readable([text])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12345",
        "\ufffd" * 40,
        "/65/115/115/105/99/117/114/97" * 100,
        ":5;+<>= ?= @,A +;<= \x15\x13 ;'!@ #$% \x19" * 50,
        "\ue001\ue002\ue003 \ue004\ue005" * 50,
        "\u202a\u202b\u200b\x01\x02" * 50,
        "Xkqj Zwrt Pvbn Mlkj Hgfd Trwq " * 60,
    ],
)
def test_not_readable(text: str) -> None:
    assert not readable([text])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters())))
def test_readable_answers_for_any_text(lines: list[str]) -> None:
    assert readable(lines) in (True, False)


@pytest.mark.parametrize(
    "text",
    [
        PROSE * 12,
        "Wir verschieben die Gezeiten des nächsten Hafens um eine Konstante, die wir lange gemessen haben. "
        * 12,
        "Przesuwamy pływy następnego portu o stałą, którą mierzyliśmy przez wiele dni w kilku miejscach. "
        * 12,
        "Мы сдвигаем приливы соседней гавани на постоянную величину, измеренную за много дней. " * 12,
        "我们把邻近港口的潮汐移动一个常数，这个常数是在许多天里测得的。" * 30,
        "for i in range(n): tmp[i] = ss[j]; dd[k] = tmp[i] + zz" * 8,
        "κNor αSyn βCat γInt δLog " * 60,
        "Few words",
    ],
)
def test_pages_that_are_text(text: str) -> None:
    assert is_legible([text])


def test_letters_that_stand_for_others_are_no_text() -> None:
    swapped = PROSE.translate(str.maketrans("abcdefghijklmnopqrstuvwxyz", "qzxjkvbpygfwmucldrhsnioate"))
    assert not is_legible([swapped] * 12)


def test_every_letter_twice_is_no_text() -> None:
    assert not is_legible(["".join(2 * letter for letter in PROSE)] * 8)


def test_words_without_gaps_are_no_text() -> None:
    assert not is_legible([PROSE.replace(" ", "")] * 12)


def test_letters_of_scripts_that_do_not_mix_are_no_text() -> None:
    assert not is_legible(["ͱաbгδե жաηdѓ ֆաλρշ " * 4] * 12)


def test_formulas_that_cannot_be_told_are_not_the_page() -> None:
    lines = [PROSE] * 10 + ["\ufffd\ufffd = \ufffd\ufffd\ufffd"] * 5
    assert is_legible(lines)
    assert [line for line in lines if is_sound(line)] == [PROSE] * 10
    assert not is_legible(["\ufffd" * 60] * 10 + [PROSE])
