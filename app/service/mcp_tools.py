"""The functions for programs as tools of the Model Context Protocol, for language models."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import io
import json
import logging
import re
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Generator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from anyio.to_thread import run_sync
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from app.documents import DocumentError
from app.documents.addresses import url_of
from app.documents.downloads import download
from app.inspecting.questions import ALL_HEADS
from app.inspecting.views import VIEWS
from app.page import presentation
from app.programs import BROKEN, MAPS, Programs
from app.service.uploads import Refused, Uploads, too_large, trouble
from app.settings import Settings
from app.summarizing.settings import SummaryError, schema
from app.summarizing.summary import Event
from app.turns import Caller, TurnQueue
from app.work import Stopped

PATH = "/gradio_api/mcp"
SMALL_BODY_BYTES = 2**16
MOST_LARGE_BODIES = 8
QUESTIONS_AT_ONCE = 2
CROWDED = "Too many files come in calls of tools just now; try again, or send the file to /gradio_api/upload."
GONE = "longt5.gone"  # key of a request's scope: the event that is set when its caller has gone
DATA_URI = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.DOTALL)
NO_FILE = (
    "file must be the path that an upload answered, or a data: address with the file's content in base64{}; "
    "send the file in one of these ways."
)

log = logging.getLogger(__name__)

WHOLE = {"type": "integer", "minimum": 0, "default": 0}
SUMMARY_ID = {"type": "string", "description": "The summary_id that summarize answered."}
WINDOW = {**WHOLE, "description": "Which part of a paper that was read in several, counted from 0."}


def tools(settings: Settings) -> list[types.Tool]:
    """What is on offer, each with the JSON schema of its arguments."""
    return [_summarize(settings), _models(), _attention_overview(), _attention_map()]


def _summarize(settings: Settings) -> types.Tool:
    web = ", or its arXiv id, DOI or address on the web" if settings.allow_urls else ""
    return _tool(
        "summarize",
        "Summarizes a whole paper, and says for each sentence of the summary on which passages and pages of the "
        "paper it rests. The answer has the summary, its sentences with their evidence, what was read and what was "
        "left out, and a summary_id with which the attention tools can be asked about it.",
        {
            "file": {
                "type": "string",
                "description": "The paper, a PDF, text or Markdown file: a data: address with its content in "
                f"base64, or the path that POST /gradio_api/upload answered{web}.",
            },
            "model": {
                "type": "string",
                "description": "One of the names that the tool models lists; the first of them if left out.",
            },
            "settings": {
                **schema(),
                "description": "What to change from the model's defaults, which the tool models lists.",
            },
            "password": {"type": "string", "description": "The password of an encrypted PDF."},
        },
        required=["file"],
    )


def _models() -> types.Tool:
    return _tool(
        "models",
        "Lists the models on offer, the default first, each with its longest input in tokens and the defaults of "
        "its settings.",
        {},
    )


def _attention_overview() -> types.Tool:
    return _tool(
        "attention_overview",
        "Tells how every head of the encoder attended to the paper of a summary: the share of its attention on "
        "global blocks (0 to 1), its mean distance (in tokens) and its entropy (in nats), each as a list of layers "
        "with one number a head. It also lists the views, pages and tokens that there are to ask "
        "attention_map about.",
        {"summary_id": SUMMARY_ID, "window": WINDOW},
        required=["summary_id"],
    )


def _attention_map() -> types.Tool:
    return _tool(
        "attention_map",
        "Answers the attention of one layer and head as an array of at most 512 x 512 weights, with the tokens "
        "that its rows and columns stand for and their texts.",
        {
            "summary_id": SUMMARY_ID,
            "view": {
                "type": "string",
                "enum": list(MAPS),
                "default": MAPS[0],
                "description": "Which attention: "
                + "; ".join(f"{name}: {VIEWS[name].caption}" for name in MAPS),
            },
            "layer": {**WHOLE, "description": "The layer of the view's stack, counted from 0."},
            "head": {
                "type": "integer",
                "minimum": ALL_HEADS,
                "default": ALL_HEADS,
                "description": "The head, counted from 0; -1 is the mean of all.",
            },
            "start": {**WHOLE, "description": "The first token of the paper to show."},
            "count": {
                **WHOLE,
                "description": "How many tokens to show; 0 shows all. More than 512 are pooled.",
            },
            "window": WINDOW,
            "sentence": {
                **WHOLE,
                "description": "Which sentence of the summary, counted from 0, for the view cross.",
            },
        },
        required=["summary_id"],
    )


def _tool(
    name: str, description: str, properties: dict[str, Any], required: list[str] | None = None
) -> types.Tool:
    arguments: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        arguments["required"] = required
    return types.Tool(name=name, description=description, inputSchema=arguments)


class McpTools:
    """An ASGI application that serves the tools while its `running` context is open."""

    def __init__(self, programs: Programs, uploads: Uploads, settings: Settings) -> None:
        self._programs = programs
        self._uploads = uploads
        self._settings = settings
        self._tools = tools(settings)
        self._questions = TurnQueue(
            settings.queue_size,
            turns_at_once=QUESTIONS_AT_ONCE,
            share=settings.queue_share,
            of="questions about attention",
        )
        self._large: Counter[str] = Counter()  # calls with large bodies, by address
        server: Server[Any, Any] = Server("LongT5 paper summaries")
        server.list_tools()(self._list)
        # Our own sentences say what is wrong with an argument; those of the schema's validator are a program's.
        server.call_tool(validate_input=False)(partial(self._call, server))
        self._manager = StreamableHTTPSessionManager(
            app=server, stateless=True, max_request_body_size=largest_body(settings)
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request; a caller who goes away stops the work that was done for him."""
        declared = Headers(scope=scope).get("content-length", "")
        small = declared.isdigit() and int(declared) <= SMALL_BODY_BYTES
        if small or scope["method"] != "POST":
            await self._serve(scope, receive, send)
            return
        # A file in a body stays in memory, some times over, until its call is answered.
        address = scope["client"][0] if scope.get("client") else ""
        if self._large.total() >= MOST_LARGE_BODIES or self._large[address] >= MOST_LARGE_BODIES // 2:
            await PlainTextResponse(CROWDED, 429)(scope, receive, send)
            return
        self._large[address] += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._large[address] -= 1
            if not self._large[address]:
                del self._large[address]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = threading.Event()

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                gone.set()
            return message

        await self._manager.handle_request({**scope, GONE: gone}, watched, send)

    async def _list(self) -> list[types.Tool]:
        return self._tools

    async def _call(
        self, server: Server[Any, Any], name: str, arguments: dict[str, Any]
    ) -> types.CallToolResult:
        try:
            result = await self._answer(server, name, arguments)
        except (SummaryError, DocumentError, Refused, Stopped) as error:
            return _refusal(str(error))
        except Exception:  # whose words are a program's
            log.exception("unexpected error")
            return _refusal(BROKEN)
        text = json.dumps(result, ensure_ascii=False)
        structured = result if isinstance(result, dict) else {"result": result}
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=text)], structuredContent=structured
        )

    async def _answer(self, server: Server[Any, Any], name: str, arguments: dict[str, Any]) -> Any:
        tool = next((tool for tool in self._tools if tool.name == name), None)
        if tool is None:
            names = ", ".join(tool.name for tool in self._tools)
            raise SummaryError(f"There is no tool of that name; there are {names}.")
        unknown = sorted(arguments.keys() - tool.inputSchema["properties"].keys())
        if unknown:
            known = ", ".join(tool.inputSchema["properties"]) or "none"
            raise SummaryError(f"{name} has no argument {unknown[0][:60]!r}; there are {known}.")
        missing = [
            argument for argument in tool.inputSchema.get("required", ()) if not arguments.get(argument)
        ]
        if missing:
            raise SummaryError(f"{name} needs the argument {missing[0]}.")
        if name == "summarize":
            return await self._summarize(server, arguments)
        if name == "models":
            return await run_sync(self._programs.models)
        return await run_sync(self._inspect, name, arguments, _request(server))

    def _inspect(self, name: str, arguments: dict[str, Any], request: Request) -> Any:
        """The answer of an attention tool, when it is its turn."""
        stop = request.scope[GONE]
        with self._questions.join(Caller(_address(request))) as ticket:
            for _ in ticket.positions(stop):
                pass  # a client has no place to show it
            return getattr(self._programs, name)(**arguments, stop=stop)

    async def _summarize(self, server: Server[Any, Any], arguments: dict[str, Any]) -> Any:
        context = server.request_context
        request = _request(server)
        address = _address(request)
        token = context.meta.progressToken if context.meta else None
        stop = request.scope[GONE]
        path = await self._file(arguments["file"], address, stop)
        last: Event | None = None

        def work() -> Any:
            nonlocal last
            given = {name: arguments.get(name) for name in ("model", "settings", "password")}
            results: Generator[Any, None, None] = self._programs.summarize(
                path, name=path.name, caller=Caller(address), stop=stop, **given
            )
            with closing(results):
                for result in results:
                    if isinstance(result, dict):
                        return result
                    last = result
            raise AssertionError("a summary ends with its result")

        async def report() -> None:
            """Says what is going on, each thing once and not more than twice a second."""
            said, number = "", 0
            while True:
                line = presentation.status_of(last) if last is not None else None
                words = f"{line.phase} {line.detail}".strip() if line is not None else ""
                if token is not None and words != said:
                    number += 1
                    await context.session.send_progress_notification(
                        token, number, message=words, related_request_id=str(context.request_id)
                    )
                    said = words
                await asyncio.sleep(0.5)

        reporting = asyncio.create_task(report())
        try:
            return await run_sync(work)
        finally:
            reporting.cancel()
            self._uploads.discard(path)

    async def _file(self, given: Any, address: str, stop: threading.Event) -> Path:
        """The file that an argument stands for, in a folder of its own."""
        text = given if isinstance(given, str) else ""
        if text.startswith("data:"):
            return await self._keep(*_decoded(text), address)
        path = self._uploads.find(text) if text and "\0" not in text else None
        if path is not None:
            return path
        if self._settings.allow_urls and text and not text.startswith(("/", ".")):
            return await run_sync(self._fetched, url_of(text), address, stop)
        raise SummaryError(NO_FILE.format(", or its address on the web" if self._settings.allow_urls else ""))

    def _fetched(self, url: httpx.URL, address: str, stop: threading.Event) -> Path:
        """A file of the open web."""
        limits = self._settings.reading_limits
        try:
            with self._uploads.admitted(address, limits.max_bytes), tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "paper")
                name = download(url, file, limits=limits, on_progress=lambda progress: None, stop=stop)
                with file.open("rb") as content:
                    return self._uploads.keep(content, name, address)
        except OSError as error:
            raise trouble(error) from None

    async def _keep(self, name: str, content: bytes, address: str) -> Path:
        if len(content) > self._settings.max_upload_bytes:
            raise Refused(413, too_large(self._settings))

        def keep() -> Path:
            with self._uploads.admitted(address, len(content)):
                return self._uploads.keep(io.BytesIO(content), name, address)

        return await run_sync(keep)


def _refusal(sentence: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=sentence)], isError=True)


def _request(server: Server[Any, Any]) -> Request:
    """The HTTP request that a call came with."""
    request = server.request_context.request
    assert isinstance(request, Request)
    return request


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def largest_body(settings: Settings) -> int:
    """Most bytes of a request: a file in base64 and what stands around it."""
    return settings.max_upload_bytes * 4 // 3 + 2**16


def _decoded(uri: str) -> tuple[str, bytes]:
    """Name and content of a data: address."""
    match = DATA_URI.fullmatch(uri)
    if match is None:
        raise SummaryError("This data: address has no comma before its content; send the file again.")
    kind, parameters, data = match.groups()
    named = re.search(r";(?:file)?name=([^;]*)", parameters)
    suffix = {"application/pdf": ".pdf", "text/markdown": ".md"}.get(kind, ".txt")
    name = unquote(named[1]) if named else f"paper{suffix}"
    if ";base64" not in parameters:
        return name, unquote(data, errors="replace").encode()
    try:
        return name, base64.b64decode("".join(unquote(data).split()), validate=True)
    except (binascii.Error, ValueError):
        raise SummaryError("The content of this data: address is not base64; send the file again.") from None
