"""A real server of the page on a free port, a tiny random model for it, and papers to drop in."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from tests.app.factories import make_model

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "assets" / "example" / "longt5-explained.pdf"
PASSWORD = "open sesame"

# What a stranger may write in a paper. Shown letter by letter it is harmless.
HOSTILE = (
    "<img src=x onerror=window.hacked=1>",
    "<script>window.hacked=2</script>",
    "[click](javascript:window.hacked=3)",
    '<a href="javascript:window.hacked=4">here</a>',
    "${window.hacked=5} {{window.hacked}}",
)
SENTENCES = (
    "We study how sparse attention reads long papers.",
    "Each token sees its neighbours and one summary of every block.",
    "The cost of a layer grows with the length of the text and not with its square.",
    "Our results show that a small model finds the section that a sentence came from.",
    "Readers should check every claim against the page that it rests on.",
    "In future work we will measure how often the evidence is wrong.",
)


def tiny_model(folder: Path, num_layers: int = 3, num_decoder_layers: int = 2, **generation: int) -> Path:
    """A model that writes gibberish of some sentences within a second or two; `generation` is added to its own."""
    return make_model(
        folder,
        num_layers=num_layers,
        num_decoder_layers=num_decoder_layers,
        generation={
            "max_new_tokens": 96,
            "min_new_tokens": 64,
            "num_beams": 2,
            "no_repeat_ngram_size": 3,
            **generation,
        },
    )


def paper_pdf(path: Path, *, pages: int = 3, title: str = "Sparse attention", password: str = "") -> Path:
    """A paper of about 300 words a page, with hostile text on its second page."""
    lock = StandardEncryption(password, strength=128) if password else None
    canvas = Canvas(str(path), pagesize=A4, encrypt=lock)
    canvas.setTitle(title)
    for page in range(1, pages + 1):
        y = 780
        if page == 1:
            canvas.setFont("Times-Bold", 18)
            canvas.drawString(70, y, title)
            y -= 40
        lines = [f"{page}.{i} {SENTENCES[(page + i) % len(SENTENCES)]}" for i in range(1, 30)]
        if page == 2:
            lines[3:3] = HOSTILE
        canvas.setFont("Times-Roman", 11)
        for line in lines:
            canvas.drawString(70, y, line)
            y -= 18
        canvas.showPage()
    canvas.save()
    return path


@contextlib.contextmanager
def serve(model: Path, uploads: Path, **variables: str) -> Iterator[str]:
    """`python app.py` until the block ends; gives its address."""
    with running(model, uploads, **variables) as (address, _):
        yield address


@contextlib.contextmanager
def running(model: Path, uploads: Path, **variables: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The same, with its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "LONGT5_MODELS": str(model),
        "LONGT5_PORT": str(port),
        "LONGT5_THREADS": "1",
        "GRADIO_TEMP_DIR": str(uploads),
        "GRADIO_ANALYTICS_ENABLED": "False",
        **variables,
    }
    log = (uploads.parent / "server.log").open("w+")
    server = subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/", server, Path(log.name))
        yield f"http://127.0.0.1:{port}/", server
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def _wait_for(address: str, server: subprocess.Popen, log: Path, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except urllib.error.HTTPError as error:
            if error.code == 401:  # it asks for a password
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"The page did not start:\n{log.read_text()}")


def page_event(
    browser: httpx.Client,
    kind: str,
    component: str,
    session: str,
    *,
    said: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> str:
    """What the page is told, to the end, of an event of its component of that id, as "click" of a button.

    Args:
        said: values of components by id, in the place of those that the page begins with.
    """
    said = said or {}
    config = browser.get("/config").json()
    parts = {part["id"]: part["props"] for part in config["components"]}
    event = next(
        event
        for event in config["dependencies"]
        for number, its_kind in event["targets"]
        if its_kind == kind and parts[number].get("elem_id") == component
    )
    values = [said.get(str(parts[n].get("elem_id")), parts[n].get("value")) for n in event["inputs"]]
    about = {"data": values, "fn_index": event["id"], "session_hash": session}
    joined = browser.post("/gradio_api/queue/join", json=about, headers=headers)
    assert joined.status_code == 200, joined.text
    told = ""
    with browser.stream(
        "GET", "/gradio_api/queue/data", params={"session_hash": session}, headers=headers
    ) as stream:
        for line in stream.iter_lines():
            told += line + "\n"
            if '"process_completed"' in line:
                return told
    raise AssertionError(told)
