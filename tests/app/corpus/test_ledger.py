"""What is done is kept: in parts, in a journal, under all its names, through every kind of end."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.corpus.ledger import Ledger, LedgerError, parts_of
from app.corpus.rows import SCHEMA, Row, failure_row
from app.corpus.sources import SourceFile

RUN = {"model": "tiny"}


def row(sha256: str | None, name: str | None = None) -> Row:
    return failure_row(SourceFile(name or f"/{sha256}.pdf", "1"), sha256, "It is no paper.")


def table(folder: Path) -> list[dict[str, Any]]:
    return [found for path in parts_of(folder) for found in pq.read_table(path).to_pylist()]


def abandon(ledger: Ledger) -> None:
    """The end of a process that is killed: nothing is written any more, and the system takes the lock."""
    ledger._lock.close()


def test_rows_become_parts(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False, part_rows=2) as ledger:
        for sha256 in "abc":
            ledger.add(row(sha256))
        assert len(parts_of(tmp_path)) == 1 and "c" in ledger
    assert [found["sha256"] for found in table(tmp_path)] == list("abc")
    assert pq.read_schema(parts_of(tmp_path)[0]).equals(SCHEMA)
    assert (tmp_path / "journal.jsonl").read_bytes() == b""
    assert not list(tmp_path.rglob("*.part"))


def test_a_row_comes_once_and_adds_its_name(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False) as ledger:
        ledger.add(row("a", "/one.pdf"))
        ledger.add(row("a", "/two.pdf"))
        ledger.add(row("a", "/one.pdf"))
    [found] = table(tmp_path)
    assert (found["file"], found["other_files"], found["versions"]) == ("/one.pdf", ["/two.pdf"], ["1", "1"])


def test_names_come_before_their_row_and_after_its_part(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False, part_rows=1) as ledger:
        ledger.add_name("a", SourceFile("/before.pdf", "1"))
        ledger.add_name("b", SourceFile("/of-no-row.pdf", "1"))
        ledger.add(row("a", "/a.pdf"))
        ledger.add_name("a", SourceFile("/after.pdf", "2"))
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        assert ledger.knows(SourceFile("/after.pdf", "2")) and not ledger.knows(SourceFile("/after.pdf", "3"))
        assert not ledger.knows(SourceFile("/of-no-row.pdf", "1"))
    assert [found["other_files"] for found in table(tmp_path)] == [["/before.pdf", "/after.pdf"]]


def names(found: Row) -> dict[str, str]:
    """The versions of a row by the names of its files."""
    return dict(zip([found["file"], *found["other_files"]], found["versions"], strict=True))


def test_a_touched_file_is_read_again_once(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False) as ledger:
        ledger.add(row("a", "/a.pdf"))
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        assert not ledger.knows(SourceFile("/a.pdf", "2"))
        assert not ledger.add_name("a", SourceFile("/a.pdf", "2"))
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        assert ledger.knows(SourceFile("/a.pdf", "2")) and not ledger.knows(SourceFile("/a.pdf", "1"))
    assert list(map(names, table(tmp_path))) == [{"/a.pdf": "2"}]


def test_the_row_of_what_a_file_holds_now_stands(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False, part_rows=1) as ledger:
        for sha256 in "abc":
            ledger.add(row(sha256, f"/{sha256}.pdf"))
        ledger.add_name("b", SourceFile("/twin.pdf", "1"))
    with Ledger(tmp_path, RUN, resume=True, part_rows=1) as ledger:
        ledger.add(failure_row(SourceFile("/a.pdf", "2"), "new", "It is no paper."))
        ledger.add(failure_row(SourceFile("/b.pdf", "2"), "newer", "It is no paper."))
        assert ledger.add_name("c", SourceFile("/moved.pdf", "1"))
        assert ledger.add_name("newer", SourceFile("/c.pdf", "2"))
    rows = {found["sha256"]: names(found) for found in table(tmp_path)}
    assert rows == {
        "b": {"/twin.pdf": "1"},
        "c": {"/moved.pdf": "1"},
        "new": {"/a.pdf": "2"},
        "newer": {"/b.pdf": "2", "/c.pdf": "2"},
    }


def test_files_that_have_changed_places(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False, part_rows=1) as ledger:
        ledger.add(row("a", "/one.pdf"))
        ledger.add(row("b", "/two.pdf"))
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        ledger.add_name("b", SourceFile("/one.pdf", "2"))
        ledger.add_name("a", SourceFile("/two.pdf", "2"))
    assert {found["sha256"]: names(found) for found in table(tmp_path)} == {
        "a": {"/two.pdf": "2"},
        "b": {"/one.pdf": "2"},
    }


@pytest.mark.parametrize("part_rows", [1, 9])
def test_a_file_was_replaced_and_the_run_killed(tmp_path: Path, part_rows: int) -> None:
    with Ledger(tmp_path, RUN, resume=False) as ledger:
        ledger.add(row("a", "/a.pdf"))
    ledger = Ledger(tmp_path, RUN, resume=True, part_rows=part_rows)
    ledger.add(failure_row(SourceFile("/a.pdf", "2"), "new", "It is no paper."))
    abandon(ledger)
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        assert ledger.knows(SourceFile("/a.pdf", "2"))
    assert [(found["sha256"], names(found)) for found in table(tmp_path)] == [("new", {"/a.pdf": "2"})]


def test_a_paper_without_a_name_may_be_found_again_in_the_same_run(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, RUN, resume=False)
    ledger.add(row("a", "/a.pdf"))
    abandon(ledger)
    with Ledger(tmp_path, RUN, resume=True, part_rows=1) as ledger:
        ledger.add(failure_row(SourceFile("/a.pdf", "2"), "new", "It is no paper."))
        ledger.add_name("a", SourceFile("/moved.pdf", "1"))
    assert [names(found) for found in table(tmp_path)] == [{"/moved.pdf": "1"}, {"/a.pdf": "2"}]


def test_a_file_that_cannot_be_opened_any_more_keeps_its_row(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False) as ledger:
        ledger.add(row("a", "/a.pdf"))
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        ledger.add(row(None, "/a.pdf"))
        assert not ledger.knows(SourceFile("/a.pdf", "2"))  # it is tried again
    assert [found["sha256"] for found in table(tmp_path)] == ["a"]


def test_a_file_of_no_known_version_is_read_again(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False) as ledger:
        ledger.add(failure_row(SourceFile("/a.pdf"), "a", "No."))
        assert not ledger.knows(SourceFile("/a.pdf"))


def test_what_could_not_be_opened_gets_another_try(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False) as ledger:
        ledger.add(row(None, "/gone.pdf"))
        ledger.add(row("a"))
    assert len(table(tmp_path)) == 2
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        assert ledger.keys == ["a"] and not ledger.knows(SourceFile("/gone.pdf", "1"))
        ledger.add(row("b", "/gone.pdf"))
    assert [found["sha256"] for found in table(tmp_path)] == ["a", "b"]


def test_half_a_line_of_a_killed_run_is_passed_over(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, RUN, resume=False)
    ledger.add(row("a"))
    abandon(ledger)
    with (tmp_path / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(row("b"))[:40])
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        assert ledger.keys == ["a"]
        ledger.add(row("c"))
    assert [found["sha256"] for found in table(tmp_path)] == ["a", "c"]


def test_killed_between_a_part_and_its_journal(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, RUN, resume=False)
    ledger.add(row("a"))
    journal = (tmp_path / "journal.jsonl").read_bytes()
    ledger.__exit__()
    (tmp_path / "journal.jsonl").write_bytes(journal)  # the part is there, the journal not yet cleared
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        assert ledger.keys == ["a"]
    assert len(table(tmp_path)) == 1


@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_do_not_write_at_once(tmp_path: Path, resume: bool) -> None:
    with Ledger(tmp_path, RUN, resume=False), pytest.raises(LedgerError, match="Another run"):
        Ledger(tmp_path, RUN, resume=resume)


def test_a_run_is_gone_on_with_on_purpose_and_alike(tmp_path: Path) -> None:
    with Ledger(tmp_path, RUN, resume=False) as ledger:
        ledger.add(row("a"))
    with pytest.raises(LedgerError, match="--resume"):
        Ledger(tmp_path, RUN, resume=False)
    with pytest.raises(LedgerError, match="model"):
        Ledger(tmp_path, {"model": "other"}, resume=True)
    with Ledger(tmp_path, RUN, resume=True) as ledger:
        assert len(ledger) == 1


def test_a_folder_that_takes_no_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="--out"):
        Ledger(tmp_path / "file" / "out", RUN, resume=False)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["row", "name", "gone", "kill", "end"]),
        st.sampled_from("abcde"),
        st.sampled_from("xyz"),
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(ACTIONS)
def test_however_runs_end_every_file_ends_in_one_row(actions: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = Ledger(folder, RUN, resume=True, part_rows=2)
        expected = set()
        for action, sha256, file in actions:
            if action == "row":
                if sha256 not in ledger:  # otherwise it is a name, and those of a killed run are found again
                    expected.add(f"/{file}")
                ledger.add(row(sha256, f"/{file}"))
            elif action == "name":
                ledger.add_name(sha256, SourceFile(f"/{file}", "1"))
            elif action == "gone":
                ledger.add(row(None, f"/{file}"))
            else:
                abandon(ledger) if action == "kill" else ledger.__exit__()
                ledger = Ledger(folder, RUN, resume=True, part_rows=2)
        ledger.__exit__()
        rows = table(folder)
        papers = [found["sha256"] for found in rows if found["sha256"]]
        assert len(set(papers)) == len(papers)
        files = [file for found in rows for file in names(found)]
        assert len(set(files)) == len(files) and expected <= set(files)
