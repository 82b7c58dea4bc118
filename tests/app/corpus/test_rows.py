"""A summary as a row of the table, and back from a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq

from app.corpus.between import done
from app.corpus.rows import SCHEMA, failure_row, summary_row, table_of
from app.corpus.sources import SourceFile
from app.models import ModelStore
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done
from tests.app.factories import paragraphs

FILE = SourceFile("/library/a.md", "7 1.0")


def test_all_of_a_summary_is_in_its_row(store: ModelStore, tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("# Of reading\n\n## 1 One\n\n" + "\n\n".join(paragraphs(3)))
    settings = store.profile(store.choices[0]).defaults
    [summary] = [event.summary for event in summarize(path, settings, store) if isinstance(event, Done)]
    pq.write_table(table_of([summary_row(FILE, "hash", summary, 1.23456)]), tmp_path / "a.parquet")
    [row] = pq.read_table(tmp_path / "a.parquet").to_pylist()

    assert row.keys() == set(SCHEMA.names) and row["error"] is None
    assert (row["file"], row["versions"], row["sha256"]) == (FILE.name, [FILE.version], "hash")
    assert (row["title"], row["pages"], row["summary"]) == ("Of reading", 1, summary.text)
    assert json.loads(row["settings"]) == asdict(summary.settings)
    assert len(row["sentences"]) == len(summary.sentences) > 0
    for told, sentence in zip(row["sentences"], summary.sentences):
        assert told["text"] == sentence.text
        assert [(p["page"], p["quote"]) for p in told["evidence"]] == [
            (p.page, p.quote) for p in sentence.evidence
        ]
        words = [sentence.text[start:end] for start, end in sentence.unsupported]
        assert told["not_in_paper"] == words and set(words) <= set(row["not_in_paper"])
    assert [section["text"] for section in row["sections"]] == [
        p.text for p in summary.parts if p.kind == "section"
    ]


def test_a_failure_has_every_column(tmp_path: Path) -> None:
    pq.write_table(table_of([failure_row(FILE, None, "No.")]), tmp_path / "a.parquet")
    [row] = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert row["error"] == "No." and row["sha256"] is None and row["sentences"] == [] and row["pages"] is None


def test_what_is_no_text_is_in_no_row_that_comes_from_a_worker(tmp_path: Path) -> None:
    row = json.loads(done(failure_row(FILE, "hash", "A storage says \ud835."))["row"])
    pq.write_table(table_of([row]), tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist()[0]["error"] == "A storage says ?."
