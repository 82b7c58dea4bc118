"""People who use a server at the same time: each sends a file, waits for its summary, and notes what he was told."""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from benchmarks._job import ROOT

EXAMPLE = ROOT / "assets" / "example" / "longt5-explained.pdf"
# What a person may be told: his place, and how long that is going to be.
PLACE = re.compile(r"(Waiting [a-z ]+) place (\d+) in the queue(?:, about ([\d.]+) (s|min))?")
SETTINGS = {"max_new_tokens": 48, "num_beams": 1, "max_input_tokens": 1024, "long_papers": "truncate"}


@dataclass
class Visit:
    """What happened to one person with one file."""

    file: str
    hostile: bool
    first_word: float | None = None
    """Seconds until he was told anything."""
    told: float | None = None
    """Seconds that he was told he would wait for the model, when first told."""
    waited: float | None = None
    """Seconds that he did, from then on."""
    seconds: float = 0.0
    said: str = ""
    """The sentence of a refusal; empty for a summary."""


def papers(chance: random.Random) -> tuple[str, bytes, bool]:
    """A file's name, its content, and whether it is hostile: three of ten are."""
    example = EXAMPLE.read_bytes()
    words = "Sparse attention reads long papers and says where it looked. "
    kinds: list[tuple[str, bytes, bool]] = [
        ("example.pdf", example, False),
        ("example.pdf", example + b"\n%% another copy %d" % chance.randrange(10**6), False),
        ("short.txt", (words * 30).encode(), False),
        ("notes.md", ("# Notes\n\n" + words * 300).encode(), False),
        ("long.txt", (words * 3_000).encode(), False),
        ("same.txt", (words * 50).encode(), False),
        ("same.txt", (words * 50).encode(), False),
        ("cut.pdf", example[: len(example) // 2], True),
        ("noise.pdf", b"%PDF-1.7\n" + chance.randbytes(100_000), True),
        ("nested.pdf", b"%PDF-1.4\n1 0 obj\n" + b"[" * 200_000 + b"\nendobj\ntrailer<</Root 1 0 R>>", True),
    ]
    return chance.choice(kinds)


async def visit(client: httpx.AsyncClient, function: int, chance: random.Random) -> Visit:
    """Sends a file as a page would, and follows what it is told."""
    name, content, hostile = papers(chance)
    found = Visit(name, hostile)
    began = time.monotonic()
    try:
        sent = await client.post("/gradio_api/upload", files={"files": (name, content)})
        if sent.status_code != 200:
            found.said = sent.text
            return found
        file = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
        session = secrets.token_hex(6)
        body = {"data": [file, "", SETTINGS, ""], "fn_index": function, "session_hash": session}
        joined = await client.post("/gradio_api/queue/join", json=body)
        if joined.status_code != 200:
            found.said = joined.text
            return found
        waiting_since: float | None = None
        async for text in _messages(client, session):
            now = time.monotonic()
            if found.first_word is None:
                found.first_word = now - began
            place = PLACE.search(text)
            if place and "model" in place[1]:
                if found.told is None and place[3]:
                    found.told = float(place[3]) * (60 if place[4] == "min" else 1)
                    waiting_since = now
            elif waiting_since is not None and found.waited is None:
                found.waited = now - waiting_since
            error = re.search(r'"error": "((?:[^"\\]|\\.)*)"', text)
            if error:
                found.said = json.loads(f'"{error[1]}"')
    finally:
        found.seconds = time.monotonic() - began
    return found


async def _messages(client: httpx.AsyncClient, session: str) -> AsyncIterator[str]:
    """The server's messages that say something, to the end of the request."""
    async with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
        async for line in stream.aiter_lines():
            if not line.startswith("data:"):
                continue
            message = json.loads(line[5:])
            if message["msg"] in ("process_generating", "process_completed"):
                yield json.dumps(message["output"])
            if message["msg"] in ("process_completed", "unexpected_error", "close_stream"):
                return


async def play(address: str, people: int, seconds: float, seed: int = 0) -> list[Visit]:
    """So many people at once, each again and again until the time is over, but once at least."""
    limits = httpx.Limits(max_connections=3 * people)
    async with httpx.AsyncClient(base_url=address, timeout=None, limits=limits) as client:
        config = (await client.get("/config")).json()
        function = next(one["id"] for one in config["dependencies"] if one["api_name"] == "summarize")
        deadline = time.monotonic() + seconds
        visits: list[Visit] = []

        async def person(number: int) -> None:
            chance = random.Random(seed * 1_000 + number)
            while True:
                visits.append(await visit(client, function, chance))
                if time.monotonic() > deadline:
                    return
                await asyncio.sleep(chance.uniform(0, 3))

        await asyncio.gather(*map(person, range(people)))
    return visits
