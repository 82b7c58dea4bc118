"""The MCP tools through the official client: their schemas, a whole summary with its attention, every refusal."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from jsonschema import Draft202012Validator
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

from app.programs import MAPS
from app.service.mcp_tools import _decoded, tools
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
