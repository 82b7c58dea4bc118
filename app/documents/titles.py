"""The title of a document, from the layout of its first pages and what the file says of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.documents.page_lines import Line
from app.documents.text_cleaning import clean_characters
from app.documents.type_styles import LARGER

TITLE_CHARACTERS = 300

_NOT_A_TITLE = re.compile(
    r"(?:untitled|document|title|paper|article|manuscript|thesis|layout ?\d*|slide ?\d*|binder ?\d*|scan.*|"
    r"microsoft (?:word|powerpoint).*|powerpoint presentation|pii:.*|doi:.*|arxiv:.*|no job name|template.*|"
    r"\S*[\\/_]\S*|.*\.(?:pdf|docx?|dvi|tex|ps|eps|indd|qxd|txt|rtf|odt|pages|pptx?|fm|cdr))",
    re.IGNORECASE,
)
_BANNER = re.compile(
    r"(?:(?:research|original|review|short)\s+)?(?:article|paper|communication|letter)s?(?: open access)?|"
    r"open access|r e s e a r c h.*|r e v i e w.*|proceedings of .*|journal of .*|published .*|received.*|"
    r"accepted.*|https?:.*|www\..*|doi:.*|arxiv:.*|vol(?:ume|\.).*|issn.*|copyright.*|©.*|\W*\d[\d\W]*",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]+")


def find_title(metadata: str | None, first_pages: Sequence[Sequence[Line]], fallback: str) -> str:
    """From the metadata if that is a title, else the largest lines, else the first one, else `fallback`."""
    text = " ".join(line.text for page in first_pages for line in page)
    stated = clean_characters(metadata or "")
    if _plausible_title(stated) and _mostly_in(stated, text):
        return _shorten(stated)
    for page in first_pages:
        largest = _largest_lines(page)
        if largest:
            return _shorten(largest)
    for page in first_pages:
        for line in page:
            if len(_LETTERS.findall(line.text)) > 1 and not _BANNER.fullmatch(line.text):
                return _shorten(line.text)
    return _shorten(stated) if _plausible_title(stated) else fallback


def _plausible_title(title: str) -> bool:
    letters = sum(map(len, _LETTERS.findall(title)))
    return (
        letters >= 6 and letters > 0.5 * len(title) - title.count(" ") and not _NOT_A_TITLE.fullmatch(title)
    )


def _mostly_in(title: str, text: str) -> bool:
    """Whether the words of a stated title are on the first pages: templates state those of others."""
    there = {word.casefold() for word in _LETTERS.findall(text)}
    words = [word.casefold() for word in _LETTERS.findall(title)]
    return not there or sum(word in there for word in words) >= 0.6 * len(words)


def _largest_lines(page: Sequence[Line]) -> str:
    """The lines set in the largest type that says something, in their order, joined."""
    candidates = [line for line in page if _LETTERS.search(line.text) and not _BANNER.fullmatch(line.text)]
    body = _median_size(page)
    for size in sorted({line.size for line in candidates}, reverse=True):
        if size <= LARGER * body:
            return ""
        title: list[Line] = []
        for line in candidates:
            if 0.97 * size <= line.size <= 1.03 * size:
                if title and abs(title[-1].y - line.y) > 2.5 * size:
                    break
                title.append(line)
        text = " ".join(line.text for line in title)
        if len(re.sub(r"\W", "", text)) >= 8 or (len(text) >= 4 and not text.isascii()):
            return re.sub(r"(?<=[a-z])- (?=[a-z])", "", text)
    return ""


def _median_size(page: Sequence[Line]) -> float:
    sizes = sorted(line.size for line in page for _ in range(1 + len(line.text) // 20))
    return sizes[len(sizes) // 2] if sizes else 0.0


def _shorten(title: str) -> str:
    title = re.sub(r"^title:\s*|[\s*∗†‡§¶]+$", "", title, flags=re.IGNORECASE)
    if len(title) <= TITLE_CHARACTERS:
        return title
    return title[: TITLE_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip() + "…"
