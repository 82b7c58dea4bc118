"""The model that comes along: its size, and what it writes about the example paper in either way."""

from pathlib import Path

import pytest

from app import settings
from app.models import ModelStore
from app.summarizing.summarizer import Done, Summary, SummarySettings, summarize
from longt5.evaluation.metrics import STOP_WORDS, four_grams, words_of
from longt5.text.sentences import split_sentences

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "assets" / "longt5-embedded"
EXAMPLE = ROOT / "assets" / "example" / "longt5-explained.pdf"


@pytest.fixture(scope="module")
def store() -> ModelStore:
    return ModelStore(settings.from_environment({"LONGT5_MODELS": str(MODEL)}))


def written(store: ModelStore, **changes: object) -> Summary:
    *_, done = summarize(EXAMPLE, SummarySettings(model=MODEL.name, **changes), store)
    assert isinstance(done, Done)
    return done.summary


def test_it_is_small_enough_to_come_along() -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) <= 64 * 2**20


def test_its_quotes_are_the_papers_sentences(store: ModelStore) -> None:
    summary = written(store, writing="quotes", max_new_tokens=250)
    text = summary.document.text
    sentences = {" ".join(text[start:end].split()) for start, end in split_sentences(text)}
    assert 3 <= len(summary.sentences) <= 20
    assert {sentence.text for sentence in summary.sentences} <= sentences


def test_its_own_words_are_about_the_paper(store: ModelStore) -> None:
    summary = written(
        store, writing="own words", max_new_tokens=250, max_input_tokens=4096, long_papers="truncate"
    )
    words = words_of(summary.text)
    known = set(words_of(summary.document.text))
    content = [word for word in words if word not in STOP_WORDS]
    assert len(words) > 40
    assert sum(word in known for word in content) >= 0.9 * len(content)
    assert len(set(four_grams(words))) == len(four_grams(words))
