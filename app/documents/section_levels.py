"""Which headings of a document are those of its own top-level sections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

from app.documents.heading_names import Kind, bare_name, is_abstract
from app.documents.headings import Candidate, find_candidates, is_bare_label, shown_heading
from app.documents.paragraphs import Paragraph

# Headings of one level differ in size by less than this share: recognised letters are measured, sizes rounded.
SAME_SIZE = 0.05
# Numbers of sections may lack one or two that were not recognised as headings; each makes the run less sure.
SKIPPED_NUMBERS, SKIPPING_COSTS = 2, 0.4
# A section with a usual name is so much surer to be one than an item of a list with the same number.
NAME_WORTH = 0.5
# In type that differs, as small capitals do, a heading that a run of numbers lacks is at least this large.
SMALLER_TYPE = 0.75
# A level without numbers needs so many usual names; without names so many headings.
LEAST_NAMES, LEAST_HEADINGS = 2, 3
# Sections have so many characters on average.
LEAST_DISTANCE = 150
# From the first to the last chapter it is so much of the text.
SPREAD = 0.5
STYLES = ("arabic", "roman", "chinese")

_METHODS = frozenset(
    "method methods methodology materialsandmethods methodsandmaterials materialandmethods patientsandmethods "
    "experimentalprocedures onlinemethods".split()
)
_AROUND_METHODS = frozenset("introduction background discussion conclusion conclusions".split())
# What a paper begins with; whatever is set like a heading before it are names and addresses.
_OPENING = frozenset(
    "abstract summary introduction background zusammenfassung kurzfassung einleitung résumé resumen introducción "
    "resumo introdução riassunto introduzione samenvatting inleiding аннотация введение περίληψη εισαγωγή "
    "摘要 引言 绪论 緒論 前言 要旨 概要 はじめに 초록 서론".split()
)


@dataclass(frozen=True)
class Heading:
    """A heading in a document's paragraphs."""

    first: int
    """Index of its first paragraph."""
    last: int
    """Index of its last paragraph: a number may stand in one of its own."""
    text: str
    """As printed, on one line."""
    section: bool
    """Whether it is one of the top level."""
    kind: Kind | None
    """What its name says of the section under it."""
    weight: float
    """Its size, or where the file says its level that with a minus; headings of no less weight end its section."""


def find_headings(
    paragraphs: Sequence[Paragraph], *, title: str, no_headings: Set[int], check: Callable[[], None]
) -> tuple[Heading, ...]:
    """The headings of a document in order; those of its top-level sections are marked.

    The arguments are those of `find_candidates`.
    """
    candidates = find_candidates(paragraphs, title=title, no_headings=no_headings, check=check)
    found = [each for each in candidates if not each.plain]
    length = sum(len(paragraph.text) for paragraph in paragraphs)
    if any(each.paragraph.level for each in found):
        sections = _by_level(found)
    elif chain := _numbered(found, length):
        chain = _without_gaps(chain, candidates)
        sections = _with_chain(found, chain)
        found = sorted({each.index: each for each in (*found, *chain)}.values(), key=lambda each: each.index)
    else:
        sections = _by_names(found, length)
    return _joined(found, sections - _before_the_paper(found, sections))


def _joined(found: Sequence[Candidate], sections: set[int]) -> tuple[Heading, ...]:
    """The candidates as headings; a number in a paragraph of its own goes with the words after it."""
    headings: list[Heading] = []
    for each in found:
        first, text, section = each.index, each.text, each.index in sections
        if headings and headings[-1].last == first - 1 and is_bare_label(headings[-1].text):
            number = headings.pop()
            first, text, section = number.first, f"{number.text} {text}", section or number.section
        weight = -each.paragraph.level if each.paragraph.level else each.paragraph.size
        headings.append(Heading(first, each.index, shown_heading(text), section, each.kind, weight))
    return tuple(headings)


def _before_the_paper(found: Sequence[Candidate], sections: set[int]) -> set[int]:
    """Names and addresses that are set like headings: what has no usual name and stands before the abstract."""
    for number, each in enumerate(found):
        opens = bare_name(each.text) in _OPENING or (each.label is not None and each.label.number == 1)
        if opens and each.index in sections:
            return {before.index for before in found[:number] if before.kind is None}
    return set()


