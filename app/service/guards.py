"""What every request passes: is it ours, from a page of ours, from somebody who may, small enough, for an open door."""

from __future__ import annotations

import base64
import binascii
import contextlib
import ipaddress
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.page.visitors import BROWSER_COOKIE
from app.service import mcp_tools
from app.service.health import Counters
from app.service.uploads import FORM_BYTES, too_large
from app.settings import Host, Settings

UPLOAD = "/gradio_api/upload"
HEALTH = "/healthz"
LOGIN = "/login"
COOKIE = "access-token-longt5"  # clients of Gradio keep cookies whose names begin like its own
MOST_BODY_BYTES = 2**20  # of what a page or a client says; files come another way
SILENT_SECONDS = 60  # in the middle of a body, after which no more of it comes
RUN_OFF_SECONDS = 5
CROWDED = "Your address has {most} requests at work; try again when one of them is done."
SILENT = "The rest of the request did not come; send it again."

# Gradio's doors that nothing here goes through. Some take in files or code, others give out what they were never asked
# to: they stay shut.
CLOSED = (
    "/gradio_api/process_recording",
    "/gradio_api/file",
    "/gradio_api/proxy=",
    "/gradio_api/stream",
    "/gradio_api/deep_link",
    "/gradio_api/dev",
    "/gradio_api/vibe",
    "/gradio_api/undo-vibe",
    "/gradio_api/runs",
    "/gradio_api/run-history",
    "/gradio_api/custom_component",
    "/gradio_api/profiling",
    "/gradio_api/token",
    "/gradio_api/startup-events",
    "/monitoring",
)


@dataclass(frozen=True)
class _No:
    """A refusal."""

    reason: str
    status: int
    sentence: str


class _Ended(Exception):
    """A body is not read to its end."""


class _Crowded(Exception):
    """An address has as many requests at work as it may."""


