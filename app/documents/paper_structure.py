"""What a document is about and where it ends: its title and its reference list."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.documents.page_lines import Line
from app.documents.paragraphs import Paragraph
from app.documents.text_cleaning import clean_characters
from app.documents.type_styles import LARGER

TITLE_CHARACTERS = 300
# No entry of a reference list is longer; patterns need not look further.
ENTRY_CHARACTERS = 2_000
# A thesis may have a list for every chapter; the last one that is a list counts.
HEADINGS_TRIED = 100
# A heading is that of the references if among this many paragraphs after it so many are entries.
ENTRIES_LOOKED_AT, ENTRY_SHARE = 8, 0.4
# A list without a heading has to have this many numbered entries, among so many paragraphs.
LEAST_ENTRIES, NUMBERED_PARAGRAPHS = 5, 40
# Entries may lack a number or two where one was garbled.
SKIPPED_NUMBERS = 3
# Characters that are no entries: an entry broken in two by a column or page leaves stubs, the last one perhaps a longer
# one, and an appendix follows a stub at most; a longer stretch is something else.
STUB_BEFORE_APPENDIX, STUB_AT_END, OTHER_TEXT = 300, 400, 1500

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

_REFERENCES_HEADING = re.compile(
    r"(?:\d{1,2}\.?\s+|[A-Z]\.\s+|[IVX]{1,5}\.\s+|chapter \d+\s+)?"
    r"(?:references|references and notes|references cited|reference list|list of references|bibliography|"
    r"literature cited|literature|works cited|cited literature|citations|literatur|literaturverzeichnis|"
    r"quellenverzeichnis|références|références bibliographiques|bibliographie|referencias|bibliografía|"
    r"bibliografia|riferimenti bibliografici|referências|参考文献|參考文獻|参考资料|список литературы|литература|"
    r"βιβλιογραφία)\s*[:.]?",
    re.IGNORECASE,
)
_AFTER_REFERENCES = re.compile(
    r"(?:appendix|appendices|anhang|annexe?|supplement\w*|supporting information|online appendix|"
    r"figure legends?|figures|tables|about the authors?|biograph\w+|index|abbildungsverzeichnis|"
    r"stichwortverzeichnis)\b.*|[A-Z](?:\.\d+)*\.?\s+[A-Z].*",
    re.IGNORECASE | re.DOTALL,
)
_LETTERED_APPENDIX = re.compile(r"[A-Z](?:\.\d+)*\.?\s+[A-Z]")
_YEAR = re.compile(r"(?:^|[^\d.])(?:1[89]\d\d|20[0-4]\d)[a-z]?(?:\D|$)")
_YEAR_AT_END = re.compile(r"\b(?:1[89]\d\d|20[0-4]\d)[a-z]?\)?\.?$")
_VOLUME_AND_PAGES = re.compile(r"\d\s?(?:\(\d+\))?:\s?[\dA-Za-z]+\d")
_ENTRY_MARK = re.compile(r"\s*(?:\[(\d{1,3})\]|\[[^\]\d]{1,20}\d{2,4}[a-z]?\]|(\d{1,3})\.?\s)")
_NAME_AND_INITIAL = re.compile(r"[^\W\d_]{2,},?\s+(?:[A-Z]\.?){1,3}(?=[\s,.&]|$)|[A-Z]\.\s*[^\W\d_]{2,}")
_SOURCE = re.compile(
    r"\b(?:doi|https?:|arxiv|in proc|proceedings|journal|press|pages|pp\.|vol\.|springer|elsevier|et al)",
    re.IGNORECASE,
)


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


def find_references(paragraphs: Sequence[Paragraph]) -> tuple[int, int] | None:
    """The reference list as a range of indices in `paragraphs`, heading included; None if there is none.

    It begins at the last heading of that name which entries follow, or where entries numbered from 1 run to the end;
    it ends at an appendix, or where what follows does not look like entries any more.
    """
    headings = [index for index, found in enumerate(paragraphs) if _REFERENCES_HEADING.fullmatch(found.text)]
    for heading in reversed(headings[-HEADINGS_TRIED:]):
        following = paragraphs[heading + 1 : heading + 1 + ENTRIES_LOOKED_AT]
        if following and sum(map(looks_like_entry, following)) >= ENTRY_SHARE * len(following):
            return heading, _end_of_references(paragraphs, heading + 1)
    start = _numbered_run(paragraphs)
    return None if start is None else (start, _end_of_references(paragraphs, start))


def looks_like_entry(paragraph: Paragraph) -> bool:
    """Whether a paragraph reads like an entry of a reference list: a mark, names with initials, a year, a source."""
    text = paragraph.text[:ENTRY_CHARACTERS]
    signs = (
        bool(_ENTRY_MARK.match(text)),
        bool(_YEAR.search(text)),
        bool(_YEAR_AT_END.search(text)),
        bool(_NAME_AND_INITIAL.search(text)),
        bool(_VOLUME_AND_PAGES.search(text)),
        bool(_SOURCE.search(text)),
    )
    return sum(signs) >= 2


def _end_of_references(paragraphs: Sequence[Paragraph], start: int) -> int:
    end = start
    misses = number = 0
    for index in range(start, len(paragraphs)):
        paragraph = paragraphs[index]
        marked = int(_entry_number(paragraph) or 0)
        if looks_like_entry(paragraph) or (marked and 0 < marked - number <= SKIPPED_NUMBERS):
            end, misses = index + 1, 0
            number = marked or number
            continue
        if index > start and paragraph.heading and _is_appendix_heading(paragraph.text):
            end = index if misses < STUB_BEFORE_APPENDIX else end
            break
        misses += len(paragraph.text)
        if misses > OTHER_TEXT:
            break
    else:
        if misses < STUB_AT_END:
            end = len(paragraphs)
    return end


def _is_appendix_heading(text: str) -> bool:
    return _AFTER_REFERENCES.fullmatch(text) is not None and (
        _LETTERED_APPENDIX.match(text) is not None or not re.match(r"[A-Za-z]\.?\s", text)
    )


def _numbered_run(paragraphs: Sequence[Paragraph]) -> int | None:
    """Where a list [1], [2], [3] ... starts in the last part of the document and has at least five entries."""
    for start in range(len(paragraphs) - 1, len(paragraphs) // 3, -1):
        entries = 0
        for paragraph in paragraphs[start : start + NUMBERED_PARAGRAPHS]:
            if _entry_number(paragraph) == str(entries + 1) and looks_like_entry(paragraph):
                entries += 1
            elif not entries:
                break
        if entries >= LEAST_ENTRIES:
            return start
    return None


def _entry_number(paragraph: Paragraph) -> str | None:
    """The digits of an entry's mark, as in `[12]` or `12.`."""
    mark = _ENTRY_MARK.match(paragraph.text)
    return (mark[1] or mark[2]) if mark else None
