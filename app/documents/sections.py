"""A document's paragraphs become its sections, each with its heading and kind."""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from app.documents.front_matter import (
    FIRST_PAGES,
    find_contents,
    form,
    is_contents_heading,
    is_list_heading,
    is_prose,
)
from app.documents.heading_names import Kind, is_abstract, named_kind
from app.documents.headings import TITLE_PARAGRAPHS, is_title, shown_heading
from app.documents.paragraphs import Paragraph
from app.documents.references import find_reference_lists
from app.documents.section_levels import Heading, find_headings

_RUN_IN_ABSTRACT = re.compile(
    r"(abstract|summary|zusammenfassung|kurzfassung|résumé|resumen|resumo|riassunto|摘\s?要)\s?[—–:.\-：]",
    re.IGNORECASE,
)
# A title block is on these pages, before any running text; without a heading after it, it is on the first.
TITLE_PAGES = 4
# Without a heading after it, it is only told by a title that is larger than the text by this factor.
TITLE_SIZE = 1.15
# Sizes of one level of headings differ by less, in points.
ROUNDING = 0.5
# If less than this share of what is no reference list were left, the kinds are in doubt and all of it stays.
LEAST_BODY = 0.5


@dataclass(frozen=True)
class Part:
    """A run of paragraphs, `paragraphs[start:end]`, that is a section or a piece of one."""

    heading: str
    start: int
    end: int
    kind: Kind


def divide(
    paragraphs: Sequence[Paragraph],
    pages: Sequence[int],
    *,
    title: str,
    body_size: float,
    check: Callable[[], None],
) -> tuple[Part, ...]:
    """The parts that the paragraphs fall into, in order and without gaps.

    Subsections are part of their section. Where something of another kind stands inside a section, the rest of the
    section follows it as a part without a heading.

    Args:
        pages: the number of each paragraph's page.
        title: of the document.
        body_size: of the type that the text is set in; 0 if there is no layout.
        check: called often, and may raise to stop the work.
    """
    if not paragraphs:
        return ()
    lists = find_reference_lists(paragraphs)
    contents = find_contents(paragraphs, pages)
    entries = {index for start, end in lists for index in range(start, end)} | contents
    headings = {start for start, _ in lists if named_kind(paragraphs[start].text)}
    headings |= {index for index in contents if is_contents_heading(paragraphs[index].text)}
    found = _Found(
        paragraphs,
        pages,
        body_size,
        title=next(
            (i for i, each in enumerate(paragraphs[:TITLE_PARAGRAPHS]) if is_title(each.text, title)), 0
        ),
        headings=find_headings(paragraphs, title=title, no_headings=entries - headings, check=check),
        lists=lists,
    )
    kinds: list[Kind] = ["body"] * len(paragraphs)
    _mark_named(kinds, found)
    for index in contents:
        kinds[index] = "front"
    _mark_title_block(kinds, found)
    for index, paragraph in enumerate(paragraphs):
        check()
        if kinds[index] == "body":
            kinds[index] = form(paragraph, pages[index], body_size) or "body"
    for start, end in lists:
        kinds[start:end] = ["references"] * (end - start)
    _keep_the_paper(kinds, paragraphs)
    return _parts(kinds, _beginnings(kinds, found))


@dataclass(frozen=True)
class _Found:
    """What is known of a document before its kinds are told."""

    paragraphs: Sequence[Paragraph]
    pages: Sequence[int]
    body_size: float
    title: int
    """Index of the paragraph in which the title begins."""
    headings: Sequence[Heading]
    lists: Sequence[tuple[int, int]]
    """Ranges of paragraphs that are reference lists."""

    @property
    def body_headings(self) -> list[Heading]:
        """Of the sections that are the paper itself, as far as the names tell."""
        return [each for each in self.headings if each.section and each.kind in (None, "body")]

    @cached_property
    def run_in_abstract(self) -> dict[int, str]:
        """Index of an abstract whose heading is the first word of its paragraph -> that word."""
        for index, paragraph in enumerate(self.paragraphs):
            run_in = _RUN_IN_ABSTRACT.match(paragraph.text)
            if self.pages[index] > TITLE_PAGES:
                break
            if run_in and is_prose(paragraph.text):
                return {index: run_in[1]}
        return {}


