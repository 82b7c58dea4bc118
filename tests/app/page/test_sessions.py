"""What the server keeps for a page, and for how long."""

from __future__ import annotations

import time
from pathlib import Path

from app.page.sessions import Sessions


def test_a_page_finds_what_it_left() -> None:
    sessions = Sessions(60)
    session = sessions.open("a")
    assert sessions.open("a") is session
    assert sessions.find("a") is session
    assert sessions.find("b") is None


def test_leaving_stops_the_work_and_deletes_the_file(tmp_path: Path) -> None:
    upload = tmp_path / "locked.pdf"
    upload.write_text("waits for its password")
    sessions = Sessions(60)
    session = sessions.open("a")
    session.upload = upload
    stop, maps_stop = session.begin(), session.begin_maps()
    sessions.drop("a")
    assert stop.is_set()
    assert maps_stop.is_set()
    assert not upload.exists()
    assert sessions.find("a") is None
    sessions.drop("a")


def test_new_work_ends_the_old() -> None:
    session = Sessions(60).open("a")
    first = session.begin()
    second = session.begin()
    assert first.is_set()
    assert not second.is_set()
    session.end(first)
    assert session.working
    session.end(second)
    assert not session.working


def test_the_idlest_go_when_there_are_too_many_but_never_one_at_work() -> None:
    sessions = Sessions(60, most=2)
    sessions.open("busy").begin()
    sessions.open("idle")
    sessions.open("new")
    assert sessions.find("idle") is None
    assert sessions.find("busy") is not None
    assert len(sessions) == 2


def test_an_idle_page_is_forgotten() -> None:
    sessions = Sessions(0.05)
    sessions.open("a")
    sessions.open("busy").begin()
    time.sleep(0.1)
    sessions.open("b")
    assert sessions.find("a") is None
    assert sessions.find("busy") is not None
