"""What one visitor knows of another, and a server that asks for a password and takes few files an hour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gradio_client import Client

from app.page.paper_view import CLOSED
from tests.app.factories import make_model
from tests.page_server import page_event, serve

USER, PASSWORD = "ada", "lace:1815"
FILES = 3
MINE = {"Cookie": "longt5-browser=mine"}
SOMEBODY_ELSES = {"Cookie": "longt5-browser=somebody-elses"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("strangers")
    (folder / "uploads").mkdir()
    settings = {
        "LONGT5_AUTH": f"{USER}:{PASSWORD}",
        "LONGT5_UPLOADS_PER_HOUR": str(FILES),
        "LONGT5_PROXIES": "127.0.0.1",
        "LONGT5_MCP": "1",
        "LONGT5_METRICS": "1",
    }
    short = {"max_new_tokens": 16, "max_input_tokens": 1024, "long_papers": "truncate", "sections": False}
    model = make_model(folder / "tiny", generation=short)
    with serve(model, folder / "uploads", **settings) as address:
        yield address


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, auth=(USER, PASSWORD), timeout=60) as browser:
        yield browser


def press(browser: httpx.Client, button: str, session: str, cookie: dict[str, str]) -> str:
    """What the page is told when its button of that id is pressed, to the end."""
    return page_event(browser, "click", button, session, headers=cookie)


def ask_paper(browser: httpx.Client, function: str, session: str, **asked: Any) -> Any:
    config = browser.get("/config").json()
    paper = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "paper")
    body = {"component_id": paper, "fn_name": function, "data": asked, "session_hash": session}
    return browser.post("/gradio_api/component_server/", json=body).json()


def test_a_paper_is_its_visitor_s_alone(browser: httpx.Client) -> None:
    """Who knows how another page calls itself gets nothing with it; only the key opens, and nobody can guess that."""
    told = press(browser, "example", "my-page", MINE)
    (key,) = {
        word
        for word in re.findall(r'"([\w-]{32})"', told)
        if "pages" in ask_paper(browser, "paper_layout", "my-page", key=word)
    }
    for function in ("paper_layout", "paper_page", "paper_places", "paper_search", "paper_position"):
        for guess in ("", "my-page", key[:-1], key.lower() + "A", None, [key]):
            assert ask_paper(browser, function, "my-page", key=guess) == {"gone": CLOSED}
    press(browser, "summarize-all", "my-page", MINE)
    for button in ("download-all-md", "download-all-csv"):
        assert "summaries." in press(browser, button, "my-page", MINE)
        assert "summaries." not in press(browser, button, "my-page", SOMEBODY_ELSES)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/config"),
        ("GET", "/metrics"),
        ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/queue/join"),
        ("POST", "/gradio_api/call/summarize"),
        ("POST", "/gradio_api/component_server/"),
        ("POST", "/gradio_api/mcp/"),
    ],
)
def test_without_the_password_no_door_opens(address: str, method: str, path: str) -> None:
    for auth in (None, (USER, "wrong")):
        answer = httpx.request(
            method, address.rstrip("/") + path, auth=auth, json={} if method == "POST" else None
        )
        assert answer.status_code == 401
        assert answer.text == "Say who you are: this server asks for a user and a password."


def test_health_is_open_and_programs_come_in_with_the_password(address: str) -> None:
    assert httpx.get(f"{address}healthz").status_code in (200, 503)
    client = Client(address, auth=(USER, PASSWORD), verbose=False)
    assert client.predict(api_name="/models")[0]["name"]
    with pytest.raises(ValueError, match="Could not login"):
        Client(address, auth=(USER, "wrong"), verbose=False)


def test_an_address_sends_so_many_files_an_hour_and_others_theirs(browser: httpx.Client) -> None:
    def send(sender: str) -> httpx.Response:
        return browser.post(
            "/gradio_api/upload", files={"files": ("a.txt", b"words")}, headers={"X-Forwarded-For": sender}
        )

    assert [send("10.1.1.1").status_code for _ in range(FILES)] == [200] * FILES
    refused = send("10.1.1.1")
    assert refused.status_code == 429
    assert refused.text.startswith(f"{FILES} files came from your address within the last hour")
    assert send("10.1.1.2").status_code == 200
