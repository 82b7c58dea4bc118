"""A stranger's file becomes a Document: pages, characters, paragraphs and what is said of the rest."""

from app.documents.reading import (
    Document,
    DocumentError,
    Page,
    PageRead,
    PasswordNeeded,
    ReadingLimits,
    display_name,
    read,
)

__all__ = [
    "Document",
    "DocumentError",
    "Page",
    "PageRead",
    "PasswordNeeded",
    "ReadingLimits",
    "display_name",
    "read",
]
