from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from app.documents import Document, Page, Section
from app.models import ModelStore
from app.settings import Settings
from app.summarizing.positions import language_barrier, summarize_by_position
from app.summarizing.settings import SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Read
from tests.app.factories import make_model

GERMAN = (
    "Einleitung\nDie Ausbreitung der Wellen wird in diesem Kapitel kurz beschrieben. Danach folgt ein Versuch dazu.\n"
    "Ergebnisse\nDie gemessenen Werte stimmen mit der Rechnung gut überein. Offen bleibt nur die Frage der Reibung.\n"
)
CHINESE = (
    "引言\n我们研究长文本的注意力机制及其应用。模型可以读取整篇论文的内容。\n"
    "结果\n实验表明该方法优于已有的各种模型。\n"
)


def document(text: str, language: str | None) -> Document:
    starts = [0, text.index("\nE") + 1 if "\nE" in text else text.index("结果"), len(text)]
    sections = tuple(
        Section(text[start:end].split("\n")[0], start, end) for start, end in itertools.pairwise(starts)
    )
    return Document("x.txt", "X", text, (Page(1, 0, len(text)),), sections, (), language=language)


@pytest.fixture(scope="module")
def english_store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    folder: Path = make_model(tmp_path_factory.mktemp("models") / "tiny", generation={"languages": ["en"]})
    return ModelStore(Settings(models=(str(folder),)))


@pytest.mark.parametrize(("text", "language", "name"), [(GERMAN, "de", "German"), (CHINESE, "zh", "Chinese")])
def test_a_paper_in_another_language_is_quoted_by_position(
    english_store: ModelStore, text: str, language: str, name: str
) -> None:
    paper = document(text, language)
    events = list(summarize(paper, SummarySettings(model="tiny", length="short"), english_store))
    assert [type(event) for event in events] == [Read, Done]
    done = events[-1]
    assert isinstance(done, Done)
    summary = done.summary
    assert any("reads English" in note and name in note for note in summary.notes)
    assert [part.kind for part in summary.parts] == ["summary", "section", "section"]
    assert all(sentence.quoted and sentence.window == -1 for sentence in summary.sentences)
    starts = [sentence.evidence[0].start for sentence in summary.parts[0].sentences]
    assert starts == sorted(starts) and len(starts) >= 2
    for sentence in summary.sentences:
        passage = sentence.evidence[0]
        assert " ".join(text[passage.start : passage.end].split()) == sentence.text
    assert summary.windows == () and summary.pages_read == (1,)


def test_what_the_model_may_read_is_left_to_it(english_store: ModelStore, store: ModelStore) -> None:
    reader = english_store.profile("tiny")
    assert language_barrier(reader, document(GERMAN, "en")) is None
    assert language_barrier(reader, document(GERMAN, None)) is None
    assert language_barrier(store.profile("tiny"), document(GERMAN, "de")) is None  # its files don't say


def test_the_length_bounds_what_is_quoted() -> None:
    text = (
        "Anfang\n"
        + "Die Ausbreitung der Wellen wird in diesem Satz beschrieben. " * 60
        + "\nEnde\nDas war es nun.\n"
    )
    settings = SummarySettings(model="tiny", length="short", sections=False)
    summary = summarize_by_position(document(text, "de"), settings, "Why.")
    assert [part.kind for part in summary.parts] == ["summary"]
    assert 70 <= len(summary.text.split()) <= 95
