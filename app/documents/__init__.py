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
from app.documents.page_characters import PageCharacters
from app.documents.page_images import PageImage, PageImages, PageSize
from app.documents.places import Place, find_places, position_at
from app.documents.reading import read
from app.documents.word_search import find_words

__all__ = [
    "Document",
    "DocumentError",
    "LeftOut",
    "Page",
    "PageCharacters",
    "PageImage",
    "PageImages",
    "PageSize",
    "PasswordNeeded",
    "Place",
    "Reading",
    "ReadingLimits",
    "Section",
    "find_places",
    "find_words",
    "left_out",
    "position_at",
    "read",
    "undivided",
]
