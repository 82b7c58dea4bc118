"""The page to search a library: `index.html` and, in `index/`, its rows and papers, made of the table's files."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar

import pyarrow.parquet as pq

from app.corpus.files import page_path, write_text
from app.corpus.rows import Row
from app.export.blocks import LEAST_SCORE

ASSETS = Path(__file__).parents[2] / "assets" / "corpus"
# Rows of a script; a browser holds the rows of all, and the papers of those that were opened.
TABLE_ROWS, PAPER_ROWS = 2_000, 50
MOST_ROWS = 50_000
KEY_CHARACTERS = 16
_PAGES = {"html": "with the text of the paper", "md": "as Markdown"}

T = TypeVar("T")


def write_index(folder: Path, parts: Iterable[Path], pages: Sequence[str]) -> None:
    """Writes the page anew.

    Args:
        folder: of the run; `index.html` is the last thing written in it.
        parts: the table's files.
        pages: endings of the pages that each paper has, see `page_path`.
    """
    # Beside the one there is, which is whole until this one is.
    fresh = folder / ".index.part"
    shutil.rmtree(fresh, ignore_errors=True)
    rows = (row for path in parts for row in pq.read_table(path).to_pylist())
    shown = enumerate(_chunks(itertools.islice(rows, MOST_ROWS), PAPER_ROWS))
    scripts = []
    for number, chunks in enumerate(_chunks(shown, TABLE_ROWS // PAPER_ROWS)):
        lines = []
        for chunk, papers in chunks:
            told = [_paper(row, pages) for row in papers]
            write_text(fresh / f"papers-{chunk}.js", f"library.papers({chunk}, {json.dumps(told)});\n")
            lines += [{**_line(row), "chunk": chunk, "place": place} for place, row in enumerate(papers)]
        write_text(fresh / f"rows-{number}.js", f"library.rows({json.dumps(lines)});\n")
        scripts.append(f'<script defer src="index/rows-{number}.js"></script>')
    for name in ("index.css", "index.js"):
        write_text(fresh / name, (ASSETS / name).read_text(encoding="utf-8"))
    shutil.rmtree(folder / "index", ignore_errors=True)
    fresh.rename(folder / "index")
    left_out = sum(1 for _ in rows)
    note = (
        f"{left_out:,} more papers are in papers/*.parquet: they are too many for a page." if left_out else ""
    )
    page = (ASSETS / "index.html").read_text(encoding="utf-8")
    page = page.replace("{scripts}", "\n".join(scripts)).replace("{left_out}", note)
    write_text(folder / "index.html", page)


def _line(row: Row) -> dict[str, Any]:
    """What the list shows and searches."""
    names = [PurePath(name).name for name in (row["file"], *row["other_files"])]
    sentences = row["sentences"]
    return {
        "key": _key(row),
        "title": row["title"] or names[0],
        "authors": ", ".join(row["authors"]),
        "pages": row["pages"],
        "language": row["language"],
        "short": row["tldr"] or (sentences[0]["text"] if sentences else ""),
        "summary": row["summary"],
        "files": names,
        "error": row["error"],
    }


def _key(row: Row) -> str:
    """What the address of an opened row ends in: of letters and digits, as browsers spell others in their own way."""
    return (row["sha256"] or hashlib.sha256(row["file"].encode()).hexdigest())[:KEY_CHARACTERS]


def _paper(row: Row, pages: Sequence[str]) -> dict[str, Any]:
    """What is shown when a row is opened."""
    document = _address(row["file"])
    links = [["the paper", document]] if document else []
    if not row["error"]:
        links += [[_PAGES[kind], page_path(kind, row["sha256"]).as_posix()] for kind in pages]
    made = [*row["notes"]]
    if row["model"]:
        made.append(f"Model {row['model']}; {row['seconds']:.0f} seconds.")
    return {
        # A page that was loaded before the folder was written anew tells by it that this is not what it lists here.
        "key": _key(row),
        "files": [row["file"], *row["other_files"]],
        "document": document if row["file"].lower().endswith(".pdf") else None,
        "links": links,
        "facts": made,
        "parts": [_part(row, *part) for part in itertools.groupby(row["sentences"], _of_part)],
    }


def _of_part(sentence: dict[str, Any]) -> tuple[str, str]:
    return sentence["part"], sentence["heading"]


def _part(row: Row, part: tuple[str, str], sentences: Iterable[dict[str, Any]]) -> dict[str, Any]:
    kind, heading = part
    pages = {section["heading"]: section["page"] for section in row["sections"]}
    return {
        "kind": kind,
        "heading": heading,
        "page": pages.get(heading) if kind == "section" else None,
        "sentences": [
            {
                "text": sentence["text"],
                "quoted": sentence["quoted"],
                "missing": sentence["not_in_paper"],
                "passages": [p for p in sentence["evidence"] if p["score"] >= LEAST_SCORE],
            }
            for sentence in sentences
        ],
    }


def _address(file: str) -> str | None:
    """Where a browser finds a file, if it can."""
    if file.startswith(("https://", "http://", "file://")):
        return file
    return None if "://" in file else PurePath(file).as_uri()


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
