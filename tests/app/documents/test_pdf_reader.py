"""What the child itself does: its limits, its lines, its answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.documents.guarded_reader import READER
from tests.app import pdf_files
from tests.app.pdf_files import ORDERS, show

APP = Path(__file__).resolve().parents[3] / "app"


def messages(data: bytes, folder: Path, **orders: Any) -> list[dict[str, Any]]:
    path = pdf_files.write(folder, data)
    with path.open("rb") as file:
        child = subprocess.Popen(
            [sys.executable, str(READER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[file.fileno()],
            env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert child.stdin is not None and child.stdout is not None and child.stderr is not None
        # A closed stdin would tell it that nobody waits for it any more.
        child.stdin.write(json.dumps({"file_descriptor": file.fileno(), **ORDERS, **orders}).encode() + b"\n")
        child.stdin.flush()
        said, complaints = child.stdout.read(), child.stderr.read()
        child.communicate(timeout=120)
    assert child.returncode == 0
    assert complaints == b""
    return [json.loads(line) for line in said.splitlines()]


def page_lines(content: bytes, folder: Path, **orders: Any) -> list[list[Any]]:
    return messages(pdf_files.pdf_of([content]), folder, **orders)[1]["lines"]


def test_lines_have_place_size_weight_and_font(tmp_path: Path) -> None:
    content = (
        show("A heading", 72, 700, size=14, font="F2") + show("Some text", 80, 670) + show("in two", 80, 658)
    )
    assert page_lines(content, tmp_path) == [
        ["A heading", 72, 700, 14, True, "Times-Bold"],
        ["Some text", 80, 670, 10, False, "Times-Roman"],
        ["in two", 80, 658, 10, False, "Times-Roman"],
    ]


def test_line_of_several_fonts_names_none(tmp_path: Path) -> None:
    content = show("Run in.", 72, 700, font="F2") + show("And then running text.", 110, 700)
    (line,) = page_lines(content, tmp_path)
    assert line[4:] == [False, ""]


def test_number_in_the_margin_goes_before_its_line(tmp_path: Path) -> None:
    content = (
        show("The text of a line", 72, 700) + show("88", 40, 700) + show("The text of the next", 72, 688)
    )
    assert [line[0].strip() for line in page_lines(content, tmp_path)] == [
        "88 The text of a line",
        "The text of the next",
    ]


def test_turned_margin_stamp_is_left_out(tmp_path: Path) -> None:
    stamp = b"BT /F1 10 Tf 0 1 -1 0 30 300 Tm (arXiv:1234) Tj ET\n"
    content = stamp + b"".join(show(pdf_files.LOREM, 72, 700 - 12 * number) for number in range(5))
    assert [line[0] for line in page_lines(content, tmp_path)] == [pdf_files.LOREM] * 5


def test_turned_page_reads_like_an_upright_one(tmp_path: Path) -> None:
    content = b"".join(
        b"BT /F1 10 Tf 0 1 -1 0 %d 72 Tm (line %d) Tj ET\n" % (100 + 12 * n, n) for n in range(3)
    )
    lines = page_lines(content, tmp_path)
    assert [line[0] for line in lines] == ["line 0", "line 1", "line 2"]
    assert [line[1] for line in lines] == [72, 72, 72]
    assert lines[0][2] > lines[1][2] > lines[2][2]


def test_page_with_too_many_characters_is_cut(tmp_path: Path) -> None:
    message = messages(pdf_files.pdf_of([pdf_files.lines("abc", "def", "ghi")]), tmp_path, page_characters=6)[
        1
    ]
    assert message["cut"]
    assert "".join(line[0] for line in message["lines"]) == "abcdef"


def test_far_and_broken_coordinates(tmp_path: Path) -> None:
    content = b"BT /F1 1e30 Tf 1 0 0 1 1e38 nan Tm (far) Tj ET BT /F1 -5 Tf 0 0 0 0 0 0 Tm (flat) Tj ET"
    for line in page_lines(content, tmp_path):
        assert all(abs(number) < 1e9 for number in line[1:4])


def test_title_comes_along(tmp_path: Path) -> None:
    assert messages(pdf_files.pdf_of([b""], info=b"/Title (A title)"), tmp_path)[0]["title"] == "A title"


@pytest.mark.parametrize(
    "info", [b"/Title 12", b"/Title [1 2]", b"/Title << >>", b"/Title (\xfe\xff\xd8\x00\x00)"]
)
def test_broken_title_is_no_obstacle(info: bytes, tmp_path: Path) -> None:
    assert messages(pdf_files.pdf_of([pdf_files.lines("Text")], info=info), tmp_path)[-1] == {"end": "done"}


def test_slow_pages_are_skipped_and_the_next_one_is_read(tmp_path: Path) -> None:
    slow = pdf_files.slow_page()
    data = pdf_files.pdf_of([pdf_files.lines("One"), slow, slow, pdf_files.lines("Four")])
    found = messages(data, tmp_path, page_seconds=0.3)
    assert found[2:4] == [{"page": 2, "failed": "time"}, {"page": 3, "failed": "time"}]
    assert found[4]["lines"][0][0] == "Four"
    assert found[5:] == [{"end": "done"}]


def test_file_of_slow_pages_is_given_up(tmp_path: Path) -> None:
    data = pdf_files.pdf_of([pdf_files.lines("One"), *[pdf_files.slow_page()] * 9])
    found = messages(data, tmp_path, page_seconds=0.2)
    # The clock of the system ticks: the third page may end a moment before three times its time is over.
    assert [message.get("failed") for message in found[2:-1]] in (["time"] * 3, ["time"] * 4)
    assert found[-1] == {"end": "time"}


def test_hopeless_file_is_given_up(tmp_path: Path) -> None:
    found = messages(pdf_files.pdf_of([b" " * 31_000_000] * 8), tmp_path)
    assert [message.get("failed") for message in found[1:-1]] == ["limits"] * 5
    assert found[-1] == {"end": "time"}


def test_too_little_memory_is_an_answer(tmp_path: Path) -> None:
    found = messages(pdf_files.memory_bomb(), tmp_path, memory_bytes=150 << 20)
    assert found[1:] == [{"page": 1, "failed": "memory"}, {"end": "done"}]


def test_child_starts_light() -> None:
    heavy = "{'app.documents', 'torch', 'gradio', 'transformers', 'numpy'}"
    code = f"""
import runpy, sys, pypdf
runpy.run_path({str(READER)!r})
before = 'app' in sys.modules
import app.pdf_text.page_text
print(before, {heavy} & set(sys.modules))"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=APP.parent
    )
    assert ran.stdout.strip() == "False set()"
