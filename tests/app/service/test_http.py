"""Requests byte by byte: what is too long around a body is refused, what is long within one is not."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from app.service.http import MOST_BYTES, BoundedHttp

ASK = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


async def count(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with how many bytes of a body came."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d bytes" % size})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(count, http=BoundedHttp, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


def answer(port: int, *parts: bytes) -> bytes:
    """What comes back for these bytes until the server hangs up; less is sent where it does so before."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            return b"".join(iter(lambda: connection.recv(65_536), b""))
        except (BrokenPipeError, ConnectionResetError):
            return b"hung up"


def chunks(size: int, number: int) -> bytes:
    return (b"%x\r\n" % size + b"x" * size + b"\r\n") * number


CHUNKED = ASK + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
FILLER = [b"x" * 60_000] * 50


@pytest.mark.parametrize("parts", [
    [ASK, b"X-Long: ", *FILLER],
    [ASK, *[b"X-Some: " + b"y" * 1_000 + b"\r\n"] * 500],
    [b"GET /", *FILLER],
    [CHUNKED, chunks(10, 3), b"0\r\n", b"X-Trailer: ", *FILLER],
    [CHUNKED, b"a;", *FILLER],
], ids=["one header", "many headers", "address", "trailer", "extension of a chunk"])  # fmt: skip
def test_what_is_around_a_body_has_an_end(port: int, parts: list[bytes]) -> None:
    said = answer(port, *parts)
    assert said == b"hung up" or b" 400 " in said.splitlines()[0]


@pytest.mark.parametrize("parts, size", [
    ([ASK, b"Connection: close\r\nContent-Length: 3000000\r\n\r\n", *FILLER], 3_000_000),
    ([CHUNKED, chunks(4_096, 3_000), b"0\r\n\r\n"], 4_096 * 3_000),
    ([CHUNKED, chunks(10, 1_000), b"0\r\n\r\n"], 10_000),
    ([ASK, b"X-Long: ", b"x" * (MOST_BYTES - 1_000), b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"], 0),
], ids=["a length", "chunks", "small chunks", "a head that is just short enough"])  # fmt: skip
def test_what_is_within_a_body_passes(port: int, parts: list[bytes], size: int) -> None:
    said = answer(port, *parts)
    assert b" 200 " in said.splitlines()[0] and b"%d bytes" % size in said


def test_each_request_of_a_connection_is_counted_anew(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(4):
        connection.request("POST", "/", body=b"x" * 9, headers={"X-Some": "x" * 40_000})
        assert connection.getresponse().read() == b"9 bytes"
    connection.close()
