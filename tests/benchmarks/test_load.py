"""Some people at once at the real server, hostile files and a greedy one among them: what has to hold at any speed."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator

import pytest

from benchmarks._people import GREEDY_AT_ONCE, Crowd, Visit
from benchmarks.load import Server, findings, left_behind, most_turns
from tests.page_server import running, tiny_model

PEOPLE = 6


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, subprocess.Popen[bytes]]]:
    folder = tmp_path_factory.mktemp("load")
    (folder / "uploads").mkdir()
    proxies = {"LONGT5_PROXIES": "127.0.0.1"}
    with running(tiny_model(folder / "tiny"), folder / "uploads", **proxies) as (address, process):
        yield Server(address.rstrip("/"), process), process


def test_everybody_is_served_in_turn_and_nothing_is_left_behind(
    started: tuple[Server, subprocess.Popen[bytes]],
) -> None:
    server, _ = started
    crowd = Crowd(server.address, PEOPLE)
    asyncio.run(crowd.play(0, 200))
    deadline = time.monotonic() + 10
    while not left_behind(server).holds and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left_behind(server).holds, left_behind(server).found
    visits = crowd.visits
    assert len(visits) == PEOPLE - 1 + GREEDY_AT_ONCE
    assert any(visit.hostile for visit in visits)
    by_speed = ("the first word", "the longest wait")
    missed = [one for one in findings(visits) if not one.holds and not one.what.startswith(by_speed)]
    assert not missed, missed
    assert all(visit.first_word is not None for visit in visits)
    assert any(visit.lined_up is not None for visit in visits)


def test_a_server_that_goes_away_is_reported_and_not_waited_for(
    started: tuple[Server, subprocess.Popen[bytes]],
) -> None:
    """The last that is asked of it."""
    server, process = started

    async def play() -> list[Visit]:
        crowd = Crowd(server.address, 3)
        playing = asyncio.create_task(crowd.play(60, 100))
        await asyncio.sleep(2)
        process.kill()
        await asyncio.wait_for(playing, 100)
        return crowd.visits

    visits = asyncio.run(play())
    assert any(visit.lost for visit in visits)
    assert not findings(visits)[0].holds


@pytest.mark.parametrize(("turns", "most"), [("b", 1), ("b b b", 3), ("c b c", 2), ("", 0)])
def test_turns_of_others_are_counted_while_somebody_waits(turns: str, most: int) -> None:
    waiting = Visit(0, "paper.pdf", False, lined_up=0.0, turn=100.0)
    others = [Visit(ord(name), "paper.pdf", False, turn=1.0 + at) for at, name in enumerate(turns.split())]
    later = Visit(ord("b"), "paper.pdf", False, turn=101.0)
    assert most_turns([waiting, *others, later]) == most
