"""The lines of a document's pages, freed of what belongs to the sheet and not to the text.

That is: running heads and feet, page numbers, and the line numbers of manuscripts.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

# Heads and feet stand within this many lines of the edge of their page.
EDGE_LINES = 3
# Anywhere else a line is one of the sheet if it comes back on this many pages and on this share of them.
LEAST_REPEATS, REPEATED_SHARE = 3, 0.5
# Heads at the same height differ by less, in points.
SAME_HEIGHT = 4.0
# Longer lines are text, however often they come back.
HEAD_CHARACTERS = 200
# The head of a chapter is shorter: it is told by its height alone.
CHAPTER_HEAD_CHARACTERS = 90
_NUMBER = re.compile(r"\d+")
_OUTER_NUMBER = re.compile(r"^\d{1,4}\s+|\s+\d{1,4}$")
_LINE_NUMBERS = (re.compile(r"^(\d{1,4})(?:\s+|$)"), re.compile(r"(?:^|\s+)(\d{1,4})$"))
# For lower-case lines. Not ignoring case: to Python's patterns a dotless i is an i too.
_PAGE_NUMBER = re.compile(
    r"(?:page|seite|p\.?)?[\s\-–—|\[(]*(\d{1,4}|[ivxlc]{1,7})[\s\-–—|\])]*(?:(?:of|von|/)\s*\d{1,4})?"
)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


@dataclass(frozen=True)
class Line:
    """A line of text, in points from the lower left corner of its page; all zero in a file without a layout."""

    text: str
    x: float = 0.0
    y: float = 0.0
    size: float = 0.0
    bold: bool = False
    font: str = ""
    """Its name, if the whole line is set in it."""
    level: int = 0
    """Of a heading, from 1, where the file says that it is one, as Markdown does."""


Pages = list[list[Line]]


def without_furniture(pages: Pages) -> Pages:
    """The pages without line numbers, running heads and page numbers."""
    for pattern in _LINE_NUMBERS:
        pages = _without_line_numbers(pages, pattern)
    rest = _without_running_lines(pages)
    # A document of which little would be left says the same thing on every page, and that is its text.
    return rest if 2 * _characters(rest) >= _characters(pages) else pages


def _characters(pages: Pages) -> int:
    return sum(len(line.text) for page in pages for line in page)


def _without_line_numbers(pages: Pages, pattern: re.Pattern[str]) -> Pages:
    """Manuscripts number their lines on the left or right; the numbers rise by one (or five) down the page."""
    steps = [_line_number_step(page, pattern) for page in pages]
    found = [step for step in steps if step]
    if not found:
        return pages
    # A page of tables or code has too few numbered lines to be sure of; in such a document they are numbered too.
    others = max(found, key=found.count) if len(found) > max(1, 0.3 * len(pages)) else 0
    return [
        _strip_line_numbers(page, pattern, step or others) for page, step in zip(pages, steps, strict=True)
    ]


def _line_number_step(page: list[Line], pattern: re.Pattern[str]) -> int:
    numbers = [int(match[1]) for line in page if (match := pattern.search(line.text))]
    steps = Counter(second - first for first, second in pairwise(numbers))
    lines = sum(not line.text.isdecimal() for line in page)
    # Every line has one, or every fifth; numbered items have text of several lines between the numbers.
    for step, least, share in ((1, 5, 0.6), (5, 3, 0.15)):
        if steps[step] >= max(least, 0.6 * len(numbers)) and len(numbers) >= share * lines:
            return step
    return 0


def _strip_line_numbers(page: list[Line], pattern: re.Pattern[str], step: int) -> list[Line]:
    if not step:
        return page
    found = [pattern.search(line.text) for line in page]
    known = {int(match[1]) for match in found if match}
    kept = []
    for line, match in zip(page, found, strict=True):
        if match and {int(match[1]) - step, int(match[1]) + step} & known:
            line = replace(line, text=(line.text[: match.start()] + line.text[match.end() :]).strip())
        if line.text:
            kept.append(line)
    return kept


def _without_running_lines(pages: Pages) -> Pages:
    edges = [_edge_lines(page) for page in pages]
    repeated = _repeated_lines(pages)
    running = _running_keys(edges)
    numbered = _page_number_keys(edges)
    levels = _levels(edges, running | numbered)
    result = []
    for page, edge in zip(pages, edges, strict=True):
        dropped = {
            number
            for number, key in edge.items()
            if key in running or key in numbered or _is_chapter_head(page, number, key, levels)
        }
        result.append(
            [
                line
                for number, line in enumerate(page)
                if number not in dropped and _place(line) not in repeated
            ]
        )
    return result


def _place(line: Line) -> tuple[str, int]:
    return line.text.casefold(), round(line.y / SAME_HEIGHT)


def _repeated_lines(pages: Pages) -> set[tuple[str, int]]:
    """Lines that stand word by word at one height of most pages: notices of any length, stamps, watermarks."""
    counts: Counter[tuple[str, int]] = Counter()
    for page in pages:
        counts.update({_place(line) for line in page if line.size})
    least = max(LEAST_REPEATS, REPEATED_SHARE * len(pages))
    return {
        (text, height)
        for text, height in counts
        if sum(counts[text, height + offset] for offset in (-1, 0, 1)) >= least
    }


Key = tuple[str, str, int]
"""What a line at the edge of its page says (digits as #), whether that is the "top" or "bottom", and its height."""


def _edge_lines(page: list[Line]) -> dict[int, Key]:
    """Numbers in `page` of the outermost lines, with their keys."""
    order = list(range(len(page)))
    heights = [line.y for line in page]
    ends = [*order[:2], *order[-2:]]
    if any(heights):
        order.sort(key=lambda number: -heights[number])
    middle = (page[order[0]].y + page[order[-1]].y) / 2 if order else 0.0
    edge: dict[int, Key] = {}
    # From the outside in, so that a short page's lines belong to the nearer edge.
    for depth in range(min(EDGE_LINES, (len(order) + 1) // 2)):
        for number, side in ((order[depth], "top"), (order[-1 - depth], "bottom")):
            edge.setdefault(number, _key(page[number], side))
    # Figures may have heights of their own, so the lines that the file has first and last count too.
    if any(heights):
        for number in ends:
            edge.setdefault(number, _key(page[number], "top" if heights[number] > middle else "bottom"))
    return edge


def _key(line: Line, side: str) -> Key:
    return _shape(line.text), side, round(line.y / SAME_HEIGHT)


def _shape(text: str) -> str:
    text = text.casefold().strip()
    if _PAGE_NUMBER.fullmatch(text) and page_number(text) is not None:
        return "#"
    # The page's number stands left on even pages and right on odd ones, other numbers differ from page to page.
    if any(map(str.isalpha, text)):
        text = _OUTER_NUMBER.sub("", text)
    return " ".join(_NUMBER.sub("#", text).split())


def _near(key: Key) -> list[Key]:
    shape, side, height = key
    return [(shape, side, height + offset) for offset in (-1, 0, 1)]


def _running_keys(edges: list[dict[int, Key]]) -> set[Key]:
    """Lines that come back at the same height on at least three pages (odd and even pages have their own)."""
    counts = Counter(key for edge in edges for key in set(edge.values()) if key[0] != "#")
    least = 3 if len(edges) > 3 else 2
    if len(edges) < 2:
        return set()
    return {
        key
        for key in counts
        if sum(counts[near] for near in _near(key)) >= least and len(key[0]) < HEAD_CHARACTERS
    }


def _page_number_keys(edges: list[dict[int, Key]]) -> set[Key]:
    """Bare numbers at the edge: page numbers always are, unless a page has several (a table's rows)."""
    keys: set[Key] = set()
    alone = 0
    for edge in edges:
        numbers = [key for key in edge.values() if key[0] == "#"]
        if len(numbers) <= 2:
            keys.update(numbers)
            alone += bool(numbers)
    return keys if alone >= min(2, len(edges)) else set()


def _levels(edges: list[dict[int, Key]], keys: set[Key]) -> set[tuple[str, int]]:
    """The edge and height at which half of the pages have a head or foot: there a chapter's own head stands too."""
    counts: Counter[tuple[str, int]] = Counter()
    for edge in edges:
        counts.update({key[1:] for key in edge.values() if key in keys and key[2]})
    return {level for level, count in counts.items() if count >= max(3, 0.4 * len(edges))}


def _is_chapter_head(page: list[Line], number: int, key: Key, levels: set[tuple[str, int]]) -> bool:
    """Whether a line stands where other pages have their heads or feet, and nothing stands beyond it."""
    _, side, height = key
    line = page[number]
    if (side, height) not in levels or len(line.text) > CHAPTER_HEAD_CHARACTERS:
        return False
    others = [other.y for other in page if abs(other.y - line.y) > 1]
    if not others:
        return False
    return line.y > max(others) if side == "top" else line.y < min(others)


def page_number(text: str) -> int | None:
    """The number that a line is, if it is nothing but a page's number, in lower case: `iv`, `- 12 -`, `page 3 of 9`."""
    match = _PAGE_NUMBER.fullmatch(text)
    if match is None:
        return None
    if match[1].isdigit():
        return int(match[1])
    values = [_ROMAN[letter] for letter in match[1]]
    if any(first < second for first, second in zip(values, values[2:], strict=False)):
        return None
    return sum(
        -value if value < following else value
        for value, following in zip(values, [*values[1:], 0], strict=True)
    )
