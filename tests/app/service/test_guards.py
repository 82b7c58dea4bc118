"""What comes in and what does not, before anything is done for it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from app.service import guards as module
from app.service.guards import CLOSED, MOST_BODY_BYTES, Guards
from app.service.health import Counters
from app.settings import Host, Settings

HOST = Host.of({})


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


def client(**settings: Any) -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", _echo, methods=["GET", "POST", "OPTIONS"])])
    guards = Guards(app, Settings(**settings), HOST, Counters())
    return TestClient(guards, base_url="http://localhost:7860", raise_server_exceptions=True)


def test_every_answer_says_what_browsers_may_do() -> None:
    for path in ("/", "/gradio_api/process_recording"):
        headers = client().get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["referrer-policy"] == "no-referrer"


def test_browsers_are_told_apart_by_what_no_script_can_read() -> None:
    server = client()
    first, again = server.get("/").headers.get("set-cookie", ""), server.get("/").headers.get("set-cookie")
    assert first.startswith("longt5-browser=")
    assert len(first.partition("=")[2].partition(";")[0]) >= 32
    assert "HttpOnly" in first and "SameSite=Lax" in first
    assert again is None  # it has one
    assert "set-cookie" not in client().get("/gradio_api/info").headers


def test_a_space_is_reached_by_its_name_and_shown_in_a_page_of_the_hub() -> None:
    host = Host.of({"SPACE_ID": "a/b", "SPACE_HOST": "a-b.hf.space", "GRADIO_SERVER_NAME": "0.0.0.0"})
    server = TestClient(Guards(Starlette(), Settings(), host, Counters()), base_url="https://a-b.hf.space")
    answer = server.get("/", headers={"Origin": "https://a-b.hf.space"})
    assert answer.status_code == 404
    assert "https://huggingface.co" in answer.headers["content-security-policy"]
    assert "x-frame-options" not in answer.headers


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost:7860", True),
        ("127.0.0.1:7860", True),
        ("192.168.1.7", True),
        ("[::1]:7860", True),
        ("papers.example.org", True),
        ("PAPERS.example.org:443", True),
        ("evil.example", False),
        ("papers.example.org.evil.example", False),
        ("localhost@evil.example", False),
        ("", False),
    ],
)
def test_only_its_own_names_are_answered(host: str, answered: bool) -> None:
    answer = client(hosts=("papers.example.org",)).get("/", headers={"Host": host})
    assert answer.status_code == (200 if answered else 421)


@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        ({"Origin": "http://localhost:7860"}, True),
        ({"Origin": "https://papers.example.org"}, True),
        ({"Origin": "http://localhost:1234"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, False),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, True),
        ({}, True),
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str], answered: bool) -> None:
    server = client(hosts=("papers.example.org",))
    for ask in (server.get, server.post, server.options):
        assert ask("/gradio_api/upload", headers=headers).status_code == (200 if answered else 403)


def test_a_link_from_elsewhere_leads_to_the_page_and_to_nothing_else() -> None:
    following = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client().get("/", headers=following).status_code == 200
    assert client().get("/gradio_api/info", headers=following).status_code == 403
    assert client().post("/", headers=following).status_code == 403


@pytest.mark.parametrize("path", CLOSED)
def test_doors_that_nothing_goes_through_are_shut(path: str) -> None:
    assert client().get(path).status_code == 404
    assert client().post(path + "/x", content=b"x").status_code == 404


@pytest.mark.parametrize(
    ("path", "size", "answered"),
    [
        ("/gradio_api/queue/join", MOST_BODY_BYTES, True),
        ("/gradio_api/queue/join", MOST_BODY_BYTES + 1, False),
        ("/gradio_api/upload", 2 * MOST_BODY_BYTES, True),
        ("/gradio_api/upload", 3 * MOST_BODY_BYTES, False),
        ("/gradio_api/mcp/", 5 * MOST_BODY_BYTES // 2, True),
        ("/gradio_api/mcp/", 3 * MOST_BODY_BYTES, False),
    ],
)
def test_bodies_have_a_limit_whether_they_say_their_length_or_not(
    path: str, size: int, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This client never says that its body is at its end.
    monkeypatch.setattr("app.service.guards.RUN_OFF_SECONDS", 0.1)
    server = client(max_upload_bytes=2 * MOST_BODY_BYTES, mcp=True)

    def pieces() -> Iterator[bytes]:
        for start in range(0, size, 2**16):
            yield bytes(min(2**16, size - start))

    for content in (bytes(size), pieces()):
        answer = server.post(path, content=content)
        assert answer.status_code == (200 if answered else 413)
        assert answer.text == str(size) if answered else "MB" in answer.text


def test_a_user_and_a_password_are_asked_for() -> None:
    server = client(auth=("ada", "lace:1815"))
    refused = server.get("/")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert server.get("/healthz").status_code == 200
    assert server.get("/", auth=("ada", "lace:1815")).status_code == 200
    for user, password in (("ada", "wrong"), ("", ""), ("ada:lace", "1815x")):
        assert server.get("/", auth=(user, password)).status_code == 401
    for header in ("Basic", "Basic !!!", "Bearer x", f"Basic {base64.b64encode(bytes([255])).decode()}"):
        assert server.get("/", headers={"Authorization": header}).status_code == 401


def test_clients_of_gradio_log_in_by_a_form() -> None:
    server = client(auth=("ada", "lace"))
    assert server.post("/login", data={"username": "ada", "password": "no"}).status_code == 400
    assert server.get("/").status_code == 401
    assert server.get("/", headers={"Cookie": "access-token-longt5="}).status_code == 401
    assert server.post("/login", data={"username": "ada", "password": "lace"}).status_code == 200
    assert server.get("/").status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"no form", "multipart/form-data", 400),
        (b"--x\r\nno form", "multipart/form-data; boundary=x", 400),
        (b"username=" + bytes(2**17), "application/x-www-form-urlencoded", 413),
    ],
)
def test_a_login_that_is_none_is_refused(content: bytes, kind: str, status: int) -> None:
    def pieces() -> Iterator[bytes]:
        yield content

    for body in (content, pieces()):
        answer = client(auth=("ada", "lace")).post("/login", content=body, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "Traceback" not in answer.text and answer.text


async def asked(guards: Guards, address: str, receive: Receive) -> tuple[int, str]:
    """Status and text of the answer to a POST of 10 bytes from an address, whose body comes by `receive`."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/x", "scheme": "http", "client": (address, 1)}
    headers = [(b"host", b"localhost"), (b"content-length", b"10")]
    await guards({**scope, "headers": headers}, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent).decode()


