"""Where the reference lists of a document stand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.documents.heading_names import named_kind
from app.documents.paragraphs import Paragraph

# No entry of a reference list is longer; patterns need not look further.
ENTRY_CHARACTERS = 2_000
HEADING_CHARACTERS = 100
# A thesis may have a list for every chapter.
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


def find_reference_lists(paragraphs: Sequence[Paragraph]) -> tuple[tuple[int, int], ...]:
    """The reference lists as ranges of indices in `paragraphs`, headings included; a thesis may have one a chapter.

    A list begins at a heading of that name which entries follow, or where entries numbered from 1 run to the end; it
    ends at an appendix, or where what follows does not look like entries any more.
    """
    headings = [
        index
        for index, found in enumerate(paragraphs)
        if len(found.text) < HEADING_CHARACTERS and named_kind(found.text) == "references"
    ]
    lists: list[tuple[int, int]] = []
    headings = headings[-HEADINGS_TRIED:]
    for heading, following in zip(headings, [*headings[1:], len(paragraphs)]):
        if not _entries_follow(paragraphs[heading + 1 : heading + 1 + ENTRIES_LOOKED_AT]):
            continue
        end = _end_of_references(paragraphs, heading + 1, following)
        if lists and lists[-1][1] == heading:  # the name of the list, again at the head of a page
            heading = lists.pop()[0]
        lists.append((heading, end))
    if not lists:
        start = _numbered_run(paragraphs)
        if start is not None:
            lists.append((start, _end_of_references(paragraphs, start, len(paragraphs))))
    return tuple(lists)


def _entries_follow(following: Sequence[Paragraph]) -> bool:
    """Whether enough of the paragraphs after a heading are entries, or the first ones up to a figure or a heading."""
    entries = list(map(looks_like_entry, following))
    if sum(entries) >= ENTRY_SHARE * max(1, len(entries)) or all([len(entries) > 1, *entries[:2]]):
        return True
    upto = next((number for number, each in enumerate(following) if each.heading and not entries[number]), 0)
    return upto > 0 and all(entries[:upto])


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


def _end_of_references(paragraphs: Sequence[Paragraph], start: int, stop: int) -> int:
    """One past the last entry of a list that begins at `start` and ends before `stop`."""
    end = start
    misses = number = 0
    for index in range(start, stop):
        paragraph = paragraphs[index]
        marked = int(_entry_number(paragraph) or 0)
        # Numbers go on with a list that began with them; behind another they are those of headings and items.
        in_turn = bool(number or index == start) and 0 < marked - number <= SKIPPED_NUMBERS
        if looks_like_entry(paragraph) or in_turn:
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
        if misses < STUB_AT_END and stop == len(paragraphs):
            end = stop
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
