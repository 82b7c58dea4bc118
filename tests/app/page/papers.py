"""A small document and a summary of it, for tests of what is kept and shown."""

from __future__ import annotations

from typing import Any

from app.documents import Document, Page, undivided
from app.summarizing.settings import SummarySettings
from app.summarizing.summary import Evidence, Part, Sentence, Summary

TEXT = "Sparse attention reads long papers. Each token sees its neighbours. The cost grows with the length."


def document(name: str = "sparse.pdf", title: str = "Sparse attention") -> Document:
    """Two pages."""
    return Document(name, title, TEXT, (Page(1, 0, 36), Page(2, 36, len(TEXT))), undivided(TEXT), ())


def summary(**changes: Any) -> Summary:
    """A TL;DR, a summary and a section, each of one or two sentences with evidence on page 1 or 2."""
    evidence = Evidence(36, 67, 2, TEXT[36:67], 0.4)
    quote = Evidence(0, 35, 1, TEXT[:35], 1.0)
    parts = (
        Part("tldr", (Sentence("Long papers are read.", 0, 0, 4, (evidence,)),)),
        Part("summary", (Sentence(TEXT[:35], 0, 4, 9, (quote,)), Sentence("It costs 7 euros.", 0, 9, 14))),
        Part("section", (Sentence("Tokens see neighbours.", 0, 14, 18, (evidence,)),), "1 Method", 36),
    )
    values: dict[str, Any] = {
        "document": document(),
        "parts": parts,
        "settings": SummarySettings(model="tiny"),
        "tokens_read": 20,
        "tokens_left_out": 3,
        "pages_read": (1, 2),
        "notes": ("The reference list was left out (3 tokens).",),
        "seconds": 12.3456,
        "windows": (),
    }
    return Summary(**(values | changes))