def test_a_body_that_stops_coming_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.05)
    monkeypatch.setattr(module, "RUN_OFF_SECONDS", 0.05)
    parts: list[Message] = [{"type": "http.request", "body": b"12345", "more_body": True}]

    async def receive() -> Message:
        return parts.pop() if parts else await asyncio.Future()

    app = Starlette(routes=[Route("/{path:path}", _echo, methods=["POST"])])
    answer = asyncio.run(asked(Guards(app, Settings(), HOST, Counters()), "10.0.0.1", receive))
    assert answer == (408, module.SILENT)


def test_an_address_has_so_many_requests_at_work_and_others_theirs() -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": bytes(10), "more_body": False}

    async def ask_all() -> None:
        done = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await done.wait()
            await PlainTextResponse("done")(scope, receive, send)

        guards = Guards(app, Settings(queue_size=2), HOST, Counters())
        most = Settings(queue_size=2).most_requests // 4
        waiting = [asyncio.create_task(asked(guards, "10.0.0.1", receive)) for _ in range(most)]
        await asyncio.sleep(0)
        assert await asked(guards, "10.0.0.1", receive) == (429, module.CROWDED.format(most=most))
        waiting.append(asyncio.create_task(asked(guards, "10.0.0.2", receive)))
        await asyncio.sleep(0)
        done.set()
        assert await asyncio.gather(*waiting) == (most + 1) * [(200, "done")]
        assert await asked(guards, "10.0.0.1", receive) == (200, "done")

    asyncio.run(ask_all())


@given(st.dictionaries(st.sampled_from("host origin cookie authorization content-length".split()), st.text()))
def test_no_header_breaks_it(headers: dict[str, str]) -> None:
    guards = Guards(Starlette(), Settings(auth=("a", "b")), HOST, Counters())
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    no = guards._refusal("POST", "/", Headers(raw=raw))
    assert no is not None
