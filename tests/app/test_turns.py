from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.summarizing.settings import SummaryError
from app.turns import MARGIN, Caller, Ticket, TurnQueue
from app.work import Stopped


def test_first_come_first_served_with_a_visible_place() -> None:
    turns = TurnQueue(10)
    order: list[str] = []
    seen: dict[str, list[int]] = {"b": [], "c": []}
    joined = threading.Semaphore(0)

    def work(name: str) -> None:
        with turns.join() as ticket:
            for ahead in ticket.positions():
                seen[name].append(ahead)
                joined.release()
            order.append(name)

    threads = []
    with turns.join() as ticket:
        assert list(ticket.positions()) == []
        for name in ("b", "c"):
            threads.append(threading.Thread(target=work, args=(name,)))
            threads[-1].start()
            joined.acquire()
        order.append("a")
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c"]
    assert seen["b"] == [1]
    assert seen["c"][0] == 2  # and perhaps 1, if it was seen in between


def test_whoever_waits_can_be_stopped_and_gives_up_the_place() -> None:
    turns, stop = TurnQueue(10), threading.Event()
    with turns.join() as first:
        assert list(first.positions()) == []
        with pytest.raises(Stopped), turns.join() as second:
            for ahead in second.positions(stop):
                assert ahead == 1
                stop.set()
        with turns.join() as third:
            assert next(third.positions()) == 1


def test_a_failure_gives_up_the_turn() -> None:
    turns = TurnQueue(10)
    with pytest.raises(ZeroDivisionError), turns.join():
        raise ZeroDivisionError
    with turns.join() as ticket:
        assert list(ticket.positions()) == []


def test_a_full_queue_says_so() -> None:
    turns = TurnQueue(2)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(turns.join())
        with pytest.raises(SummaryError, match="2 summaries are already waiting"):
            stack.enter_context(turns.join())
    with turns.join():
        pass


def caller(name: str) -> Caller:
    """`a1` is the caller 1 at the address a."""
    return Caller(name[0], name[1:])


def order(turns: TurnQueue, tickets: dict[str, Ticket]) -> list[str]:
    """Those who wait, by their places."""
    places = {name: turns.wait_while_ahead_is(None, ticket) for name, ticket in tickets.items()}
    return sorted((name for name, place in places.items() if place), key=places.__getitem__)


@pytest.mark.parametrize(
    ("come", "served"),
    [
        ("a1 a1 a1 b1", "a1 b1 a1 a1"),  # by address
        ("a1 a1 a1 a2", "a1 a2 a1 a1"),  # at one address by caller
        ("a1 a2 a3 a4 b1 c1", "a1 b1 c1 a2 a3 a4"),  # many names at one address are worth one
        ("a1 a2 a3", "a1 a2 a3"),  # among equals by time
    ],
)
def test_turns_go_round_by_visitor(come: str, served: str) -> None:
    turns = TurnQueue(10)
    with ExitStack() as stack:
        names = [f"{name}.{number}" for number, name in enumerate(come.split())]
        tickets = {name: stack.enter_context(turns.join(caller(name.partition(".")[0]))) for name in names}
        assert [name.partition(".")[0] for name in order(turns, tickets)] == served.split()[1:]


def test_a_visitor_has_a_share() -> None:
    turns = TurnQueue(10, share=2)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(turns.join(caller("a1")))
        with pytest.raises(SummaryError, match="already have 2"):
            stack.enter_context(turns.join(caller("a1")))
        stack.enter_context(turns.join(caller("a2")))
    with turns.join(caller("a1")):
        pass


def test_who_fills_the_queue_makes_room_for_others() -> None:
    turns = TurnQueue(3)
    with ExitStack() as stack:
        tickets = {f"a{i}": stack.enter_context(turns.join(caller(f"a{i}"))) for i in range(4)}
        tickets["b1"] = stack.enter_context(turns.join(caller("b1")))
        with pytest.raises(SummaryError, match="3 summaries are already waiting"):
            list(tickets.pop("a3").positions())
        assert order(turns, tickets) == ["b1", "a1", "a2"]
        with pytest.raises(SummaryError):  # of the three who wait, nobody has two more than this address
            stack.enter_context(turns.join(caller("b2")))


def test_several_turns_at_once() -> None:
    turns = TurnQueue(10, turns_at_once=2)
    with turns.join() as first, turns.join() as second:
        assert list(first.positions()) == list(second.positions()) == []
        with turns.join() as third:
            assert next(third.positions()) == 1


def test_how_long_it_takes_is_foretold() -> None:
    turns = TurnQueue(10)
    assert turns.seconds_until(1) is None
    with turns.join():
        time.sleep(0.1)
    with turns.join(), turns.join(), turns.join():
        one, two = turns.seconds_until(1), turns.seconds_until(2)
    assert one is not None and two is not None
    assert 0.02 < one <= 0.15
    assert two == pytest.approx(one + 0.1, abs=0.06)


def test_slow_turns_and_stopped_ones_foretell_nothing() -> None:
    turns = TurnQueue(10)
    for seconds in (0.1, 0.4, 0.1):
        with turns.join():
            time.sleep(seconds)
    with pytest.raises(Stopped), turns.join(work=1000):
        raise Stopped
    with turns.join(), turns.join(), turns.join():
        one, two = (turns.seconds_until(ahead) or 0.0 for ahead in (1, 2))
    assert two - one == pytest.approx(0.1, abs=0.05)