def _mark_named(kinds: list[Kind], found: _Found) -> None:
    """What stands under headings like `Funding`."""
    body = [each.first for each in found.body_headings if not is_abstract(each.text)]
    for number, heading in enumerate(found.headings):
        if heading.kind not in ("front", "back"):
            continue
        before = not body or heading.first < body[0]
        after = not body or heading.first > body[-1]
        kind: Kind = "front" if before else "back" if after else heading.kind
        end = _end_of_named(number, found)
        kinds[heading.first : end] = [kind] * (end - heading.first)


def _end_of_named(number: int, found: _Found) -> int:
    """Where the section under a heading ends, whatever its level: at the next heading that is no smaller."""
    heading = found.headings[number]
    following = found.headings[number + 1 :]
    larger = (each.first for each in following if each.section or each.weight >= heading.weight - ROUNDING)
    ends = [next(larger, len(found.paragraphs)), *(start for start, _ in found.lists), found.title]
    if is_list_heading(heading.text):
        after = range(heading.last + 1, len(found.paragraphs))
        ends.append(
            next((index for index in after if is_prose(found.paragraphs[index].text)), len(found.paragraphs))
        )
    page = found.pages[heading.first]
    if not heading.section and page <= FIRST_PAGES:
        # In the margin of the first page, between parts of the text.
        ends.append(bisect.bisect_right(found.pages, page))
    return min(end for end in ends if end > heading.first)


def _mark_title_block(kinds: list[Kind], found: _Found) -> None:
    """Title, authors and affiliations: what stands before the first running text and the first heading of the body."""
    begins = [each.first for each in found.body_headings] + list(found.run_in_abstract)
    first = min(begins, default=None)
    last_page = 1 if first is None else TITLE_PAGES
    front = max((index for index, kind in enumerate(kinds[:first]) if kind == "front"), default=0)
    block = []
    for index, paragraph in enumerate(found.paragraphs[:first]):
        page = found.pages[index]
        prose = is_prose(paragraph.text) and form(paragraph, page, found.body_size) is None
        if page > last_page or (prose and kinds[index] == "body" and index > front):
            break
        # On other pages before the contents of a book sentences are no text either.
        if not prose or page != found.pages[found.title]:
            block.append(index)
    large = TITLE_SIZE * found.body_size
    if first is not None or any(found.paragraphs[index].size > large for index in block):
        for index in block:
            kinds[index] = "front"


def _keep_the_paper(kinds: list[Kind], paragraphs: Sequence[Paragraph]) -> None:
    """Takes everything but the reference lists for the paper if little else would be left."""
    lengths: Counter[Kind] = Counter()
    for kind, paragraph in zip(kinds, paragraphs):
        lengths[kind] += len(paragraph.text)
    if lengths["body"] < LEAST_BODY * (lengths["front"] + lengths["body"] + lengths["back"]):
        kinds[:] = ["references" if kind == "references" else "body" for kind in kinds]


def _beginnings(kinds: Sequence[Kind], found: _Found) -> dict[int, str]:
    """Index of each paragraph that begins a section -> its heading."""
    begins = {
        each.first: each.text
        for each in found.headings
        if each.section or (each.kind in ("front", "back") and kinds[each.first] in ("front", "back"))
    }
    if not any(is_abstract(text) for text in begins.values()):
        begins |= found.run_in_abstract
    for start, end in found.lists:
        text = found.paragraphs[start].text
        begins[start] = shown_heading(text) if named_kind(text) else ""
        begins.setdefault(end, "")
    return begins


def _parts(kinds: Sequence[Kind], begins: dict[int, str]) -> tuple[Part, ...]:
    parts: list[Part] = []
    start = 0
    for index in range(1, len(kinds) + 1):
        if index == len(kinds) or kinds[index] != kinds[start] or index in begins:
            parts.append(Part(begins.get(start, ""), start, index, kinds[start]))
            start = index
    return tuple(parts)
