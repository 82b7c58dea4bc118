"""What the page says, and that the words of a paper never become HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from app.documents import Document, Page, undivided
from app.page import presentation
from app.page.presentation import Status
from app.summarizing.settings import SummarySettings
from app.summarizing.summary import (
    Done,
    Encoding,
    Evidence,
    FindingEvidence,
    LoadingModel,
    Queued,
    Reading,
    Sentence,
    Summary,
    Writing,
)
from tests.page_server import HOSTILE

TEXT = "First page, with words. " + " ".join(HOSTILE) + " Last page."
OURS = {
    "blockquote",
    "br",
    "caret",
    "div",
    "h2",
    "h3",
    "li",
    "mark",
    "meter",
    "ol",
    "p",
    "section",
    "span",
    "ul",
}


def document() -> Document:
    middle = TEXT.index(HOSTILE[0])
    return Document(
        name=f"{HOSTILE[0]}.pdf",
        title=HOSTILE[1],
        text=TEXT,
        pages=(Page(1, 0, middle), Page(2, middle, len(TEXT))),
        sections=undivided(TEXT),
        notes=(HOSTILE[2],),
    )


def summary() -> Summary:
    evidence = Evidence(start=30, end=60, page=2, quote=TEXT[30:60], score=0.25)
    words = f"{HOSTILE[0]} one. {HOSTILE[3]} two."
    cut = words.index(HOSTILE[3])
    return Summary(
        document=document(),
        text=words,
        sentences=(
            Sentence(words[: cut - 1], 0, cut - 1, 0, 0, 5, (evidence,)),
            Sentence(words[cut:], cut, len(words), 0, 5, 9),
        ),
        settings=SummarySettings(model=HOSTILE[1]),
        tokens_read=1234,
        tokens_left_out=5,
        pages_read=(1, 2),
        notes=(HOSTILE[4],),
        seconds=3.0,
        windows=(),
    )


class Reader(HTMLParser):
    """The elements and the text of a piece of HTML, as a browser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "page",
    [
        presentation.found(document()),
        presentation.draft(" ".join(HOSTILE)),
        presentation.summary(summary()),
        presentation.evidence(document(), summary().sentences[0]),
        presentation.status(Status(" ".join(HOSTILE), HOSTILE[0], 0.5)),
        presentation.map_heading(HOSTILE[0], HOSTILE[1], HOSTILE[3]),
    ],
)
def test_nothing_a_stranger_writes_becomes_an_element(page: str) -> None:
    read = Reader(page)
    assert read.tags <= OURS | {"progress"}
    assert not {name for name in read.attributes if name.startswith("on") or name in {"href", "src"}}
    assert any(words in read.text for words in HOSTILE)


def test_each_sentence_is_a_button() -> None:
    page = presentation.summary(summary())
    assert re.findall(r'role="button" tabindex="0" aria-pressed="false" data-sentence="(\d)"', page) == [
        "0",
        "1",
    ]
    assert summary().text in Reader(page).text


def test_evidence_has_page_score_and_the_words_around() -> None:
    page = presentation.evidence(document(), summary().sentences[0])
    read = Reader(page)
    assert "Page 2" in read.text
    assert "25%" in read.text
    marked = re.search(r"<mark>(.*)</mark>", page)
    assert marked
    assert Reader(marked[1]).text == TEXT[30:60]
    assert TEXT[10:30] in read.text
    assert "No passage" in presentation.evidence(document(), summary().sentences[1])


def test_what_was_read_and_left_out_is_said() -> None:
    words = Reader(presentation.summary(summary())).text
    assert "1,234 tokens, 5 left out" in words
    assert "pages 1 to 2" in words


@pytest.mark.parametrize(
    ("event", "phase", "detail"),
    [
        (Queued(2), "Waiting for the model", "place 2 in the queue"),
        (Reading(3, 30), "Reading the file", "page 3 of 30"),
        (Reading(3, None), "Reading the file", "page 3"),
        (LoadingModel("small"), "Loading the model", "small"),
        (Encoding(1, 1, 0.41, None), "The model is reading the paper", "41%"),
        (
            Encoding(2, 3, 0.41, 42),
            "The model is reading the paper",
            "41% \u00b7 part 2 of 3 \u00b7 about 40 s left",
        ),
        (Writing("We show", 1, 1, 3), "Writing the summary", "2 words \u00b7 a few seconds left"),
        (Writing("We show", 1, 1, 600), "Writing the summary", "2 words \u00b7 about 10 min left"),
        (FindingEvidence(), "Looking up where each sentence comes from", ""),
    ],
)
def test_every_moment_has_its_line(event: object, phase: str, detail: str) -> None:
    line = presentation.status_of(event)
    assert (line.phase, line.detail) == (phase, detail)


@pytest.mark.parametrize(
    ("seconds", "time"), [(0.86, "0.9 s"), (11.7, "12 s"), (89.9, "90 s"), (200.0, "3 min")]
)
def test_how_long_it_took_is_told(seconds: float, time: str) -> None:
    line = presentation.status_of(Done(replace(summary(), seconds=seconds)))
    assert line.detail.startswith(f"in {time}. Click a sentence")


def test_a_screen_reader_hears_phases_and_errors_not_figures() -> None:
    page = presentation.status(Status("Writing", "3 words"))
    assert '<span class="status-phase" role="status">Writing</span>' in page
    assert 'role="alert"' in presentation.status(Status("No.", kind="error"))
    assert "<progress" not in presentation.status(Status("Done", kind="done"))
