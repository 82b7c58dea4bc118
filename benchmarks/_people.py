"""People who use a server at the same time: each sends files, waits for their summaries, and notes what he was told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from benchmarks._job import ROOT

EXAMPLE = ROOT / "assets" / "example" / "longt5-explained.pdf"
# What a person may be told: his place, and how long that is going to be.
PLACE = re.compile(r"(Waiting [a-z ]+) place (\d+) in the queue(?:, about ([\d.]+) (s|min))?")
# What is said to who has the model.
TURN = re.compile(r"· \d+%|Loading the model|summary_id")
SETTINGS = {"max_new_tokens": 48, "num_beams": 1, "max_input_tokens": 1024, "long_papers": "truncate"}
SILENT_SECONDS = 300
"""After which somebody who is told nothing gives up: longer than a turn may last while others wait."""
LONGEST_MESSAGE = 2**24
"""Bytes of one, a whole summary with its evidence."""
GREEDY_AT_ONCE = 5
"""How many files the first of them sends at once; all others send one after the other."""


@dataclass
class Visit:
    """What happened to one person with one file. Moments are those of `time.monotonic`, in seconds."""

    person: int
    file: str
    hostile: bool
    began: float = field(default_factory=time.monotonic)
    first_word: float | None = None
    """When he was told anything."""
    lined_up: float | None = None
    """When he was told his place in the queue for the model."""
    told: float | None = None
    """Seconds that he was told he would wait for it, when first told."""
    told_at: float | None = None
    turn: float | None = None
    """When he had the model, waited for or not."""
    ended: float | None = None
    said: str = ""
    """The sentence of a refusal; empty for a summary."""
    lost: str = ""
    """Why neither a summary nor a sentence came."""


def papers() -> list[tuple[str, bytes, bool]]:
    """Files of every kind: name, content, and whether it is hostile."""
    example = EXAMPLE.read_bytes()
    words = "Sparse attention reads long papers and says where it looked. "
    return [
        ("example.pdf", example, False),
        ("cut.pdf", example[: len(example) // 2], True),
        ("short.txt", (words * 30).encode(), False),
        ("notes.md", ("# Notes\n\n" + words * 300).encode(), False),
        ("noise.pdf", b"%PDF-1.7\n" + random.Random(0).randbytes(100_000), True),
        ("long.txt", (words * 3_000).encode(), False),
        ("same.txt", (words * 50).encode(), False),
        ("nested.pdf", b"%PDF-1.4\n1 0 obj\n" + b"[" * 200_000 + b"\nendobj\ntrailer<</Root 1 0 R>>", True),
        ("same.txt", (words * 50).encode(), False),
        ("copy.pdf", example + b"\n%% another copy", False),
    ]


def address_of(person: int) -> str:
    """Where on the network somebody is, for a server that believes the proxy at 127.0.0.1."""
    return f"10.0.{person // 250}.{person % 250 + 1}"


class Crowd:
    """So many people at one server, and their visits so far."""

    def __init__(self, address: str, people: int, *, seed: int = 0) -> None:
        self.visits: list[Visit] = []
        self._address = address
        self._people = people
        self._seed = seed
        self._papers = papers()

    async def play(self, seconds: float, most_seconds: float) -> None:
        """All come at once, each again and again until the time is over, but once at least.

        It ends after `most_seconds` whatever the server does; who has not been answered by then is `lost`.
        """
        async with contextlib.AsyncExitStack() as clients:
            # Connections of his own for everybody, as browsers have: one client looks through all it has.
            visitors = [
                (person, visitor, await clients.enter_async_context(self._client(person)))
                for person in range(self._people)
                for visitor in range(1 if person else GREEDY_AT_ONCE)
            ]
            async with visitors[0][-1].get("/config") as answer:
                config = await answer.json()
            function = next(one["id"] for one in config["dependencies"] if one["api_name"] == "summarize")
            deadline = time.monotonic() + seconds
            everybody = [
                asyncio.create_task(self._person(client, function, person, visitor, deadline))
                for person, visitor, client in visitors
            ]
            _, unfinished = await asyncio.wait(everybody, timeout=most_seconds)
            for one in unfinished:
                one.cancel()
            await asyncio.gather(*everybody, return_exceptions=True)
            for one in everybody:
                if not one.cancelled():
                    one.result()  # raises what is wrong with this program

    def _client(self, person: int) -> aiohttp.ClientSession:
        # Parsers in C, as the people share the server's processors, which browsers do not.
        return aiohttp.ClientSession(
            self._address,
            headers={"X-Forwarded-For": address_of(person)},
            cookie_jar=aiohttp.CookieJar(unsafe=True),  # of an address that is no name
            timeout=aiohttp.ClientTimeout(total=None, sock_read=SILENT_SECONDS),
            read_bufsize=LONGEST_MESSAGE,
        )

    async def _person(
        self, client: aiohttp.ClientSession, function: int, person: int, visitor: int, deadline: float
    ) -> None:
        chance = random.Random(self._seed * 10**6 + person * 1_000 + visitor)
        paper = self._papers[(person + visitor) % len(self._papers)]
        while True:
            visit = Visit(person, paper[0], paper[2])
            self.visits.append(visit)
            try:
                await _visit(client, function, visit, paper[1])
            except aiohttp.ClientError as error:
                visit.lost = type(error).__name__
            except asyncio.TimeoutError:
                visit.lost = f"told nothing for {SILENT_SECONDS} s"
            except asyncio.CancelledError:
                visit.lost = "not answered in time"
                raise
            finally:
                visit.ended = time.monotonic()
            if visit.lost or time.monotonic() > deadline:
                return
            await asyncio.sleep(chance.uniform(0, 3))
            paper = chance.choice(self._papers)


async def _visit(client: aiohttp.ClientSession, function: int, visit: Visit, content: bytes) -> None:
    """Sends a file as a page would, and follows what is told."""
    form = aiohttp.FormData()
    form.add_field("files", content, filename=visit.file)
    async with client.post("/gradio_api/upload", data=form) as sent:
        if sent.status != 200:
            visit.said = await sent.text()
            return
        file = {"path": (await sent.json())[0], "meta": {"_type": "gradio.FileData"}}
    session = secrets.token_hex(6)
    body = {"data": [file, "", SETTINGS, ""], "fn_index": function, "session_hash": session}
    async with client.post("/gradio_api/queue/join", json=body) as joined:
        if joined.status != 200:
            visit.said = await joined.text()
            return
    async with contextlib.aclosing(_messages(client, session)) as messages:
        while True:
            try:
                message = await asyncio.wait_for(anext(messages), SILENT_SECONDS)
            except StopAsyncIteration:
                visit.lost = "the stream ended before its time"
                return
            if _note(visit, message):
                return


def _note(visit: Visit, message: dict) -> bool:
    """Takes down what a message says; returns whether it is the last."""
    now = time.monotonic()
    output = message.get("output") or {}
    text = json.dumps(output.get("data"), ensure_ascii=False)
    visit.first_word = visit.first_word or now
    place = PLACE.search(text)
    if place and "model" in place[1]:
        visit.lined_up = visit.lined_up or now
        if visit.told is None and place[3]:
            visit.told = float(place[3]) * (60 if place[4] == "min" else 1)
            visit.told_at = now
    elif visit.turn is None and TURN.search(text):
        visit.turn = now
    if message["msg"] == "unexpected_error":
        visit.lost = str(message.get("message"))
        return True
    if message["msg"] != "process_completed":
        return False
    if not message["success"]:
        visit.said = str(output.get("error"))
    return True


async def _messages(client: aiohttp.ClientSession, session: str) -> AsyncIterator[dict]:
    """The server's messages that say something, to the end of the request."""
    about = {"session_hash": session}
    async with client.get("/gradio_api/queue/data", params=about) as stream:
        async for line in stream.content:
            if line.startswith(b"data:"):
                message = json.loads(line[5:])
                if message["msg"] in ("process_generating", "process_completed", "unexpected_error"):
                    yield message
