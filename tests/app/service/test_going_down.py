"""How the server ends: by a signal in the middle of work or idle, killed, and what the next one finds."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.app import pdf_files
from tests.app.service.test_server import connect, upload
from tests.page_server import running, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    return folder


def begin(address: str, content: bytes, name: str, **settings: int | str) -> None:
    """Asks for a summary and does not wait for it."""
    (path,) = json.loads(upload(address, content, name=name)[1])
    sent = {"path": path, "meta": {"_type": "gradio.FileData"}}
    connection = connect(address)
    connection.request(
        "POST",
        "/gradio_api/call/summarize",
        json.dumps({"data": [sent, "", settings, ""]}),
        headers={"Content-Type": "application/json"},
    )
    event = json.loads(connection.getresponse().read())["event_id"]

    def listen() -> None:
        try:
            connection.request("GET", f"/gradio_api/call/summarize/{event}")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            pass

    threading.Thread(target=listen, daemon=True).start()


def reader_of(server: subprocess.Popen[bytes], seconds: float = 30) -> psutil.Process:
    """The child that reads a file, once it runs."""
    process, deadline = psutil.Process(server.pid), time.monotonic() + seconds
    while time.monotonic() < deadline:
        for child in process.children():
            if "pdf_reader.py" in " ".join(child.cmdline()):
                return child
        time.sleep(0.05)
    raise AssertionError("no file is being read")


def is_gone(process: psutil.Process, seconds: float = 1) -> bool:
    """Whether a process ends in time; one that nobody has taken note of yet has ended, too."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


SLOW_PDF = pdf_files.pdf_of([pdf_files.slow_page()] * 200)
TEXT = b"We show that sparse attention reads long papers. " * 400


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_reading(model: Path, uploads: Path, sign: signal.Signals) -> None:
    with running(model, uploads) as (address, server):
        begin(address, SLOW_PDF, "slow.pdf")
        reader = reader_of(server)
        server.send_signal(sign)
        assert server.wait(15) == 0
        assert is_gone(reader)
        assert not list(uploads.iterdir())


def test_a_signal_in_the_middle_of_a_summary(model: Path, uploads: Path) -> None:
    with running(model, uploads) as (address, server):
        begin(address, TEXT, "paper.txt", max_new_tokens=2048, num_beams=8)
        time.sleep(3)
        server.send_signal(signal.SIGINT)
        assert server.wait(15) == 0
        assert not list(uploads.iterdir())


def test_killed_it_leaves_no_child_and_the_next_start_is_clean(model: Path, uploads: Path) -> None:
    with running(model, uploads) as (address, server):
        begin(address, SLOW_PDF, "slow.pdf")
        reader = reader_of(server)
        server.kill()
        server.wait(15)
        assert is_gone(reader)
        (left,) = uploads.iterdir()
    with running(model, uploads):
        assert left not in list(uploads.iterdir())
        assert len(list(uploads.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_a_sentence(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    root = Path(__file__).resolve().parents[3]
    environment = {
        **os.environ,
        "GRADIO_TEMP_DIR": str(tmp_path / "file" / "below"),
        "LONGT5_MODELS": str(model),
    }
    ended = subprocess.run(
        [sys.executable, "app.py"], cwd=root, env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "set GRADIO_TEMP_DIR" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
