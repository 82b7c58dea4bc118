"""Lines of pages become one running text, with the range of every page and section in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from app.documents.document import Section
from app.documents.line_signs import ends_with_hyphen
from app.documents.page_lines import Pages, without_furniture
from app.documents.paragraphs import Paragraph, goes_on_after, split_paragraphs
from app.documents.sections import Part, divide
from app.documents.text_cleaning import count_words, goes_on_without_space, keeps_hyphen
from app.documents.titles import find_title, marked_title
from app.documents.type_styles import body_style


@dataclass(frozen=True)
class RunningText:
    """Paragraphs, one a line; all ranges are half-open positions in `text`."""

    title: str
    text: str
    page_ranges: tuple[tuple[int, int], ...]
    """One for each page, without gaps between them: a line end belongs to the page before it."""
    sections: tuple[Section, ...]
    """All of the text, in order, without gaps."""


def run_together(
    pages: Pages,
    stated_title: str | None,
    *,
    title: str | None = None,
    fallback_title: str,
    check: Callable[[], None],
) -> RunningText:
    """Drops the furniture and joins the paragraphs of pages whose lines are clean (`clean_characters`).

    Args:
        stated_title: what the file says of itself, be it true or not.
        title: as the text marks it, which is not doubted.
        check: called often, and may raise to stop the work.
    """
    if any(line.size for page in pages for line in page):
        pages = [[line for line in page if line.text] for page in pages]
        pages = without_furniture(pages)
    title = marked_title(title) or find_title(stated_title, pages, fallback_title)
    words = count_words(line.text for page in pages for line in page)
    body = body_style(pages)

    text: list[str] = []
    length = 0
    page_starts: list[int | None] = []
    paragraphs: list[Paragraph] = []
    starts: list[int] = []
    numbers: list[int] = []
    for page_number, page in enumerate(pages, 1):
        found = split_paragraphs(page, body, words, check=check)
        for number, paragraph in enumerate(found):
            if text:
                if number == 0 and goes_on_after(paragraphs[-1], paragraph):
                    length += _continue(text, paragraph.text, words)
                else:
                    text.append("\n")
                    length += 1
            if number == 0:
                page_starts.append(length)
            starts.append(length)
            numbers.append(page_number)
            paragraphs.append(paragraph)
            text.append(paragraph.text)
            length += len(paragraph.text)
        if not found:
            page_starts.append(None)

    parts = divide(paragraphs, numbers, title=title, body_size=body.size, check=check)
    return RunningText(
        title, "".join(text), _page_ranges(page_starts, length), _sections(parts, starts, length)
    )


def _continue(text: list[str], following: str, words: Counter[str]) -> int:
    """Adds what stands between a paragraph and its second half on the next page; returns the change of length."""
    if not ends_with_hyphen(text[-1]):
        if goes_on_without_space(text[-1], following):
            return 0
        text.append(" ")
        return 1
    if keeps_hyphen(text[-1], following, words):
        return 0
    text[-1] = text[-1][:-1]
    return -1


def _page_ranges(starts: list[int | None], length: int) -> tuple[tuple[int, int], ...]:
    """Page ranges from the pages' first positions, None for an empty page, so that they tile the text."""
    ranges: list[tuple[int, int]] = []
    end = length
    for start in reversed(starts):
        begin = end if start is None else start
        ranges.append((begin, end))
        end = begin
    return tuple(reversed(ranges))


def _sections(parts: tuple[Part, ...], starts: list[int], length: int) -> tuple[Section, ...]:
    """Parts as ranges of the text: the line end before a section belongs to the one before it."""
    if not parts:
        return (Section("", 0, length),)
    ends = [*(starts[part.start] for part in parts[1:]), length]
    return tuple(
        Section(part.heading, starts[part.start], end, part.kind)
        for part, end in zip(parts, ends, strict=True)
    )
