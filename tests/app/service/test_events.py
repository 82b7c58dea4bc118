"""Gradio's queue within limits, through Gradio itself: shares of addresses, results that nobody fetches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.service import events as module
from app.service.events import NOT_UNDERSTOOD, TOO_MANY_EVENTS, TOO_MANY_RESULTS, Events, understood

SHARE = 3


@contextmanager
def served(
    function: Callable[..., object],
    *inputs: gr.components.Component,
    at_once: int | None = None,
    share: int = SHARE,
) -> Iterator[FastAPI]:
    """A page with one function, "ask", whose queue is ours."""
    with gr.Blocks(analytics_enabled=False) as page:
        gr.Button().click(function, list(inputs), gr.JSON(), api_name="ask", concurrency_limit=at_once)
    page.queue(api_open=False)
    page._queue = Events(page, size=20, share=share, limit=4)
    page.preprocess_data = understood(page.preprocess_data)  # type: ignore[method-assign]
    app = FastAPI()
    app.state.events = page._queue
    gr.mount_gradio_app(app, page, "/")
    page.has_launched = True  # without which Gradio takes any file for an upload
    with TestClient(app) as client:
        app.state.client = client
        yield app


def client_at(app: FastAPI, address: str) -> TestClient:
    return TestClient(app, client=(address, 1))


def call(client: TestClient, *values: object) -> tuple[int, str]:
    """Asks, and does not fetch the answer: the status, and the event or the sentence."""
    answer = client.post("/gradio_api/call/ask", json={"data": list(values)})
    return answer.status_code, answer.json().get("event_id") or answer.json()["detail"]


def fetch(client: TestClient, event: str) -> str:
    return client.get(f"/gradio_api/call/ask/{event}").text


def unread(events: Events) -> list[str]:
    """Sessions for which something lies there."""
    return [name for name, messages in events.pending_messages_per_session.items() if messages.qsize()]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_address_has_its_share_of_events_and_others_theirs() -> None:
    done = threading.Event()

    def ask() -> list[int]:
        done.wait(20)
        return [7]

    with served(ask) as app:
        one, other = client_at(app, "10.0.0.1"), client_at(app, "10.0.0.2")
        asked = [call(one) for _ in range(SHARE)]
        assert [status for status, _ in asked] == SHARE * [200]
        assert call(one) == (503, TOO_MANY_EVENTS.format(most=SHARE))
        status, event = call(other)
        assert status == 200
        done.set()
        assert "7" in fetch(other, event)
        assert all("7" in fetch(one, event) for _, event in asked)
        assert call(one)[0] == 200


def test_whoever_asks_seldom_does_not_wait_for_whoever_asks_often() -> None:
    """Of a kind of which one is at work at a time."""
    answered: list[str] = []
    begun, done = threading.Event(), threading.Event()

    def ask(name: str) -> list[str]:
        begun.set()
        done.wait(20)
        answered.append(name)
        return [name]

    with served(ask, gr.Textbox(), at_once=1, share=10) as app:
        one, other = client_at(app, "10.0.0.1"), client_at(app, "10.0.0.2")
        asked = [call(one, "first")]
        assert begun.wait(20)
        asked += [call(one, f"again {number}") for number in range(3)]
        asked += [call(other, f"other {number}") for number in range(2)]
        done.set()
        for _, event in asked:
            assert "complete" in fetch(one, event)
    assert answered == ["first", "other 0", "again 0", "other 1", "again 1", "again 2"]


def test_results_that_are_not_fetched_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RESULTS", 4)
    with served(lambda: [7]) as app:
        one, other, events = client_at(app, "10.0.0.1"), client_at(app, "10.0.0.2"), app.state.events
        first = call(one)[1]
        for number in range(2, 5):
            assert call(one)[0] == 200
            eventually(lambda number=number: len(events._results) == number)  # type: ignore[misc]
        assert call(one) == (503, TOO_MANY_RESULTS.format(most=4))
        assert call(other)[0] == 200
        assert "7" in fetch(one, first)
        assert call(one)[0] == 200
        eventually(lambda: len(events._results) == 5)
        monkeypatch.setattr(module, "MOST_RESULTS_OF_ALL", 2)
        events.sweep()
        assert len(events._results) == len(unread(events)) == 2
        monkeypatch.setattr(module, "RESULT_SECONDS", 0.0)
        events.sweep()
        assert not events._results and not unread(events)
        assert not any(events.pending_event_ids_session.values())


def test_work_that_nobody_listens_to_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MESSAGES", 10)
    ended = threading.Event()

    def ask() -> Iterator[list[int]]:
        try:
            for number in range(1_000_000):
                time.sleep(0.001)
                yield [number]
        finally:
            ended.set()

    with served(ask) as app:
        assert call(client_at(app, "10.0.0.1"))[0] == 200
        assert ended.wait(20)
        events = app.state.events
        eventually(lambda: not events.event_ids_to_events)
        assert all(messages.qsize() <= 10 for messages in events.pending_messages_per_session.values())


@pytest.mark.parametrize(
    "sent", [["x"], [5], [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}], []]
)
def test_what_cannot_be_understood_is_a_sentence(
    sent: list[object], capfd: pytest.CaptureFixture[str]
) -> None:
    with served(lambda file: [7], gr.File()) as app:
        client = client_at(app, "10.0.0.1")
        answer = fetch(client, call(client, *sent)[1])
    assert "event: error" in answer
    assert NOT_UNDERSTOOD in answer
    assert "Traceback" not in capfd.readouterr().err