class Guards:
    """The outermost ASGI middleware: refuses what should not come in, and sets the headers of what goes out."""

    def __init__(self, app: ASGIApp, settings: Settings, host: Host, counters: Counters) -> None:
        self._app = app
        self._share = settings.most_requests // 4  # of an address
        self._at_work: Counter[str] = Counter()  # requests that ask for something to be done, by address
        self._settings = settings
        self._counters = counters
        self._hosts = {name.lower() for name in (*settings.hosts, *host.names)}
        self._hosts_of_pages = self._hosts - {"localhost"}  # where other programs have pages too
        self._session = secrets.token_urlsafe(32)
        self._headers = _security_headers(in_page_of_hub=host.is_space)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"]
        body = _Body(receive, self._most_bytes(path), self._size_sentence(path))

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._counters.add("requests", f"{message['status'] // 100}xx")
                set_headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    set_headers[name] = value
                if path == "/" and BROWSER_COOKIE not in headers.get("cookie", ""):
                    kept = "HttpOnly; Path=/; SameSite=Lax; Max-Age=31536000"
                    secure = "; Secure" if scope["scheme"] == "https" else ""
                    set_headers.append(
                        "set-cookie", f"{BROWSER_COOKIE}={secrets.token_urlsafe(24)}; {kept}{secure}"
                    )
            await send(message)

        no = self._refusal(scope["method"], path, headers)
        if no is not None:
            await self._refuse(no, receive, finish)
            return
        started = False

        async def answer(message: Message) -> None:
            """What the application makes of a body that was cut off is not the answer."""
            nonlocal started
            if started or body.ended is None:
                started = True
                await finish(message)

        logs_in = path == LOGIN and scope["method"] == "POST" and self._settings.auth is not None
        address = scope["client"][0] if scope.get("client") else ""
        try:
            with self._counted(scope["method"], address), contextlib.suppress(_Ended):
                await (self._login if logs_in else self._app)(scope, body.receive, answer)
        except _Crowded:
            await self._refuse(_No("share", 429, CROWDED.format(most=self._share)), receive, finish)
            return
        if body.ended is not None and not started:
            await self._refuse(body.ended, receive, finish)

    @contextlib.contextmanager
    def _counted(self, method: str, address: str) -> Iterator[None]:
        """Counts a request while it is at work.

        Raises:
            _Crowded: its address has as many as it may.
        """
        if method != "POST":
            yield
            return
        if self._at_work[address] >= self._share:
            raise _Crowded
        self._at_work[address] += 1
        try:
            yield
        finally:
            self._at_work[address] -= 1
            if not self._at_work[address]:
                del self._at_work[address]

    def _refusal(self, method: str, path: str, headers: Headers) -> _No | None:
        if path != HEALTH and not self._is_ours(headers.get("host", "")):
            return _No(
                "host", 421, "This server does not answer under that name; LONGT5_HOSTS lists its names."
            )
        if not self._from_our_page(method, path, headers):
            return _No("origin", 403, "Pages of other sites may not ask this server.")
        if path.startswith(CLOSED):
            return _No("closed", 404, "There is nothing here.")
        if path not in (HEALTH, LOGIN) and not self._may(headers):
            return _No("login", 401, "Say who you are: this server asks for a user and a password.")
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > self._most_bytes(path):
            return _No("size", 413, self._size_sentence(path))
        return None

    async def _refuse(self, no: _No, receive: Receive, send: Send) -> None:
        """Says no, and lets what is still being sent run off for a moment, for browsers listen only then."""
        self._counters.add("refusals", no.reason)
        headers = {"Connection": "close"}
        if no.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="LongT5", charset="UTF-8"'
        answer = PlainTextResponse(no.sentence, no.status, headers)
        await send({"type": "http.response.start", "status": no.status, "headers": answer.raw_headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        rest = _Body(receive, self._settings.max_upload_bytes, no.sentence)
        with anyio.move_on_after(RUN_OFF_SECONDS), contextlib.suppress(_Ended):
            while (await rest.receive()).get("more_body", False):
                pass
        await send({"type": "http.response.body"})

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this server: a page elsewhere can have its own name lead here, but no address."""
        name = _host_name(host)
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _from_our_page(self, method: str, path: str, headers: Headers) -> bool:
        """Whether no page of another site had a browser send this; following a link to the page itself is fine."""
        origin = headers.get("origin")
        if origin is not None:
            site = origin.partition("://")[2].lower()
            return site == headers.get("host", "").lower() or _host_name(site) in self._hosts_of_pages
        fetched = headers.get("sec-fetch-site", "none")
        following = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
        return fetched in ("none", "same-origin") or (following and not path.startswith("/gradio_api"))

    def _may(self, headers: Headers) -> bool:
        """Whether somebody has the password, or a cookie that was given for it."""
        if self._settings.auth is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return False
            return self._right(user, password)
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        given = cookies[COOKIE].value if COOKIE in cookies else ""
        return secrets.compare_digest(given.encode(), self._session.encode())

    def _right(self, user: str, password: str) -> bool:
        expected = ":".join(self._settings.auth or ())
        return secrets.compare_digest(f"{user}:{password}".encode(), expected.encode())

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Gradio's way for its clients: a form with username and password in, a cookie out."""
        try:
            async with Request(scope, receive).form(max_files=0, max_fields=8) as form:
                right = self._right(str(form.get("username", "")), str(form.get("password", "")))
        except (HTTPException, MultiPartException):
            right = False  # it was no form
        answer: Response = PlainTextResponse(
            "Welcome." if right else "That user or password is wrong.", 200 if right else 400
        )
        if right:
            answer.set_cookie(
                COOKIE, self._session, httponly=True, samesite="lax", secure=scope["scheme"] == "https"
            )
        await answer(scope, receive, send)

    def _most_bytes(self, path: str) -> int:
        if path == LOGIN:
            return FORM_BYTES
        if path.rstrip("/") == UPLOAD:
            return self._settings.max_upload_bytes + FORM_BYTES
        if path.startswith(mcp_tools.PATH) and self._settings.mcp:
            return mcp_tools.largest_body(self._settings)
        return MOST_BODY_BYTES

    def _size_sentence(self, path: str) -> str:
        most = self._most_bytes(path)
        if most <= MOST_BODY_BYTES:
            return f"A request may have {most / 2**20:.3g} MB here; send files to {UPLOAD}."
        return too_large(self._settings)


class _Body:
    """The body of a request, which ends where it grows too long, as not every client says its length, or comes no more.

    Where it did, `ended` says why, and whoever reads it gets `_Ended`.
    """

    def __init__(self, receive: Receive, most: int, too_large: str) -> None:
        self.ended: _No | None = None
        self._receive = receive
        self._most = most
        self._too_large = too_large
        self._got = 0
        self._whole = False

    async def receive(self) -> Message:
        # After its end this waits for the caller to go away.
        with anyio.move_on_after(None if self._whole else SILENT_SECONDS) as waiting:
            message = await self._receive()
        if waiting.cancelled_caught:
            self.ended = _No("silence", 408, SILENT)
            raise _Ended
        self._got += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._got > self._most:
            self.ended = _No("size", 413, self._too_large)
            raise _Ended
        return message


def _host_name(host: str) -> str:
    """The name or address in a Host header, without its port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower() if "@" not in host else ""
    except ValueError:  # brackets around what is no address
        return ""


def _security_headers(*, in_page_of_hub: bool) -> dict[str, str]:
    """What browsers are told.

    Gradio's page has scripts and styles inside it, and makes functions of the scripts of our components; all else
    comes from this server, and nothing goes anywhere else.
    """
    frames = "'self'"
    if in_page_of_hub:
        frames += " https://huggingface.co https://*.hf.space"
    policy = {
        "default-src": "'self'",
        "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self' blob: data:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-src": "'none'",
        "frame-ancestors": frames,
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if frames == "'self'":
        headers["X-Frame-Options"] = "SAMEORIGIN"
    return headers