def _by_level(found: Sequence[Candidate]) -> set[int]:
    """Where the file gives the levels: the highest that has several headings, and what stands over it."""
    levels = [each.paragraph.level for each in found if each.paragraph.level]
    several = [level for level in sorted(set(levels)) if levels.count(level) > 1]
    top = several[0] if several else max(levels)
    return {each.index for each in found if 0 < each.paragraph.level <= top}


def _groups(found: Sequence[Candidate], *, capitals: bool) -> list[list[Candidate]]:
    """Candidates that are set alike, in order, in each group; all-capitals are a type of their own if `capitals`."""
    levels: dict[float, float] = {}
    largest = 0.0
    for size in sorted({each.paragraph.size for each in found}, reverse=True):
        largest = largest if levels and _same_size(size, largest) else size
        levels[size] = largest
    groups: defaultdict[tuple[float, bool, bool], list[Candidate]] = defaultdict(list)
    for each in found:
        style = levels[each.paragraph.size], each.paragraph.bold, capitals and _in_capitals(each.text)
        groups[style].append(each)
    return list(groups.values())


def _same_size(first: float, second: float) -> bool:
    """Whether two sizes may be those of one level of headings."""
    return abs(first - second) <= SAME_SIZE * max(first, second)


def _in_capitals(text: str) -> bool:
    letters = list(filter(str.isalpha, text))
    return sum(map(str.isupper, letters)) > 0.8 * len(letters)


# ------------------------------------------------------------------------------ numbered sections


@dataclass(frozen=True)
class _Link:
    """The end of a run of numbered headings."""

    worth: float
    last: Candidate
    before: _Link | None


def _numbered(found: Sequence[Candidate], length: int) -> list[Candidate]:
    """The surest run of sections numbered 1, 2, 3 ..., unless there are chapters over them; it may lack one or two."""
    chains = [_chain_in(group, style) for group in _groups(found, capitals=False) for style in STYLES]
    chain = max((each for each in chains if _chain_worth(each)), key=_chain_worth, default=[])
    if chain:
        chapters = _spread_out(_groups(found, capitals=True), length)
        if chapters and chapters[0].paragraph.size > (1 + SAME_SIZE) * chain[0].paragraph.size:
            return []
    return chain


def _chain_in(group: Sequence[Candidate], style: str) -> list[Candidate]:
    best: dict[int, _Link] = {}
    for each in group:
        number = _number(each, style)
        if number is None:
            continue
        own = 1 + NAME_WORTH * (each.kind is not None)
        link = _Link(own - SKIPPING_COSTS * (number - 1), each, None) if number <= 2 else None
        for skipped in range(SKIPPED_NUMBERS + 1):
            before = best.get(number - 1 - skipped)
            if before and (link is None or before.worth + own - SKIPPING_COSTS * skipped > link.worth):
                link = _Link(before.worth + own - SKIPPING_COSTS * skipped, each, before)
        if link and (number not in best or link.worth > best[number].worth):
            best[number] = link
    link = max(best.values(), key=lambda link: link.worth, default=None)
    chain: list[Candidate] = []
    while link:
        chain.insert(0, link.last)
        link = link.before
    return chain


def _number(each: Candidate, style: str) -> int | None:
    label = each.label
    fits = label is not None and label.style == style and label.depth == 1 and not label.appendix
    return label.number if label is not None and fits else None


def _chain_worth(chain: Sequence[Candidate]) -> float:
    """How sure it is that a chain numbers the sections; 0 if it does not look like it."""
    named = sum(each.kind is not None for each in chain)
    if len(chain) < LEAST_HEADINGS - bool(named) or not _is_over_text(chain):
        return 0
    # Items of a list are numbered too, but have no usual names and no size.
    return (1 + named) * len(chain) + chain[0].paragraph.size / 100


