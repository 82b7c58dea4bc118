"""A visitor's paper: what it opens."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from app.documents import ReadingLimits
from app.page.papers import Paper
from tests.app.page.papers import document


def test_its_pages_are_the_same_for_all_who_ask_at_once() -> None:
    people = 16
    together = threading.Barrier(people)

    def look(paper: Paper) -> str:
        together.wait()
        pages = paper.open(ReadingLimits())
        assert pages is not None
        return pages.key

    for _ in range(20):
        paper = Paper("sparse.pdf", document=document())
        with ThreadPoolExecutor(people) as pool:
            assert len(set(pool.map(look, people * [paper]))) == 1


def test_what_was_read_anew_has_new_pages_and_what_was_not_read_none() -> None:
    paper = Paper("sparse.pdf")
    assert paper.open(ReadingLimits()) is None
    paper.document = document()
    first = paper.open(ReadingLimits())
    assert first is not None and paper.open(ReadingLimits()) is first
    paper.document = document("again.pdf")
    assert paper.open(ReadingLimits()) is not first
