"""A document's paragraphs become its sections, each with its heading and kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.documents.front_matter import find_contents, form, is_contents_heading, is_prose
from app.documents.heading_names import Kind, bare_name, named_kind
from app.documents.headings import Heading, find_headings, shown_heading
from app.documents.paragraphs import Paragraph
from app.documents.references import find_reference_lists

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
    paragraphs: Sequence[Paragraph], pages: Sequence[int], *, title: str, body_size: float
) -> tuple[Part, ...]:
    """The parts that the paragraphs fall into, in order and without gaps.

    Subsections are part of their section. Where something of another kind stands inside a section, the rest of the
    section follows it as a part without a heading.

    Args:
        pages: the number of each paragraph's page.
        title: of the document.
        body_size: of the type that the text is set in; 0 if there is no layout.
    """
    if not paragraphs:
        return ()
    lists = find_reference_lists(paragraphs)
    contents = find_contents(paragraphs, pages)
    entries = {index for start, end in lists for index in range(start, end)} | contents
    headings = find_headings(paragraphs, title=title, no_headings=frozenset(entries))
    kinds: list[Kind] = ["body"] * len(paragraphs)
    _mark_named(kinds, headings, lists)
    for index in contents:
        kinds[index] = "front"
    _mark_title_block(kinds, headings, paragraphs, pages, body_size)
    for index, paragraph in enumerate(paragraphs):
        if kinds[index] == "body":
            kinds[index] = form(paragraph, pages[index], body_size) or "body"
    for start, end in lists:
        kinds[start:end] = ["references"] * (end - start)
    _keep_the_paper(kinds, paragraphs)
    begins = {
        i: shown_heading(paragraphs[i].text) for i in contents if is_contents_heading(paragraphs[i].text)
    }
    return _parts(kinds, begins | _beginnings(kinds, headings, lists, paragraphs))


def _mark_named(kinds: list[Kind], headings: Sequence[Heading], lists: Sequence[tuple[int, int]]) -> None:
    """What stands under headings like `Funding`, up to the next one that is no smaller."""
    body = [
        each.first
        for each in headings
        if each.section and each.kind in (None, "body") and not _is_abstract(each)
    ]
    for number, heading in enumerate(headings):
        if heading.kind not in ("front", "back"):
            continue
        following = [
            each.first
            for each in headings[number + 1 :]
            if each.section or each.weight >= heading.weight - ROUNDING
        ]
        following += [start for start, _ in lists if start > heading.first]
        end = min(following, default=len(kinds))
        before = not body or heading.first < body[0]
        after = not body or heading.first > body[-1]
        kind: Kind = "front" if before else "back" if after else heading.kind
        kinds[heading.first : end] = [kind] * (end - heading.first)


def _is_abstract(heading: Heading) -> bool:
    return bare_name(heading.text) in ("abstract", "summary")


def _mark_title_block(
    kinds: list[Kind],
    headings: Sequence[Heading],
    paragraphs: Sequence[Paragraph],
    pages: Sequence[int],
    body_size: float,
) -> None:
    """Title, authors and affiliations: what stands before the first running text and the first heading of the body."""
    first = next((each.first for each in headings if each.section and each.kind in (None, "body")), None)
    # What comes before the contents is no text of a book, even if it is in sentences.
    book = any(kind == "front" for kind in kinds[:first])
    block = []
    for index, paragraph in enumerate(paragraphs[:first]):
        prose = is_prose(paragraph.text) and form(paragraph, pages[index], body_size) is None
        if pages[index] > (1 if first is None else TITLE_PAGES) or (
            prose and not book and kinds[index] == "body"
        ):
            break
        block.append(index)
    if first is None and not any(paragraphs[index].size > TITLE_SIZE * body_size for index in block):
        return
    for index in block:
        kinds[index] = "front"


def _keep_the_paper(kinds: list[Kind], paragraphs: Sequence[Paragraph]) -> None:
    """Takes everything but the reference lists for the paper if little else would be left."""
    lengths: Counter[Kind] = Counter()
    for kind, paragraph in zip(kinds, paragraphs):
        lengths[kind] += len(paragraph.text)
    if lengths["body"] < LEAST_BODY * (lengths["front"] + lengths["body"] + lengths["back"]):
        kinds[:] = ["references" if kind == "references" else "body" for kind in kinds]


def _beginnings(
    kinds: Sequence[Kind],
    headings: Sequence[Heading],
    lists: Sequence[tuple[int, int]],
    paragraphs: Sequence[Paragraph],
) -> dict[int, str]:
    """Index of each paragraph that begins a section -> its heading."""
    begins = {
        each.first: each.text
        for each in headings
        if each.section or (each.kind in ("front", "back") and kinds[each.first] == each.kind)
    }
    for start, end in lists:
        text = paragraphs[start].text
        begins[start] = shown_heading(text) if len(text) < 100 and named_kind(text) else ""
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
