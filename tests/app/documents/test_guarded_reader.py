"""The guard around the PDF reader, held against real children: they are stopped, cut off, and never survive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.documents import guarded_child
from app.documents.guarded_reader import run_reader
from app.work import Stopped
from tests.app import pdf_files
from tests.app.pdf_files import ORDERS


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The children that were started."""
    children: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            children.append(self)

    monkeypatch.setattr(guarded_child.subprocess, "Popen", Watched)
    return children


def run(
    path: Path, *, stop: threading.Event | None = None, seconds: float = 60, **orders: Any
) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        yield from run_reader(
            file.fileno(), {**ORDERS, **orders}, seconds=seconds, stall_seconds=20, stop=stop
        )


def assert_dead(children: list[subprocess.Popen[bytes]]) -> None:
    assert children
    for child in children:
        assert child.returncode is not None
        with pytest.raises(ProcessLookupError):
            os.killpg(child.pid, 0)


def python(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the child run `code` in place of the reader."""
    real = subprocess.Popen.__init__

    def start(self: subprocess.Popen[bytes], args: list[str], **kwargs: Any) -> None:
        real(self, [sys.executable, "-c", code], **kwargs)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)


def test_messages_of_a_good_file(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    path = pdf_files.write(tmp_path, pdf_files.pdf_of([pdf_files.lines("One"), pdf_files.lines("Two")]))
    messages = list(run(path))
    said = {"title": None, "author": None, "creation_date": None}
    assert messages[0] == {"pages": 2, **said, "labels": None}
    line = ["One", 72, 700, 10, False, "Times-Roman"]
    assert messages[1] == {"page": 1, "lines": [line], "hidden": 0, "notes": 0, "cut": False}
    assert messages[3] == {"end": "done"}
    assert_dead(started)


def test_closing_kills_the_child(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    path = pdf_files.write(
        tmp_path, pdf_files.pdf_of([pdf_files.lines("One"), *[pdf_files.slow_page()] * 50])
    )
    messages = run(path)
    assert "pages" in next(messages)
    assert "page" in next(messages)
    assert started[0].poll() is None
    messages.close()
    assert_dead(started)


def test_stop_is_seen_at_once(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    path = pdf_files.write(tmp_path, pdf_files.pdf_of([pdf_files.slow_page()] * 100))
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with pytest.raises(Stopped):
        list(run(path, stop=stop))
    assert stop.is_set()
    assert_dead(started)


def test_stop_does_not_wait_for_a_silent_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python("import time; time.sleep(60)", monkeypatch)
    stop = threading.Event()
    stop.set()
    began = time.monotonic()
    with pytest.raises(Stopped):
        list(run(pdf_files.write(tmp_path, b""), stop=stop))
    assert time.monotonic() - began < 1


def test_deadline(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    path = pdf_files.write(tmp_path, pdf_files.pdf_of([pdf_files.slow_page()] * 100))
    began = time.monotonic()
    assert list(run(path, seconds=1))[-1] == {"end": "time"}
    assert time.monotonic() - began < 5
    assert_dead(started)


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("import time; time.sleep(60)", "time"),
        ("import os, time\nwhile True: os.write(1, b'x'); time.sleep(0.05)", "time"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "interrupted"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "interrupted"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "time"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "damaged"),
        ("raise SystemExit(1)", "damaged"),
        ("print('no message')", "damaged"),
        ("print('[1, 2]')", "damaged"),
        ("print('[' * 1_000_000)", "damaged"),
    ],
)
def test_child_that_fails(code: str, end: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python(code, monkeypatch)
    assert list(run(pdf_files.write(tmp_path, b""), seconds=1.5)) == [{"end": end}]


def test_a_child_that_the_system_killed_for_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counts = tmp_path / "vmstat"
    counts.write_text("nr_free_pages 5\noom_kill 3\n")
    monkeypatch.setattr(guarded_child, "OUT_OF_MEMORY_COUNTS", (counts, tmp_path / "none"))
    python(
        f"open({str(counts)!r}, 'w').write('oom_kill 4\\n')\nimport os; os.kill(os.getpid(), 9)", monkeypatch
    )
    assert list(run(pdf_files.write(tmp_path, b""))) == [{"end": "memory"}]


def test_the_reader_dies_with_whoever_started_it(tmp_path: Path) -> None:
    path = pdf_files.write(tmp_path, pdf_files.pdf_of([pdf_files.slow_page()] * 100))
    code = (
        "import sys\nfrom pathlib import Path\nfrom app.documents.guarded_child import GuardedChild\n"
        "from app.documents.guarded_reader import READER\nfrom tests.app.pdf_files import ORDERS\n"
        f"file = open({str(path)!r}, 'rb')\nchild = GuardedChild(READER, file.fileno(), ORDERS)\n"
        "print(child._process.pid, flush=True)\nfor message in child.messages: pass"
    )
    root = Path(__file__).resolve().parents[3]
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root)
    assert parent.stdout is not None
    reader = int(parent.stdout.readline())
    time.sleep(0.5)
    assert Path(f"/proc/{reader}").exists()
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and _lives(reader):
        time.sleep(0.02)
    assert not _lives(reader)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_output_is_capped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(guarded_child, "MAX_MESSAGE_BYTES", 100_000)
    python("import os\nwhile True: os.write(1, b'x' * 1000)", monkeypatch)
    assert list(run(pdf_files.write(tmp_path, b""))) == [{"end": "damaged"}]


def test_grandchildren_die_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = (
        "import json, os, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print(json.dumps({'child': child.pid}), flush=True)\n"
        "child.wait()"
    )
    python(code, monkeypatch)
    messages = run(pdf_files.write(tmp_path, b""))
    grandchild = next(messages)["child"]
    messages.close()
    for _ in range(50):
        # It belongs to init now, which may take a moment to reap it.
        state = Path(f"/proc/{grandchild}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.02)
    os.kill(grandchild, signal.SIGKILL)
    pytest.fail("the child's child outlived it")


def test_child_knows_nothing_of_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    python("import json, os; print(json.dumps(dict(os.environ)))", monkeypatch)
    environment = next(run(pdf_files.write(tmp_path, b"")))
    assert set(environment) <= {"PYTHONPATH", "LC_ALL", "LC_CTYPE"}
