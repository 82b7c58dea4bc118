"""A tab keeps in step with the work, and lets go when it turns to something else."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.documents import Reading
from app.page.following import follow
from app.page.streaming import Update
from app.page.visitors import Tab, Visitors
from app.summarizing.summary import Read
from tests.app.page.papers import document

# An event's last update is sent once more when it ends: by then somebody else may have said something newer.
NOTHING = dict.fromkeys(("state", "progress", "said"), gr.skip())


@pytest.fixture
def tab() -> Iterator[Tab]:
    visitors = Visitors(60, 10**9)
    yield visitors.enter("a")
    visitors.close()


def view(tab: Tab, values: Update) -> Update:
    paper = tab.paper
    return {"state": paper and paper.state, "progress": paper and paper.progress, "said": values.get("said")}


def start(tab: Tab, go: threading.Event, pages: int = 3) -> None:
    def work(stop: threading.Event) -> Iterator[Any]:
        go.wait(5)
        for page in range(1, pages + 1):
            yield Reading(page, pages)
            stop.wait(0.2)
        yield Read(document())

    paper = tab.visitor.add("x")
    tab.show(paper)
    tab.visitor.desk.start(paper, "reading", work)


def test_without_work_it_is_shown_once(tab: Tab) -> None:
    assert list(follow(tab, {"said": 1}, [view])) == [{"state": None, "progress": None, "said": 1}]


def test_who_is_overtaken_when_all_has_been_said_says_nothing_at_the_end_either(tab: Tab) -> None:
    updates = follow(tab, {}, [view])
    next(updates)
    tab.turn()
    assert list(updates) == [NOTHING]


def test_all_that_changed_comes_and_the_end_is_whole(tab: Tab) -> None:
    go = threading.Event()
    start(tab, go)
    updates = follow(tab, {}, [view])
    assert set(next(updates)) == {"state", "progress", "said"}
    go.set()
    rest = list(updates)
    assert rest[-1] == {"state": "read", "progress": None, "said": None}
    assert all("said" not in update for update in rest[:-1])
    assert all(set(a) <= set(b) for a, b in itertools.pairwise(rest))


@pytest.mark.parametrize("happening", ["turn", "close", "follow"])
def test_it_ends_when_the_tab_turns_away_and_the_work_goes_on(tab: Tab, happening: str) -> None:
    go = threading.Event()
    start(tab, go)
    updates = follow(tab, {}, [view])
    next(updates)
    if happening == "turn":
        tab.show(None)
    elif happening == "close":
        tab.closed = True
    else:
        next(follow(tab, {}, [view]))
    go.set()
    assert list(updates) == [NOTHING]
    assert tab.visitor.working


def test_a_deleted_paper_is_let_go(tab: Tab, tmp_path: Path) -> None:
    start(tab, threading.Event())
    updates = follow(tab, {}, [view])
    next(updates)
    assert tab.paper is not None
    tab.visitor.delete(tab.paper)
    assert list(updates) == [NOTHING]
    assert next(iter(follow(tab, {}, [view])))["state"] is None
