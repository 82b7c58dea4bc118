"""The first stage, in this process: every file ends in a row."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import fsspec
import pytest

from app.corpus.desk import Desk
from app.corpus.reading import Reader
from app.corpus.sources import name_of
from app.documents import Document, ReadingLimits
from tests.page_server import paper_pdf

TEXT = b"# Of reading\n\nThe encoder reads a band of tokens. It also reads the sums of blocks.\n"


def read(name: str | Path, desk: Desk | None = None, limits: ReadingLimits | None = None) -> dict[str, Any]:
    return Reader(desk or Desk([]), limits or ReadingLimits())({"name": str(name), "version": "1"})


def error_of(item: dict[str, Any]) -> str:
    assert item["state"] == "done"
    return json.loads(item["row"])["error"]


def test_a_file_is_read_under_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "a [1]*::b.md"
    path.write_bytes(TEXT)
    item = read(path)
    document = pickle.loads(item["document"])
    assert item["state"] == "read" and isinstance(document, Document)
    assert document.title == "Of reading" and document.name == path.name


@pytest.mark.skipif(sys.platform != "linux", reason="names are always text elsewhere")
def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    path = os.fsdecode(bytes(tmp_path / "a 100%") + b"\xff.md")
    Path(path).write_bytes(TEXT)
    item = read(name_of(path))
    assert item["state"] == "read" and pickle.loads(item["document"]).name == "a%20100%25%FF.md"
    os.remove(path)
    assert "No such file" in error_of(read(name_of(path)))


def test_the_same_content_is_the_same_paper_wherever_it_is(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/there.md", TEXT)
    (tmp_path / "here.md").write_bytes(TEXT)
    desk = Desk([])
    try:
        first, second = read("memory:///there.md", desk), read(tmp_path / "here.md", desk)
    finally:
        memory.rm("/there.md")
    assert first["sha256"] == second["sha256"]
    assert (first["state"], second["state"]) == ("read", "same")
    assert read("memory:///there.md", desk)["state"] == "done"  # it is gone now


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")
    for name in ("pipe.pdf", "gone.pdf", "."):
        item = read(tmp_path / name)
        assert "could not be opened" in error_of(item) and not item["sha256"]
    assert "could not be opened" in error_of(read("unknown://bucket/a.pdf"))


def test_what_is_too_large_is_not_fetched_to_its_end() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/large.md", TEXT * 100_000)
    try:
        assert "MB" in error_of(read("memory:///large.md", limits=ReadingLimits(max_bytes=2**20)))
    finally:
        memory.rm("/large.md")


def test_an_encrypted_file_says_what_to_do(tmp_path: Path) -> None:
    assert "--password" in error_of(read(paper_pdf(tmp_path / "locked.pdf", password="secret")))


def test_an_error_that_nobody_foresaw_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError

    (tmp_path / "a.md").write_bytes(TEXT)
    monkeypatch.setattr("app.documents.read", fail)
    item = read(tmp_path / "a.md")
    assert "ValueError" in error_of(item) and item["sha256"]


def test_after_a_stop_and_after_two_deaths(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(TEXT)
    desk = Desk([])
    for _ in range(2):
        desk.begin(f"read {tmp_path / 'a.md'}")
    assert "Twice" in error_of(read(tmp_path / "a.md", desk))
    desk.stop()
    assert read(tmp_path / "a.md", desk)["state"] == "left"
