"""A stranger's file becomes a Document: pages, characters, paragraphs and what is said of the rest."""

from app.documents.document import (
    Document,
    DocumentError,
    Page,
    PasswordNeeded,
    Reading,
    ReadingLimits,
    Section,
    undivided,
)
from app.documents.left_out import LeftOut, left_out
from app.documents.reading import read

__all__ = [
    "Document",
    "DocumentError",
    "LeftOut",
    "Page",
    "PasswordNeeded",
    "Reading",
    "ReadingLimits",
    "Section",
    "left_out",
    "read",
    "undivided",
]
