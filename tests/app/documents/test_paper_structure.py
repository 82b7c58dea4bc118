from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.paper_structure import readable


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
