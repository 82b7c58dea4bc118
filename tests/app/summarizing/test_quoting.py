"""Quotes: the summary is whole sentences of the paper, in its order, each with its own page."""

from __future__ import annotations

import pytest

from app import export
from app.documents import Document, Page, undivided
from app.export.blocks import CAUTION, QUOTED
from app.models import ModelStore
from app.summarizing.settings import SummaryError, SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Summary
from longt5.text.sentences import split_sentences
from tests.app.factories import paragraphs


@pytest.fixture(scope="module")
def paper() -> Document:
    text = "1 Introduction\n\n" + "\n\n".join(paragraphs(12))
    bounds = [len(text) * page // 4 for page in range(5)]
    pages = tuple(Page(i + 1, bounds[i], bounds[i + 1]) for i in range(4))
    return Document("paper.txt", "A Paper", text, pages, undivided(text), ())


def _quoted(store: ModelStore, document: Document, **changes: object) -> Summary:
    values: dict = {"writing": "quotes", "max_new_tokens": 200, "num_beams": 2, **changes}
    *_, done = summarize(document, SummarySettings(model="tiny", **values), store)
    assert isinstance(done, Done)
    return done.summary


@pytest.mark.parametrize(
    "changes", [{}, {"max_input_tokens": 300}, {"num_beams": 1}, {"do_sample": True, "seed": 3}]
)
def test_every_sentence_is_one_of_the_paper(store: ModelStore, paper: Document, changes: dict) -> None:
    summary = _quoted(store, paper, **changes)
    sentences = {" ".join(paper.text[start:end].split()) for start, end in split_sentences(paper.text)}
    assert summary.sentences
    for sentence in summary.sentences:
        assert sentence.text in sentences
        (evidence,) = sentence.evidence
        assert " ".join(paper.text[evidence.start : evidence.end].split()) == sentence.text == evidence.quote
        assert evidence.page == paper.page_of(evidence.start)
        assert evidence.score == 1.0
    for part in summary.parts:
        starts = [sentence.evidence[0].start for sentence in part.sentences]
        assert part.kind != "summary" or starts == sorted(starts)  # the paper's order
        assert len({sentence.text for sentence in part.sentences}) == len(part.sentences)


def test_the_tokens_of_a_quote_are_its_own(store: ModelStore, paper: Document) -> None:
    summary = _quoted(store, paper)
    with store.use("tiny") as loaded:
        for sentence in summary.sentences:
            ids = summary.windows[sentence.window].summary_ids[sentence.token_start : sentence.token_end]
            assert loaded.tokenizer.decode(ids).split() == sentence.text.split()


def test_a_text_without_sentences_is_said(store: ModelStore) -> None:
    text = "alpha beta gamma\n" * 200
    document = Document("list.txt", "A List", text, (Page(1, 0, len(text)),), undivided(text), ())
    with pytest.raises(SummaryError):
        _quoted(store, document)


def test_another_way_of_writing_is_refused(store: ModelStore, paper: Document) -> None:
    with pytest.raises(SummaryError, match="own words"):
        _quoted(store, paper, writing="verse")


def test_a_quote_is_shown_and_saved_as_one(store: ModelStore, paper: Document) -> None:
    summary = _quoted(store, paper)
    assert all(sentence.quoted for sentence in summary.sentences)
    for written in (export.to_text(summary), export.to_markdown(summary)):
        assert QUOTED in written and CAUTION not in written
