"""What is printed on each page as its number: `iv`, `1`, `498`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from app.documents.page_lines import Line, Pages, page_number
from app.documents.text_cleaning import clean_characters

# A page's number stands alone in one of the outermost lines, or at an end of a running head.
OUTER_LINES = 2
HEAD_CHARACTERS = 120
# Numbers that rise by one are the pages' if so many pages, and this share of those they run over, have theirs.
LEAST_PAGES, LEAST_SHARE = 3, 0.4
LEAST_ROMAN_PAGES = 2
# No label is longer.
LABEL_CHARACTERS = 12

_AT_AN_END = re.compile(r"^(\d{1,5})\s+\D|\D\s+(\d{1,5})$|\D\s(\d{1,5})\s?(?:of|/)\s?\d{1,5}$")
_ROMAN = ((100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))


def page_labels(stated: Sequence[str] | None, pages: Pages) -> tuple[str, ...]:
    """The label of each page: as the file states it, else as printed on the pages, else the page's place in the file.

    Args:
        stated: what the file says, if it does.
        pages: with their running heads and numbers.
    """
    places = [str(number) for number in range(1, len(pages) + 1)]
    if stated is not None:
        cleaned = [clean_characters(label) for label in stated[: len(pages)]]
        labels = [
            label if 0 < len(label) <= LABEL_CHARACTERS else place for label, place in zip(cleaned, places)
        ]
        # Writers of files state their places too, which says nothing of what is printed.
        if labels != places[: len(labels)]:
            return (*labels, *places[len(labels) :])
    return _printed(pages, places)


def _printed(pages: Pages, places: Sequence[str]) -> tuple[str, ...]:
    """Labels from the numbers that rise by one from page to page; Roman ones may come before the Arabic ones."""
    found = [_numbers(page) for page in pages]
    labels = list(places)
    least = max(2, min(LEAST_PAGES, len(pages)))
    arabic = _run([arabic for arabic, _ in found], least)
    first = arabic[0] if arabic else len(pages)
    roman = _run([roman for _, roman in found[:first]], LEAST_ROMAN_PAGES)
    if roman:
        _label(labels, range(first), roman, _roman)
    if arabic:
        # Where nothing else stands on the pages before the first number, it is counted back.
        _label(labels, range(roman[1] + 1 if roman else 0, len(pages)), arabic, str)
    return tuple(labels)


def _label(labels: list[str], pages: range, run: tuple[int, int, int], write: Callable[[int], str]) -> None:
    for index in pages:
        if index + run[2] >= 1:
            labels[index] = write(index + run[2])


def _run(found: Sequence[set[int]], least: int) -> tuple[int, int, int] | None:
    """The numbers that rise with the pages: index of the first and the last page that has its own, number - index."""
    votes = Counter(number - index for index, numbers in enumerate(found) for number in numbers)
    if not votes:
        return None
    offset, count = votes.most_common(1)[0]
    have = [index for index, numbers in enumerate(found) if index + offset in numbers]
    if count < least or count < LEAST_SHARE * (have[-1] - have[0] + 1):
        return None
    return have[0], have[-1], offset


def _numbers(page: Sequence[Line]) -> tuple[set[int], set[int]]:
    """Numbers in the outermost lines of a page: the Arabic and the Roman ones."""
    lines = [line for line in page if line.text.strip()]
    if any(line.y for line in lines):
        lines.sort(key=lambda line: -line.y)
    arabic: set[int] = set()
    roman: set[int] = set()
    for line in {*lines[:OUTER_LINES], *lines[-OUTER_LINES:]}:
        text = line.text.strip().casefold()
        alone = page_number(text)
        if alone is not None:
            (arabic if any(map(str.isdecimal, text)) else roman).add(alone)
        elif len(text) <= HEAD_CHARACTERS:
            arabic.update(int(number) for found in _AT_AN_END.findall(text) for number in found if number)
    return arabic, roman


def _roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        written += letters * (number // value)
        number %= value
    return written
