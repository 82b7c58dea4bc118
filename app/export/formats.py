"""The formats in which a summary can be taken along: one entry each."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import NamedTuple

from app.export.bibtex import to_bibtex
from app.export.data import to_json
from app.export.text import to_markdown, to_text
from app.export.web_page import to_html
from app.export.word import to_docx
from app.summarizing.summary import Summary


class Format(NamedTuple):
    """A kind of file."""

    label: str
    mime: str
    write: Callable[[Summary], str | bytes]


FORMATS = {
    "md": Format("Markdown", "text/markdown", to_markdown),
    "txt": Format("Text", "text/plain", to_text),
    "html": Format("Web page", "text/html", to_html),
    "docx": Format(
        "Word", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", to_docx
    ),
    "json": Format("JSON", "application/json", to_json),
    "bib": Format("BibTeX", "application/x-bibtex", lambda summary: to_bibtex(summary.document)),
}
"""Ending of the file's name -> its format."""


def file_name(summary: Summary, kind: str) -> str:
    """A name for the file, made of the paper's; fit for any file system."""
    stem = (
        re.sub(r'[\\/:*?"<>|\x00-\x1f]+', " ", PurePath(summary.document.name).stem).strip(" .")[:80]
        or "paper"
    )
    return f"{stem}.bib" if kind == "bib" else f"{stem}-summary.{kind}"
