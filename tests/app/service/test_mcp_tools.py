"""The MCP tools through the official client: their schemas, a whole summary with its attention, every refusal."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from jsonschema import Draft202012Validator
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel import Server
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from app.models import ModelStore
from app.programs import BROKEN, MAPS, Programs
from app.service.mcp_tools import GONE, MOST_LARGE_BODIES, QUESTIONS_AT_ONCE, McpTools, _decoded, tools
from app.service.scratch import Scratch
from app.service.uploads import Uploads
from app.settings import Settings
from app.summarizing.settings import SETTINGS, SummaryError
from tests.app.service.test_server import upload
from tests.page_server import EXAMPLE, PASSWORD, paper_pdf, serve, tiny_model

T = TypeVar("T")
FAST = {"max_new_tokens": 24, "num_beams": 1, "max_input_tokens": 1024, "long_papers": "truncate"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mcp")
    (folder / "uploads").mkdir()
    paper_pdf(folder / "locked.pdf", password=PASSWORD)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serve(tiny_model(folder / "tiny"), folder / "uploads", LONGT5_MCP="1") as address:
        yield address


def session(address: str, use: Callable[[ClientSession], Awaitable[T]]) -> T:
    async def run() -> T:
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as client,
        ):
            await client.initialize()
            return await use(client)

    return asyncio.run(asyncio.wait_for(run(), 100))


def call(address: str, tool: str, **arguments: Any) -> types.CallToolResult:
    return session(address, lambda client: client.call_tool(tool, arguments))


def answer(result: types.CallToolResult) -> Any:
    """The JSON that a tool answered."""
    assert not result.isError, result.content
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    found = json.loads(content.text)
    assert result.structuredContent == (found if isinstance(found, dict) else {"result": found})
    return found


def refusal(result: types.CallToolResult) -> str:
    assert result.isError
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text


def data_uri(path: Path, kind: str = "application/pdf") -> str:
    return f"data:{kind};name={path.name};base64,{base64.b64encode(path.read_bytes()).decode()}"


def test_schemas_are_valid_and_name_everything(address: str) -> None:
    listed = session(address, lambda client: client.list_tools()).tools
    assert [tool.name for tool in listed] == ["summarize", "models", "attention_overview", "attention_map"]
    for tool in listed:
        Draft202012Validator.check_schema(tool.inputSchema)
        assert tool.description is not None
        texts = [tool.description, *(p["description"] for p in tool.inputSchema["properties"].values())]
        assert all(text[0].isupper() and text[-1] == "." for text in texts), texts
    schemas = {tool.name: tool.inputSchema for tool in listed}
    assert set(schemas["summarize"]["properties"]["settings"]["properties"]) == set(SETTINGS)
    assert schemas["attention_map"]["properties"]["view"]["enum"] == list(MAPS)


def test_the_example_is_summarized_and_its_attention_shown(address: str) -> None:
    said: list[str] = []

    async def use(client: ClientSession) -> tuple[types.CallToolResult, ...]:
        async def progress(progress: float, total: float | None, message: str | None) -> None:
            said.append(message or "")

        arguments = {"file": data_uri(EXAMPLE), "settings": FAST}
        summary = await client.call_tool("summarize", arguments, progress_callback=progress)
        summary_id = answer(summary)["summary_id"]
        overview = await client.call_tool("attention_overview", {"summary_id": summary_id})
        arguments = {"summary_id": summary_id, "view": "cross", "sentence": 0, "layer": 1}
        return summary, overview, await client.call_tool("attention_map", arguments)

    summary, overview, attention = map(answer, session(address, use))
    assert summary["file"] == "longt5-explained.pdf"
    assert summary["title"].startswith("Reading Long Papers")
    assert summary["settings"] | FAST == summary["settings"]
    assert overview["layers"] == 3
    assert len(overview["entropy"]) == 3
    assert len(attention["weights"]) == len(attention["row_texts"])
    assert len(attention["weights"][0]) == len(attention["column_texts"]) <= 512
    assert any(message.startswith("Reading the file") for message in said)


def test_files_come_by_upload_too_and_with_a_password(address: str, folder: Path) -> None:
    _, text = upload(address, (folder / "locked.pdf").read_bytes(), name="locked.pdf")
    (path,) = json.loads(text)
    assert "password" in refusal(call(address, "summarize", file=data_uri(folder / "locked.pdf")))
    found = answer(call(address, "summarize", file=path, password=PASSWORD, settings=FAST))
    assert found["file"] == "locked.pdf"
    assert "must be the path" in refusal(call(address, "summarize", file=path))  # it was read, and is gone
    assert not list((folder / "uploads").rglob("*.pdf"))


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("summarize", {}, "summarize needs the argument file."),
        ("summarize", {"file": ["x"]}, "file must be the path"),
        ("summarize", {"file": "/etc/passwd"}, "file must be the path"),
        ("summarize", {"file": "x\0y"}, "file must be the path"),
        ("summarize", {"file": "https://127.0.0.1/paper.pdf"}, "file must be the path"),
        ("summarize", {"file": "data:nothing"}, "no comma"),
        ("summarize", {"file": "data:text/plain;base64,$$$"}, "not base64"),
        ("summarize", {"file": "data:text/plain;base64,"}, "empty"),
        ("summarize", {"file": "data:,We%20show.", "settings": "{}"}, "must be an object"),
        ("summarize", {"file": "data:,We%20show.", "settings": {"beams": 1}}, "no setting 'beams'"),
        ("summarize", {"file": "data:,We%20show.", "settings": {"num_beams": [1]}}, "must be a whole number"),
        ("summarize", {"file": "data:,We%20show.", "settings": {"writing": {}}}, "must be one of"),
        ("summarize", {"file": "data:,We%20show.", "settings": {"do_sample": "yes"}}, "true or false"),
        ("summarize", {"file": "data:,We%20show.", "model": "no/such"}, "no model named"),
        ("summarize", {"file": "data:,We%20show.", "model": 7}, "must be a text"),
        ("summarize", {"file": "data:,We%20show.", "color": "red"}, "no argument 'color'"),
        ("attention_overview", {"summary_id": "gone"}, "No summary of that summary_id is kept"),
        ("attention_map", {"summary_id": 5}, "must be a text"),
        ("models", {"x": 1}, "no argument 'x'"),
        ("remove", {}, "no tool of that name"),
    ],
)
def test_a_refusal_is_a_sentence(address: str, tool: str, arguments: dict[str, Any], sentence: str) -> None:
    text = refusal(call(address, tool, **arguments))
    assert sentence in text
    assert "\n" not in text
    assert "Traceback" not in text
    assert text.endswith(".")


def test_the_web_is_on_offer_only_where_it_is_allowed() -> None:
    without, allowed = (
        tools(Settings(allow_urls=allow))[0].inputSchema["properties"]["file"]["description"]
        for allow in (False, True)
    )
    assert "web" not in without
    assert "arXiv id, DOI or address" in allowed


def test_names_in_data_addresses() -> None:
    assert _decoded("data:text/markdown;base64,aGk=") == ("paper.md", b"hi")
    assert _decoded("data:application/pdf;filename=a%20b.pdf;base64,aGk=") == ("a b.pdf", b"hi")
    assert _decoded("data:,h%69") == ("paper.txt", b"hi")
    with pytest.raises(SummaryError):
        _decoded("data:;base64,???")


def test_a_path_that_no_file_can_have_is_a_sentence(address: str, folder: Path) -> None:
    (uploads,) = (folder / "uploads").glob("*/uploads")
    for path in (uploads / "x" / ("a" * 300), uploads / "x" / "..", uploads, uploads / ("x" * 5_000) / "y"):
        assert "must be the path" in refusal(call(address, "summarize", file=str(path)))


@pytest.fixture
def alone(store: ModelStore, tmp_path: Path) -> McpTools:
    """The tools without a server."""
    uploads = Uploads(Scratch(tmp_path), store.settings)
    return McpTools(Programs(store), uploads, store.settings)


def test_what_nobody_foresaw_is_an_apology(alone: McpTools, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(programs: Programs) -> None:
        raise RuntimeError("words of a program")

    monkeypatch.setattr(Programs, "models", break_down)
    assert refusal(asyncio.run(alone._call(Server("x"), "models", {}))) == BROKEN


def test_only_so_many_files_are_held_in_memory(alone: McpTools, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of them of one address; calls without a file go on."""

    async def ask_all() -> None:
        done = asyncio.Event()

        async def serve_later(scope: Scope, receive: Receive, send: Send) -> None:
            await done.wait()
            await PlainTextResponse("done")(scope, receive, send)

        async def ask(address: str, size: bytes | None = b"1000000") -> int:
            sent: list[Message] = []

            async def send(message: Message) -> None:
                sent.append(message)

            async def receive() -> Message:
                return {"type": "http.request", "body": b"", "more_body": False}

            headers = [] if size is None else [(b"content-length", size)]
            scope = {"type": "http", "method": "POST", "headers": headers, "client": (address, 1)}
            await alone(scope, receive, send)
            return int(sent[0]["status"])

        monkeypatch.setattr(alone, "_serve", serve_later)
        half = MOST_LARGE_BODIES // 2
        waiting = [asyncio.create_task(ask(address)) for address in half * ["10.0.0.1", "10.0.0.2"]]
        waiting.append(asyncio.create_task(ask("10.0.0.1", b"1000")))
        await asyncio.sleep(0)
        assert [await ask("10.0.0.1"), await ask("10.0.0.3"), await ask("10.0.0.3", None)] == [429, 429, 429]
        done.set()
        assert await asyncio.gather(*waiting) == (2 * half + 1) * [200]
        assert await ask("10.0.0.1") == 200

    asyncio.run(ask_all())


def test_whoever_asks_much_about_attention_is_told_so(
    alone: McpTools, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = store.settings.queue_share
    begun, done = threading.Semaphore(0), threading.Event()

    def wait(programs: Programs, **arguments: Any) -> dict[str, int]:
        begun.release()
        done.wait(20)
        return {"ok": 1}

    def request(address: str) -> Request:
        return Request({"type": "http", "client": (address, 1), GONE: threading.Event()})

    monkeypatch.setattr(Programs, "attention_map", wait)
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(alone._inspect, "attention_map", {}, request("10.0.0.1")) for _ in range(most)]
        assert begun.acquire(timeout=20)
        while len(alone._questions) < most - QUESTIONS_AT_ONCE:
            time.sleep(0.01)
        with pytest.raises(SummaryError, match=f"already have {most} questions"):
            alone._inspect("attention_map", {}, request("10.0.0.1"))
        other = pool.submit(alone._inspect, "attention_map", {}, request("10.0.0.2"))
        done.set()
        assert [each.result(20) for each in (*asked, other)] == (most + 1) * [{"ok": 1}]
