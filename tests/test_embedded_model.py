"""The model that comes along: its size, and what it writes about the example paper in either way."""

from pathlib import Path

import pytest

from app import settings
from app.models import ModelStore
from app.summarizing.settings import SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Summary
from longt5.evaluation.metrics import STOP_WORDS, four_grams, words_of
from longt5.text.sentences import split_sentences

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "assets" / "longt5-embedded"
EXAMPLE = ROOT / "assets" / "example" / "longt5-explained.pdf"
# Enough to write about, and read in seconds.
PART = {"max_input_tokens": 2048, "long_papers": "beginning and end"}


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
    summary = written(store, writing="quotes", max_new_tokens=250, **PART)
    text = summary.document.text
    sentences = {" ".join(text[start:end].split()) for start, end in split_sentences(text)}
    (whole,) = [part for part in summary.parts if part.kind == "summary"]
    assert 3 <= len(whole.sentences) <= 20
    assert {sentence.text for sentence in summary.sentences} <= sentences


def test_its_own_words_are_about_the_paper_and_as_long_as_asked(store: ModelStore) -> None:
    summary = written(store, length="medium", **PART)
    words = words_of(summary.text)
    known = set(words_of(summary.document.text))
    content = [word for word in words if word not in STOP_WORDS]
    assert 0.85 * 160 <= len(summary.text.split()) <= 1.15 * 160
    assert sum(word in known for word in content) >= 0.95 * len(content)
    assert len(set(four_grams(words))) == len(four_grams(words))
    assert all(sentence.text.endswith((".", "?", "!")) for sentence in summary.sentences)


def test_it_reads_whole_papers_and_writes_in_its_own_words(store: ModelStore) -> None:
    profile = store.profile(store.choices[0])
    assert profile.max_input_tokens == profile.defaults.max_input_tokens == 16_384
    assert (profile.defaults.writing, profile.defaults.length) == ("own words", "medium")
    assert (profile.prefix, profile.quotes_prefix) == ("", "<mask>")
