"""A text of which sentences were taken out is written on, with a writer that has been told what to write."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from transformers import GenerationConfig

from app.documents import Document
from app.models import ModelStore
from app.summarizing import job
from app.summarizing.drafts import DraftSentence
from app.summarizing.settings import LENGTHS, SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done
from longt5.generation import Tokens

TARGET = LENGTHS["short"]
SUBJECTS = "model reader encoder decoder window paper summary sentence".split()
BAD = "Broken words are left out of what is shown."


def sentence(number: int) -> str:
    """Of eleven words, like no other."""
    subject, other = SUBJECTS[number % 8], SUBJECTS[(3 * number + 1) % 8]
    return f"The {subject} number {number} reads {number} parts and finds a {other} there."


class Writer:
    """Writes one text after the other, and notes how each was begun and what it might not begin with."""

    def __init__(self, tokenizer: Any, texts: list[list[str]]) -> None:
        self.tokenizer, self.texts = tokenizer, list(texts)
        self.begun: list[str] = []
        self.barred: list[list[int]] = []

    def __call__(self, model: Any, encoded: Any, config: GenerationConfig, **named: Any) -> Tokens:
        begun = tuple(named.get("begun", ()))
        self.begun.append(self.tokenizer.decode(begun).strip())
        self.barred.append(config.begin_suppress_tokens or [])
        written = self.tokenizer(" ".join(self.texts.pop(0)), add_special_tokens=False)["input_ids"]
        return (*begun, *written)


def shown(
    store: ModelStore, paper: Document, texts: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], Writer]:
    def meant(model: Any, tokenizer: Any, forced: Any, drafts: list[DraftSentence]) -> Any:
        return [draft for draft in drafts if not draft.text.startswith("Broken")]

    with store.use(store.choices[0]) as loaded:
        writer = Writer(loaded.tokenizer, texts)
    monkeypatch.setattr(job, "write", writer)
    monkeypatch.setattr(job, "unforced", meant)
    monkeypatch.setattr(job, "finish", lambda tokenizer, config, ids, words: tuple(ids))
    monkeypatch.setattr(job, "presentable", lambda drafts, *_: [d for d in drafts if " " in d.text])
    settings = dataclasses.replace(
        SummarySettings(model="tiny"), length="short", sections=False, max_new_tokens=200
    )
    (*_, last) = summarize(paper, settings, store)
    assert isinstance(last, Done)
    (part,) = [part for part in last.summary.parts if part.kind == "summary"]
    return [each.text for each in part.sentences], writer


def of_words(words: int) -> list[str]:
    count = round(words / len(sentence(0).split()))
    return [sentence(number) for number in range(count)]


def test_what_was_taken_out_is_made_up_for(
    store: ModelStore, paper: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = of_words(TARGET // 2)
    more = [sentence(number) for number in range(20, 20 + len(good))]
    found, writer = shown(store, paper, [[*good[:2], BAD, *good[2:], BAD], more], monkeypatch)
    assert found == [*good, *more][: len(found)]
    assert abs(sum(len(text.split()) for text in found) - TARGET) <= 11
    assert writer.begun == ["", " ".join(good)]
    first, *_ = writer.tokenizer(BAD, add_special_tokens=False)["input_ids"]
    assert writer.barred == [[], [first]]


def test_what_is_long_enough_stays(
    store: ModelStore, paper: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = of_words(TARGET)
    found, writer = shown(store, paper, [[*good, BAD]], monkeypatch)
    assert found == good and writer.begun == [""]


def test_what_the_model_ended_itself_is_not_written_on(
    store: ModelStore, paper: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = of_words(TARGET // 2)
    found, writer = shown(store, paper, [good], monkeypatch)
    assert found == good and writer.begun == [""]


def test_nothing_is_lost_where_there_is_no_more_to_say(
    store: ModelStore, paper: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = of_words(TARGET // 2)
    found, writer = shown(store, paper, [[*good, BAD], [BAD]], monkeypatch)
    assert found == good and writer.begun == ["", " ".join(good)]


def test_what_was_forced_is_better_than_debris(
    store: ModelStore, paper: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = shown(store, paper, [[BAD, "Schroet."], ["Schroet."]], monkeypatch)
    assert found == [BAD]


def test_a_text_of_which_nothing_can_be_shown_is_written_anew(
    store: ModelStore, paper: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = of_words(TARGET)
    found, writer = shown(store, paper, [["Schroet."], good], monkeypatch)
    assert found == good and writer.begun == ["", ""]
    first, *_ = writer.tokenizer("Schroet.", add_special_tokens=False)["input_ids"]
    assert writer.barred == [[], [first]]


def test_a_text_is_written_on_so_often_and_no_more(
    store: ModelStore, paper: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [[sentence(10 * number), BAD] for number in range(2 + job.WRITTEN_ON)]
    found, writer = shown(store, paper, texts, monkeypatch)
    assert found == [sentence(10 * number) for number in range(1 + job.WRITTEN_ON)]
    assert len(writer.begun) == 1 + job.WRITTEN_ON