def _without_gaps(chain: list[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """The chain with the numbers that it lacks, where headings in other type have them."""
    style = chain[0].label.style if chain[0].label else ""
    whole: list[Candidate] = []
    last, position = 0, -1
    for each in chain:
        number = _number(each, style) or 0
        for other in candidates:
            missing = _number(other, style)
            large = other.paragraph.size >= SMALLER_TYPE * each.paragraph.size
            if missing and last < missing < number and position < other.index < each.index and large:
                whole.append(other)
                last, position = missing, other.index
        whole.append(each)
        last, position = number, each.index
    return whole


def _with_chain(found: Sequence[Candidate], chain: Sequence[Candidate]) -> set[int]:
    """The numbered sections, and what has no number and is set like them, before and after."""
    sections = {each.index for each in chain}
    size, bold = chain[0].paragraph.size, chain[0].paragraph.bold
    lettered = False
    for each in found:
        label = each.label
        if label and label.depth > 1:
            continue
        like = each.paragraph.bold == bold and _same_size(each.paragraph.size, size)
        after = each.index > chain[-1].index
        appendix = like and after and label is not None and label.appendix
        lettered |= appendix
        outside = each.index < chain[0].index or (after and not lettered)
        if appendix or (like and outside) or (each.kind and _stands_out(each, size)):
            sections.add(each.index)
    return sections


def _stands_out(each: Candidate, size: float) -> bool:
    """Whether a heading with a usual name is as large as those of the sections; that of the abstract may be smaller."""
    if each.kind == "body" and each.label:
        return False
    return each.paragraph.size >= size * (1 - SAME_SIZE) or is_abstract(each.text)


# ------------------------------------------------------------------------------ sections without numbers


def _by_names(found: Sequence[Candidate], length: int) -> set[int]:
    """Sections without numbers: what is set like the headings that have usual names."""
    groups = _groups(found, capitals=True)
    top = _spread_out(groups, length) or _most_named(groups) or _largest(groups)
    if not top:
        return {each.index for each in found if each.kind}
    size = top[0].paragraph.size
    only_named = _is_imrad({bare_name(each.text) for each in top})
    sections = {each.index for each in top if (each.kind or not only_named) and _is_top(each)}
    sections |= {each.index for each in found if each.kind and _stands_out(each, size)}
    first = min(sections, default=0)
    return sections | {each.index for each in found if is_abstract(each.text) and each.index < first}


def _spread_out(groups: Sequence[Sequence[Candidate]], length: int) -> Sequence[Candidate]:
    """The largest type in which headings with usual names run through the whole document, as those of chapters do."""
    spread = [
        group
        for group in groups
        if len(group) >= LEAST_HEADINGS
        and len(_names(group)) >= LEAST_NAMES
        and group[-1].position - group[0].position > SPREAD * length
    ]
    return max(spread, key=lambda group: group[0].paragraph.size, default=())


def _most_named(groups: Sequence[Sequence[Candidate]]) -> Sequence[Candidate]:
    """The type that most headings with usual names are set in."""
    top = max(groups, key=lambda group: (len(_names(group)), group[0].paragraph.size), default=())
    return top if len(_names(top)) >= LEAST_NAMES else ()


def _names(group: Sequence[Candidate]) -> set[str]:
    return {bare_name(each.text) for each in group if each.kind}


def _is_top(each: Candidate) -> bool:
    return each.label is None or each.label.depth == 1


def _is_imrad(names: set[str]) -> bool:
    """Introduction, methods, results, discussion: the sections of the natural sciences always have these names.

    Their subsections often look the same, and are told by having other names.
    """
    return bool(names & _METHODS and names & _AROUND_METHODS) and any("result" in name for name in names)


def _largest(groups: Sequence[Sequence[Candidate]]) -> Sequence[Candidate]:
    """The largest type that comes back, for a document without usual names."""
    several = [group for group in groups if len(group) >= LEAST_HEADINGS and _is_over_text(group)]
    return max(several, key=lambda group: group[0].paragraph.size, default=())


def _is_over_text(group: Sequence[Candidate]) -> bool:
    """Whether text stands between the headings; labels and items of lists are close together."""
    return group[-1].position - group[0].position >= LEAST_DISTANCE * (len(group) - 1)
