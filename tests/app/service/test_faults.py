"""What the server says when its machine fails it, and that it goes on as soon as the machine does."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.documents.page_images import RENDERER
from app.documents.recognition import RECOGNIZER
from tests.app import pdf_files
from tests.app.service.test_going_down import SLOW_PDF, is_gone, reader_of
from tests.app.service.test_server import summarize, upload
from tests.page_server import ROOT, paper_pdf, running, tiny_model

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what is limited here is Linux's")

Server = tuple[str, subprocess.Popen]


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "uploads"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def server(uploads: Path) -> Iterator[Server]:
    with running(tiny_model(uploads.parent / "tiny"), uploads) as server:
        yield server


@pytest.fixture(scope="module")
def paper(uploads: Path) -> bytes:
    return paper_pdf(uploads.parent / "paper.pdf", pages=2).read_bytes()


def outcome(address: str, paper: bytes) -> str:
    """What comes of sending a paper for a summary: "done", the sentence, or nothing where nobody is let in."""
    try:
        status, text = upload(address, paper, name="paper.pdf")
        if status != 200:
            return text
        told = summarize(address, json.loads(text)[0])
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    if "summary_id" in told:
        return "done"
    return str(json.loads(told.strip().rpartition("data: ")[2]).get("error", told))


@linux
def test_few_descriptors_are_a_sentence_and_pass(server: Server, paper: bytes, uploads: Path) -> None:
    address, process = server
    assert outcome(address, paper) == "done"
    before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    said = set()
    for free in (3, 5, 7, 9, 12):
        # So that as many numbers are left: those in use may be few and high.
        used = {int(name) for name in os.listdir(f"/proc/{process.pid}/fd")}
        unused = (number for number in itertools.count() if number not in used)
        limit = next(itertools.islice(unused, free, None))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
        said.add(outcome(address, paper))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
    assert process.poll() is None
    assert any("try it again" in sentence or "try again" in sentence for sentence in said), said
    assert not any("error in the program" in sentence or "on our side" in sentence for sentence in said), said
    assert outcome(address, paper) == "done"


def test_a_folder_that_takes_no_files_any_more_is_a_sentence_and_passes(
    server: Server, paper: bytes, uploads: Path
) -> None:
    address, process = server
    (folder,) = uploads.iterdir()
    moved = folder.rename(uploads.parent / "elsewhere")
    folder.write_text("")  # every path below it is an error now, also for root
    try:
        for size in (1_000, 5_000_000):  # kept in memory on the way, and not
            status, text = upload(address, b"We show things. " * (size // 16))
            assert (status, text) == (
                503,
                "The server cannot take in files just now; please try again later.",
            )
    finally:
        folder.unlink()
        moved.rename(folder)
    assert process.poll() is None
    assert outcome(address, paper) == "done"


def test_a_killed_reader_is_told_as_that(server: Server) -> None:
    address, process = server
    killer = threading.Thread(target=lambda: reader_of(process).kill())
    killer.start()
    (path,) = json.loads(upload(address, SLOW_PDF, name="slow.pdf")[1])
    assert "was interrupted on the server; please try again" in summarize(address, path)
    killer.join()


# Starts a child in a thread that ends, as those of a server do.
PARENT = """
import json, sys, threading, time
from pathlib import Path
from app.documents.guarded_child import GuardedChild
file, program, orders, questions = sys.argv[1:]
def start():
    global child
    with open(file, "rb") as opened:
        child = GuardedChild(Path(program), opened.fileno(), json.loads(orders))
    for question in json.loads(questions):
        child.tell(question)
starting = threading.Thread(target=start)
starting.start()
starting.join()
print(child._process.pid, flush=True)
time.sleep(100)
"""
LIMITS = {"password": None, "memory_bytes": 2**30, "cpu_seconds": 60}
DRAWING = {**LIMITS, "max_pages": 10, "page_characters": 10**5, "idle_seconds": 60}
RECOGNIZING = {**LIMITS, "page": 1, "environment": {"PATH": os.defpath}}
IMAGE = {"ask": "image", "page": 1, "scale": 3.0}
# Thousands of layers of paint, and a page of words for a program that never gets done with it.
PAINT = pdf_files.pdf_of([b"0 0 612 792 re f\n" * 50_000])
WORDS = pdf_files.pdf_of([pdf_files.lines(*["We show that sparse attention reads papers."] * 30)])
NEVER_DONE = """#!/bin/sh
if [ "$1" = --list-langs ]; then echo Languages; echo eng; exit; fi
exec sleep 100
"""


@linux
@pytest.mark.parametrize("program", [RENDERER, RECOGNIZER], ids=["drawing", "recognizing"])
def test_killed_it_leaves_nobody_who_draws_or_recognizes(program: Path, tmp_path: Path) -> None:
    """Whatever they are at: who computes does not look whether anybody still listens."""
    file, tesseract = tmp_path / "paper.pdf", tmp_path / "tesseract"
    tesseract.write_text(NEVER_DONE)
    tesseract.chmod(0o755)
    if program == RENDERER:
        file.write_bytes(PAINT)
        orders, questions = DRAWING, [IMAGE]
    else:
        file.write_bytes(WORDS)
        orders, questions = {**RECOGNIZING, "program": str(tesseract)}, []
    command = [
        sys.executable,
        "-c",
        PARENT,
        str(file),
        str(program),
        json.dumps(orders),
        json.dumps(questions),
    ]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        deadline = time.monotonic() + 30
        while "sleep" not in {each.name() for each in child.children()} and time.monotonic() < deadline:
            if program == RENDERER and child.cpu_times().user > 1:
                break
            time.sleep(0.05)
        family = [child, *child.children()]
        assert all(not is_gone(process, 0.1) for process in family)
    finally:
        parent.kill()
        parent.wait()
    assert all(is_gone(process, 2) for process in family)