def test_short_turns_that_take_long_for_their_work_foretell_as_well() -> None:
    turns = TurnQueue(10)
    for work in (1, 1, 4, 4, 4, 4):
        with turns.join(work=work):
            time.sleep(0.1)
    with turns.join(), turns.join(work=10), turns.join():
        one, two = (turns.seconds_until(ahead) or 0.0 for ahead in (1, 2))
    assert two - one == pytest.approx(MARGIN * 10 * 0.5 / 17, abs=0.05)  # five turns of six


def test_turns_of_a_rush_foretell_nothing_once_it_is_over() -> None:
    rush = [True]
    turns = TurnQueue(10, in_rush=lambda: rush[0])

    def foretold() -> float:
        with turns.join(), turns.join(), turns.join():
            one, two = (turns.seconds_until(ahead) or 0.0 for ahead in (1, 2))
        return two - one

    def take(*seconds: float) -> None:
        for each in seconds:
            with turns.join():
                time.sleep(each)

    take(0.3, 0.3, 0.2, 0.2)
    assert foretold() == pytest.approx(0.2, abs=0.04)  # the faster half
    rush[0] = False
    turns = TurnQueue(10, in_rush=lambda: rush[0])
    take(0.05, 0.1, 0.1, 0.5)
    rush[0] = True
    take(0.4, 0.02, 0.02)
    assert foretold() == pytest.approx(MARGIN * 0.25 / 3, abs=0.03)  # the steady ones but for the slowest


def test_more_work_is_foretold_to_take_longer() -> None:
    turns = TurnQueue(10, given_up_after=0.35)
    with turns.join(work=10):
        time.sleep(0.1)
    with ExitStack() as stack:
        for work in (10, 20, 30, 100):
            stack.enter_context(turns.join(work=work))
        waits = [turns.seconds_until(ahead) or 0.0 for ahead in (1, 2, 3, 4)]
    lasting = [after - before for before, after in pairwise(waits)]
    # The last but one is 1 s of work, of which others are let in after a third.
    assert lasting == pytest.approx([0.2, 0.3, 0.35], abs=0.09)


def test_several_turns_at_once_are_foretold_side_by_side() -> None:
    turns = TurnQueue(10, turns_at_once=2)
    with turns.join():
        time.sleep(0.1)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(turns.join())
        first, second, third = (turns.seconds_until(ahead) or 0.0 for ahead in (1, 2, 3))
    assert first == pytest.approx(second, abs=0.03) and third == pytest.approx(first + 0.1, abs=0.05)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12")), max_size=12))
def test_nobody_is_served_again_before_another_who_came_and_waits(come: list[tuple[str, str]]) -> None:
    """Of any two that wait, the second turn of one address comes after the first of every other."""
    turns = TurnQueue(20)
    with ExitStack() as stack:
        stack.enter_context(turns.join(Caller("nobody")))
        tickets = {
            f"{address}{token}.{number}": stack.enter_context(turns.join(Caller(address, token)))
            for number, (address, token) in enumerate(come)
        }
        served = [name[0] for name in order(turns, tickets)]
    for place, address in enumerate(served):
        before = served[:place].count(address)
        assert all(served[:place].count(other) >= before for other in set(served[place:]) - {address})


@given(st.lists(st.sampled_from("a1 a1 a2 b1 c1 d1 e1 done done".split()), max_size=60))
def test_while_somebody_waits_nobody_else_has_two_turns(happening: list[str]) -> None:
    """Whatever comes and gets done in whatever order: neither does a second turn come before a first."""
    turns = TurnQueue(100)
    here: list[tuple[str, ExitStack, Ticket]] = []
    had: dict[
        Ticket, list[str]
    ] = {}  # whose turns began while a ticket waited, since the last of its own address
    at_work: Ticket | None = None

    def look() -> None:
        """Takes down who has his turn now."""
        nonlocal at_work
        for name, _, ticket in here:
            if ticket is not at_work and turns.wait_while_ahead_is(None, ticket) == 0:
                at_work = ticket
                had.pop(ticket)
                for other, _, waiting in here:
                    if waiting in had and other[0] == name[0]:
                        had[waiting].clear()
                    elif waiting in had:
                        assert name[0] not in had[waiting]
                        had[waiting].append(name[0])

    for what in [*happening, *["done"] * len(happening)]:
        if what != "done":
            stack = ExitStack()
            ticket = stack.enter_context(turns.join(caller(what)))
            here.append((what, stack, ticket))
            had[ticket] = []
        elif here:
            done = next(one for one in here if one[2] is at_work)
            here.remove(done)
            done[1].close()
        look()
    assert not here and not len(turns)


def test_newcomers_do_not_keep_a_second_turn_waiting_for_ever() -> None:
    turns = TurnQueue(100)
    at_work = ExitStack()
    at_work.enter_context(turns.join(caller("a1")))
    places = []
    with turns.join(caller("a1")) as second:
        for number in range(20):
            newcomer = ExitStack()
            newcomer.enter_context(turns.join(Caller(f"b{number}")))
            places.append(turns.wait_while_ahead_is(None, second))
            at_work.close()
            at_work = newcomer
        at_work.close()
    assert places[:3] == [2, 2, 2]
    assert 0 in places
