"""The page to search a library, as files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.corpus import index
from app.corpus.index import write_index
from app.corpus.ledger import Ledger, parts_of
from app.corpus.rows import failure_row
from app.corpus.sources import SourceFile
from tests.app.corpus.tables import ERROR, made_up_row, make_table


def called(script: Path) -> list[Any]:
    """What a script hands over."""
    return json.loads("[" + script.read_text(encoding="utf-8").partition("(")[2].rpartition(")")[0] + "]")


def test_every_row_is_in_the_list_and_leads_to_its_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "TABLE_ROWS", 4)
    monkeypatch.setattr(index, "PAPER_ROWS", 2)
    write_index(tmp_path, make_table(tmp_path, 11), ["html"])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r'src="(index/rows-\d+\.js)"', page)
    lines = [line for script in scripts for line in called(tmp_path / script)[0]]
    assert len(scripts) == 3 and len(lines) == 11
    for number, line in enumerate(lines):
        chunk, papers = called(tmp_path / "index" / f"papers-{line['chunk']}.js")
        paper, row = papers[line["place"]], made_up_row(number)
        assert chunk == line["chunk"] and paper["key"] == line["key"] and paper["files"] == [row["file"]]
        assert line["title"] == (row["title"] or Path(row["file"]).name)
        texts = [sentence["text"] for part in paper["parts"] for sentence in part["sentences"]]
        assert texts == [sentence["text"] for sentence in row["sentences"]]
        assert (line["error"] == ERROR) is (not texts)
        assert ([name for name, _ in paper["links"][1:]] == ["with the text of the paper"]) is bool(texts)


def test_every_name_is_in_the_list_and_every_row_has_an_address_of_letters(tmp_path: Path) -> None:
    unread = ["/a/a b.pdf", "/b/a b.pdf", "/b/é#%.pdf", "file:///b/%FF.pdf"]
    with Ledger(tmp_path, {}, resume=False) as ledger:
        ledger.add(made_up_row(0))
        ledger.add_name(made_up_row(0)["sha256"], SourceFile("/other/name.pdf", "1"))
        for name in unread:
            ledger.add(failure_row(SourceFile(name), None, ERROR))
    write_index(tmp_path, parts_of(tmp_path), [])
    [lines] = called(tmp_path / "index" / "rows-0.js")
    assert lines[0]["files"] == ["paper-0000.pdf", "name.pdf"]
    assert [line["title"] for line in lines[1:]] == ["a b.pdf", "a b.pdf", "é#%.pdf", "%FF.pdf"]
    assert len({line["key"] for line in lines}) == len(lines)
    assert all(re.fullmatch("[0-9a-f]{16}", line["key"]) for line in lines)


def test_passages_that_nobody_would_see_are_left_out(tmp_path: Path) -> None:
    write_index(tmp_path, make_table(tmp_path, 1), [])
    [paper] = called(tmp_path / "index" / "papers-0.js")[1]
    assert {len(sentence["passages"]) for part in paper["parts"] for sentence in part["sentences"]} == {2}
    assert [part["page"] for part in paper["parts"]] == [None, None, 1, 2]


def test_what_is_too_much_for_a_page_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MOST_ROWS", 3)
    write_index(tmp_path, make_table(tmp_path, 5), [])
    assert "2 more papers" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_an_index_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "PAPER_ROWS", 1)
    parts = make_table(tmp_path, 3)
    write_index(tmp_path, parts, [])
    monkeypatch.setattr(index, "PAPER_ROWS", 50)
    write_index(tmp_path, parts, [])
    assert [path.name for path in sorted((tmp_path / "index").glob("papers-*"))] == ["papers-0.js"]


@pytest.mark.parametrize(
    ("file", "address"),
    [
        ("/a b/ü.pdf", "file:///a%20b/%C3%BC.pdf"),
        ('/a\nb#?%41"\u202e.pdf', "file:///a%0Ab%23%3F%2541%22%E2%80%AE.pdf"),
        ("file:///a/%FF.pdf", "file:///a/%FF.pdf"),
        ("https://example.org/a.pdf", "https://example.org/a.pdf"),
        ("s3://bucket/a.pdf", None),
        ("javascript://example.org/%0aalert(1)", None),
    ],
)
def test_only_addresses_that_a_browser_may_open_are_links(file: str, address: str | None) -> None:
    assert index._address(file) == address
