"""Puts page, API, MCP tools and health together, serves them, and goes down without leaving anything behind."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import socket
import sys
from collections.abc import AsyncIterator

import anyio
import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio.routes import App
from starlette.middleware.cors import CORSMiddleware

from app import work
from app.allocator import give_back
from app.models import ModelStore
from app.page.interface import build, mount_options
from app.page.visitors import Visitors
from app.programs import Programs
from app.service import mcp_tools
from app.service.events import Events, understood
from app.service.guards import HEALTH, UPLOAD, Guards
from app.service.health import Counters, Health
from app.service.http import BoundedHttp
from app.service.mcp_tools import McpTools
from app.service.scratch import Scratch
from app.service.sessions import Sessions
from app.service.uploads import Uploads
from app.settings import Host, Settings

log = logging.getLogger(__name__)

OLDEST_FILE = 3600.0  # seconds: an upload that nobody reads, whatever Gradio forgets
UNUSED_SECONDS = 300.0  # encoder states that nobody looks into
TIDY_SECONDS = 30.0
FIRST_PORT, PORTS = 7860, 100
EVENTS_AT_ONCE = 4  # of a kind that says nothing else
SWITCH_SECONDS = 0.0001  # for so long a thread that computes in Python may keep the one that answers waiting
CLOSING_SECONDS = 3  # for answers in progress, of which those of summaries end by themselves


def application(settings: Settings, host: Host, store: ModelStore, scratch: Scratch) -> FastAPI:
    """Everything that is served."""
    programs = Programs(store)
    visitors = Visitors(settings.session_seconds, settings.kept_papers_bytes)
    counters = Counters()
    uploads = Uploads(scratch, settings)
    health = Health(store, scratch, counters)
    tools = McpTools(programs, uploads, settings) if settings.mcp else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.most_requests
        tidying = asyncio.create_task(_tidy(settings, scratch, store, visitors, sessions, events))
        async with contextlib.AsyncExitStack() as stack:
            if tools is not None:
                await stack.enter_async_context(tools.running())
            yield
        tidying.cancel()
        visitors.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route(HEALTH, health.healthz, response_model=None)
    if settings.metrics:
        app.add_api_route("/metrics", health.metrics, response_model=None)
    app.add_api_route(UPLOAD, uploads.receive, methods=["POST"], response_model=None)
    if tools is not None:
        app.mount(mcp_tools.PATH, tools)
    # That there is one keeps Gradio's own away, which lets pages of any origin read what it answers.
    app.add_middleware(CORSMiddleware)
    app.add_middleware(Guards, settings=settings, host=host, counters=counters)
    page = build(settings, store, visitors, programs, uploads)
    # People see and wait in our own queues (`ModelStore.turns` and `readers`); this one only bounds requests.
    # With the requests that go past it (`Guards`), no address has more than three quarters of all.
    events = page._queue = Events(
        page, size=8 * settings.queue_size, share=settings.most_requests // 2, limit=EVENTS_AT_ONCE
    )
    page.preprocess_data = understood(page.preprocess_data)
    gr.mount_gradio_app(app, page, "/", **mount_options(settings))
    # What was mounted is not `page.app`, and nothing else leads to it.
    mounted = (getattr(route, "app", None) for route in app.routes)
    served = next(each for each in mounted if isinstance(each, App))
    sessions = served.state_holder = Sessions(page)
    page.has_launched = True  # without which Gradio takes any file of this machine for an upload
    app.state.gradio_stopped = served.stop_event  # ends its connections that stay open for the whole visit
    return app


class Server:
    """Built where it is made, with its port taken; `run` serves until the process is told to end."""

    def __init__(self, settings: Settings, store: ModelStore, scratch: Scratch) -> None:
        """Raises SummaryError if there is no model, and OSError if there is no port."""
        host = Host.of()
        self._listening = _listen(settings.host or host.name, settings.port or host.port)
        self._mcp = settings.mcp
        self._app = application(settings, host, store, scratch)
        self._config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            server_header=False,
            http=BoundedHttp,
            ws="none",
            proxy_headers=bool(settings.proxies) or host.is_space,
            forwarded_allow_ips="*" if host.is_space else list(settings.proxies),
            timeout_graceful_shutdown=CLOSING_SECONDS,
        )

    def run(self) -> None:
        """Serves; SIGINT and SIGTERM end it, and the work in progress with it."""
        host, port = self._listening.getsockname()[:2]
        print(f"* Running on http://{host}:{port}", flush=True)
        if self._mcp:
            print(f"* MCP tools at http://{host}:{port}{mcp_tools.PATH}/", flush=True)
        # The thread that answers gives the interpreter away with every message that it sends, a dozen for each answer.
        sys.setswitchinterval(SWITCH_SECONDS)
        if importlib.util.find_spec("matplotlib") is None:
            sys.modules["matplotlib"] = None  # type: ignore[assignment]  # Gradio looks for it twice an event
        uvicorn_server = _Uvicorn(self._config, self._app)
        with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises again once it has ended
            asyncio.run(uvicorn_server.serve(sockets=[self._listening]))
        work.stop_all(CLOSING_SECONDS)


class _Uvicorn(uvicorn.Server):
    """Stops the work in progress as soon as it is told to end, so that the answers in progress do."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        work.stop_all()
        self._app.state.gradio_stopped.set()
        await super().shutdown(sockets)


async def _tidy(
    settings: Settings,
    scratch: Scratch,
    store: ModelStore,
    visitors: Visitors,
    sessions: Sessions,
    events: Events,
) -> None:
    """Now and then frees disk and memory that nobody uses any more."""

    def tidy() -> None:
        scratch.sweep(OLDEST_FILE)
        visitors.sweep()
        sessions.sweep(settings.session_seconds)
        store.forget_unused(UNUSED_SECONDS)
        give_back()

    while True:
        await asyncio.sleep(TIDY_SECONDS)
        events.sweep()  # in the thread that answers, which alone changes them
        await anyio.to_thread.run_sync(tidy)


def _listen(host: str, asked: int | None) -> socket.socket:
    """A socket on the port that is asked for, or else the first one that is free from Gradio's usual on.

    Raises:
        OSError: there is none.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (asked,) if asked else range(FIRST_PORT, FIRST_PORT + PORTS):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host.strip("[]"), port))
        except OSError:
            listening.close()
            continue
        listening.set_inheritable(False)
        return listening
    raise OSError(
        f"{host} has no free port" if not asked else f"port {asked} of {host} is taken or not allowed"
    )
