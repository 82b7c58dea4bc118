"""Who takes a paper, and what is done with one that ends its workers."""

from __future__ import annotations

from app.corpus.desk import Desk


def test_the_first_name_of_a_paper_stands_for_it_however_often_it_asks() -> None:
    desk = Desk(["finished"])
    assert desk.claim("hash", "a.pdf") and desk.claim("hash", "a.pdf")
    assert not desk.claim("hash", "b.pdf")
    assert not desk.claim("finished", "c.pdf")


def test_what_ends_its_worker_twice_is_given_up() -> None:
    desk = Desk([])
    assert [desk.begin("a") for _ in range(4)] == ["go", "go", "give up", "give up"]


def test_what_came_to_its_end_may_come_again() -> None:
    desk = Desk([])
    for _ in range(3):  # the worker ended only after its work was done
        assert desk.begin("a") == "go"
        desk.end("a")


def test_a_stop_tells_what_is_on_its_way_and_begins_nothing() -> None:
    desk = Desk([])
    for work in "ab":
        desk.begin(work)
    desk.end("a")
    assert desk.stop() == ["b", "a"]
    assert desk.begin("b") == desk.begin("c") == "stop"
    assert desk.stop() == ["a"]
