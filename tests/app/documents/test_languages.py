from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py3langid.langid import LanguageIdentifier

from app.documents import languages
from app.documents.languages import language_of

SENTENCES = {
    "en": "We present a simple method for the analysis of large graphs, and show that it works on many of them. ",
    "de": "Wir stellen ein einfaches Verfahren zur Analyse großer Graphen vor und zeigen, dass es gut arbeitet. ",
    "fr": "Nous présentons une méthode simple pour l'analyse de grands graphes et montrons qu'elle est rapide. ",
    "es": "Presentamos un método sencillo para el análisis de grafos grandes y mostramos que funciona muy bien. ",
    "it": "Presentiamo un metodo semplice per l'analisi di grandi grafi e mostriamo che funziona molto bene. ",
    "pt": "Apresentamos um método simples para a análise de grandes grafos e mostramos que funciona muito bem. ",
    "nl": "Wij presenteren een eenvoudige methode voor de analyse van grote grafen en laten zien dat zij werkt. ",
    "ru": "Мы предлагаем простой метод анализа больших графов и показываем, что он работает на многих из них. ",
    "el": "Παρουσιάζουμε μια απλή μέθοδο για την ανάλυση μεγάλων γράφων και δείχνουμε ότι λειτουργεί καλά. ",
    "zh": "我们提出了一种分析大型图的简单方法，并且证明它在许多数据集上效果良好，速度也比以前的方法快得多。",
    "ja": "我々は大規模なグラフを解析するための簡単な手法を提案し、多くのデータで良好な結果が得られることを示す。",
    "ko": "우리는 큰 그래프를 분석하는 간단한 방법을 제시하고 많은 자료에서 잘 작동한다는 것을 보인다. ",
    "ar": "نقدم طريقة بسيطة لتحليل الرسوم البيانية الكبيرة ونبين أنها تعمل جيدا على كثير من البيانات المختلفة. ",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_language_of_a_paper(language: str) -> None:
    text = 40 * SENTENCES[language]
    assert language_of(text, [(0, len(text))]) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hi.",
        "12.5 13.7 (4) " * 100,
        20 * SENTENCES["en"] + 20 * SENTENCES["fr"],
        "x = y + z; f(x) = 0. " * 50,
    ],
)
def test_short_and_mixed_texts_are_in_none(text: str) -> None:
    assert language_of(text, [(0, len(text))]) is None


def test_only_the_ranges_count() -> None:
    text = 20 * SENTENCES["en"] + 40 * SENTENCES["de"]
    assert language_of(text, [(0, 20 * len(SENTENCES["en"]))]) == "en"
    assert language_of(text, []) is None


def test_an_abstract_in_another_language_does_not_count() -> None:
    text = 5 * SENTENCES["fr"] + 60 * SENTENCES["en"]
    assert language_of(text, [(0, 400), (400, len(text))]) == "en"


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(), max_size=300), st.integers(0, 300))
def test_any_text_has_an_answer(text: str, cut: int) -> None:
    cut = min(cut, len(text))
    language = language_of(text, [(0, cut), (cut, len(text))])
    assert language is None or len(language) == 2


def test_who_comes_first_loads_it_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody for himself takes 100 MB each."""
    loads = []

    def load(*arguments: Any, **named: Any) -> LanguageIdentifier:
        loads.append(threading.get_ident())
        time.sleep(0.1)
        return identifier

    identifier = languages._identifier()
    monkeypatch.setattr(LanguageIdentifier, "from_model_file", load)
    languages._loaded_identifier.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(language_of, 40 * SENTENCES["de"], [(0, 2_000)]) for _ in range(8)]
    assert {each.result() for each in found} == {"de"}
    assert len(loads) == 1
