"""The list of papers as HTML: states in words, texts of strangers as text."""

from __future__ import annotations

import re

import pytest

from app.documents import Reading
from app.documents.downloads import Downloading
from app.page.papers import Paper
from app.page.shelf_view import shelf, state
from app.summarizing.summary import Queued, Read, Working
from tests.app.page.papers import document, summary


def test_a_stop_is_said_at_once() -> None:
    paper = Paper("x", state="summarizing")
    paper.stop.set()
    assert state(paper) == "stopping"
    assert 'data-action="stop"' not in shelf([paper], None, {})


@pytest.mark.parametrize(
    ("paper", "words"),
    [
        (Paper("x"), "waits for its turn, 3 before it"),
        (Paper("x", state="reading"), "reading"),
        (Paper("x", state="reading", progress=Reading(3, 12)), "reading, page 3 of 12"),
        (Paper("x", state="reading", progress=Reading(3, None)), "reading, page 3"),
        (
            Paper("x", state="reading", progress=Downloading("h", 1_500_000, 3_000_000)),
            "fetching, 1.5 of 3.0 MB",
        ),
        (Paper("x", state="reading", progress=Downloading("h", 1_500_000, None)), "fetching, 1.5 MB"),
        (Paper("x", state="locked", problem="It is locked."), "needs its password"),
        (Paper("x", state="read", document=document()), "2 pages"),
        (Paper("x", state="summarizing"), "summarizing"),
        (Paper("x", state="summarizing", progress=Queued(2)), "place 2 in the queue"),
        (
            Paper("x", state="summarizing", progress=Working("writing", "the paper", 1, 2, 0.25, None, ())),
            "summarizing, 25%",
        ),
        (Paper("x", state="summarizing", progress=Read(document())), "summarizing"),
        (Paper("x", state="done", summary=summary()), "summarized"),
        (Paper("x", state="stopped"), "stopped"),
        (Paper("x", state="stopped", summary=summary(complete=False)), "stopped; what was written is here"),
        (Paper("x", state="failed", problem="It is broken."), "It is broken."),
    ],
)
def test_every_state_has_its_words(paper: Paper, words: str) -> None:
    assert state(paper, 3) == words


def test_the_paper_that_is_shown_is_marked_and_only_work_can_be_stopped() -> None:
    papers = [Paper("a.pdf", state="reading"), Paper("b.pdf", state="done")]
    shown = shelf(papers, papers[1], {})
    assert shown.count('aria-current="true"') == 1
    assert re.search(rf'data-paper="{papers[1].id}" aria-current', shown)
    assert re.findall(r'data-action="(\w+)"', shown) == ["open", "stop", "delete", "open", "delete"]
    assert shelf([], None, {}) == ""


def test_names_of_strangers_are_text() -> None:
    evil = '<img src=x onerror="x">'
    papers = [
        Paper(evil),
        Paper("x", state="done", document=document(title=evil)),
        Paper("x", state="failed", problem=evil),
    ]
    shown = shelf(papers, None, {})
    assert "<img" not in shown and 'onerror="' not in shown
    assert shown.count("&lt;img") >= 3
