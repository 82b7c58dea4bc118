"""The row that a file ends in: a summary with all that belongs to it, or a sentence that says why there is none."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import pyarrow as pa

from app import export
from app.corpus.sources import SourceFile
from app.summarizing.summary import Summary

Row: TypeAlias = dict[str, Any]
"""A row of the table by its columns, made of what JSON knows."""

_TEXTS = pa.list_(pa.string())
_SECTION = pa.struct([("heading", pa.string()), ("page", pa.int32()), ("text", pa.string())])
_PASSAGE = pa.struct([("page", pa.int32()), ("quote", pa.string()), ("score", pa.float32())])
_SENTENCE = pa.struct(
    [
        ("part", pa.string()),
        ("heading", pa.string()),
        ("text", pa.string()),
        ("quoted", pa.bool_()),
        ("not_in_paper", _TEXTS),
        ("evidence", pa.list_(_PASSAGE)),
    ]
)

SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("other_files", _TEXTS),
        ("versions", _TEXTS),
        ("sha256", pa.string()),
        ("title", pa.string()),
        ("authors", _TEXTS),
        ("language", pa.string()),
        ("pages", pa.int32()),
        ("tldr", pa.string()),
        ("summary", pa.string()),
        ("sections", pa.list_(_SECTION)),
        ("sentences", pa.list_(_SENTENCE)),
        ("not_in_paper", _TEXTS),
        ("notes", _TEXTS),
        ("model", pa.string()),
        ("settings", pa.string()),
        ("seconds", pa.float32()),
        ("error", pa.string()),
    ]
)
"""Columns of the table; docs/corpus.md says what is in each."""


def summary_row(file: SourceFile, sha256: str, summary: Summary, seconds: float) -> Row:
    """The row of a paper.

    Args:
        seconds: that it took a worker to read the file and to summarize it.
    """
    told = export.to_dict(summary)
    sentences = [_sentence(sentence, told["parts"]) for sentence in told["sentences"]]
    text_of = {part["kind"]: part["text"] for part in told["parts"] if part["kind"] != "section"}
    return {
        **_empty(file, sha256, seconds),
        "title": summary.document.title,
        "authors": list(summary.document.authors),
        "language": summary.document.language,
        "pages": told["pages"],
        "tldr": text_of.get("tldr"),
        "summary": text_of.get("summary"),
        "sections": [
            {key: part[key] for key in ("heading", "page", "text")}
            for part in told["parts"]
            if part["kind"] == "section"
        ],
        "sentences": sentences,
        "not_in_paper": list(
            dict.fromkeys(word for sentence in sentences for word in sentence["not_in_paper"])
        ),
        "notes": told["notes"],
        "model": told["model"],
        "settings": json.dumps(told["settings"]),
    }


def failure_row(file: SourceFile, sha256: str | None, error: str, seconds: float = 0.0) -> Row:
    """The row of a file that has no summary.

    Args:
        sha256: None where not even that could be read.
        error: one sentence that says what to do.
    """
    return {**_empty(file, sha256, seconds), "error": error}


def key_of(row: Row) -> str:
    """What tells a row from all others: the hash of its file; the name of one that can't be read."""
    return row["sha256"] or row["file"]


def table_of(rows: list[Row]) -> pa.Table:
    """Rows as a table of `SCHEMA`."""
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _empty(file: SourceFile, sha256: str | None, seconds: float) -> Row:
    row: Row = dict.fromkeys(SCHEMA.names)
    lists = [field.name for field in SCHEMA if pa.types.is_list(field.type)]
    row.update({name: [] for name in lists})
    row.update(file=file.name, versions=[file.version], sha256=sha256, seconds=round(seconds, 3))
    return row


def _sentence(sentence: dict[str, Any], parts: list[dict[str, Any]]) -> Row:
    part = parts[sentence["part"]]
    return {
        "part": part["kind"],
        "heading": part["heading"],
        "text": sentence["text"],
        "quoted": sentence["quoted"],
        "not_in_paper": [sentence["text"][start:end] for start, end in sentence["unsupported"]],
        "evidence": [
            {key: passage[key] for key in ("page", "quote", "score")} for passage in sentence["evidence"]
        ],
    }
