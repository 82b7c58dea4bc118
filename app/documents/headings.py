"""Which paragraphs are headings of a document, and which of those are of its own top-level sections."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from app.documents.heading_names import Kind, bare_name, is_abstract, named_kind
from app.documents.paragraphs import Paragraph

HEADING_CHARACTERS, HEADING_WORDS = 150, 20
# The title, in one piece or two, is among so many paragraphs.
TITLE_PARAGRAPHS = 30
# As shown, longer ones are cut.
SHOWN_CHARACTERS = 120
# Headings of one level differ in size by less than this share: recognised letters are measured, sizes rounded.
SAME_SIZE = 0.05
# Numbers of sections may lack one that was not recognised as a heading.
SKIPPED_NUMBERS = 2
# A level without numbers needs so many usual names; without names so many headings.
LEAST_NAMES, LEAST_HEADINGS = 2, 3
# Letters make up this much of a heading; formulas and axes have less.
LETTER_SHARE = 0.6

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50}
_CHINESE = {character: value for value, character in enumerate("一二三四五六七八九十", 1)}
_LABEL = re.compile(
    r"(?P<word>chapter|section|part|kapitel|teil|chapitre|partie|cap[ií]tulo|capitolo|глава|раздел|"
    r"appendix|anhang|annexe?|ap[eé]ndice|appendice|приложение|附\s?录|附\s?錄|付録)?\s*"
    r"(?:(?P<arabic>\d{1,2}(?:\s?\.\s?\d{1,2})*)(?:\s?[.):—–-])?|(?P<roman>[IVXL]{1,6})\b[.):—–-]?"
    r"|(?P<letter>[A-Z](?:\.\d{1,2})*)\b[.):—–-]?"
    r"|第?(?P<chinese>[一二三四五六七八九十]{1,3})\s?[章节節部篇、.]|第(?P<counted>\d{1,2})\s?[章节節部篇])(?:\s+|$)",
    re.IGNORECASE,
)
_APPENDIX = re.compile(r"app|anh|ann|ap[eé]|при|附|付", re.IGNORECASE)
# What is set like a heading and is none: captions, theorems, items, code, contents with their page numbers.
_NO_HEADING = re.compile(
    r"(?:(?:figures?|figs?\.?|tables?|algorithm|listing|scheme|charts?|plates?|box|equation|exhibit|abbildung|abb\.|tabelle|tab\.|figura|"
    r"tabla|tableau|рис\.?|таблица|(?:supplementary|extended data) (?:figure|table))\s*[A-Z]?\.?\d|[图圖表]\s?\d)|"
    r"(?:theorem|lemma|definition|proposition|corollary|remark|example|proof|claim|conjecture|exercise|assumption|"
    r"hypothesis|observation|satz|bemerkung|beispiel|aufgabe|beweis|korollar|folgerung|théorème|définition|teorema|"
    r"definición|step|case|q)\b\s*(?:[\dIVX]|[A-Z]\.?\d|[:.(]|$)|"
    r"[•▪‣◦●■◆*–—]|\(?[a-z]\)\s|\([A-Z\d]{1,3}\)|(?:end|else|then|return|while|for each)\b|"
    r".*(?:\. ?){4,}|.*[=<>≤≥∑∫{}\\|@]|.*https?:|.*\bdoi\b|.*[^\d\s]\s?\.\.\.",
    re.IGNORECASE,
)
_ENDS_OPEN = re.compile(
    r"(?:[,;]|[^.\s]-|\b(?:and|or|of|the|a|an|in|to|with|for|by|und|der|die|de|la|et|y))$"
)
_SENTENCE = re.compile(r"[a-zà-ÿ]{2,}[.!?]\s+[A-Z]")
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
class Label:
    """The number of a heading, as in `2.1`, `IV.`, `Chapter 3`, `Appendix B`."""

    style: str
    """"arabic", "roman", "letter" or "chinese"; headings are numbered together in one."""
    number: int
    depth: int
    """1 for a section, 2 for a subsection ..."""
    end: int
    """Where the words begin."""
    appendix: bool


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


@dataclass(frozen=True)
class _Candidate:
    index: int
    paragraph: Paragraph
    text: str
    label: Label | None
    kind: Kind | None

    @property
    def style(self) -> tuple[float, bool, bool]:
        """What headings of one level have in common: size, weight and capitals."""
        letters = [character for character in self.text if character.isalpha()]
        capitals = sum(map(str.isupper, letters)) > 0.8 * len(letters)
        return self.paragraph.size, self.paragraph.bold, capitals


def shown_heading(text: str) -> str:
    """A heading on one line, letters that were spaced out joined, not too long."""
    text = " ".join(text.split()).strip(" :")
    words = text.split(" ")
    if len(words) > 3 and all(len(word) == 1 for word in words):
        text = "".join(words)
    if len(text) > SHOWN_CHARACTERS:
        text = text[: SHOWN_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip() + "…"
    return text


def heading_label(text: str) -> Label | None:
    """The number that a heading begins with, if it has one."""
    found = _LABEL.match(text)
    if found is None:
        return None
    appendix = bool(found["word"]) and _APPENDIX.match(found["word"]) is not None
    number = found["arabic"] or found["counted"]
    if number:
        parts = [int(part) for part in number.split(".")]
        return Label("arabic", parts[0], len(parts), found.end(), appendix)
    if found["roman"] and found["roman"].isupper() and (found["word"] or len(text) > found.end()):
        values = [_ROMAN[letter] for letter in found["roman"]]
        value = sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0]))
        return Label("roman", value, 1, found.end(), appendix)
    if found["letter"] and found["letter"][0].isupper():
        depth = 1 + found["letter"].count(".")
        return Label("letter", ord(found["letter"][0]) - 64, depth, found.end(), appendix or depth == 1)
    if found["chinese"]:
        digits = found["chinese"]
        value = 10 + _CHINESE[digits[1]] if digits[0] == "十" and len(digits) > 1 else _CHINESE[digits[0]]
        return Label("chinese", value, 1, found.end(), appendix)
    return None


def find_headings(
    paragraphs: Sequence[Paragraph], *, title: str, no_headings: frozenset[int]
) -> tuple[Heading, ...]:
    """The headings of a document in order; those of its top-level sections are marked.

    Args:
        title: of the document, which is set like a heading and is none.
        no_headings: indices of paragraphs that are none: entries of reference lists and contents.
    """
    found = [
        candidate
        for index, paragraph in enumerate(paragraphs)
        if index not in no_headings and (candidate := _candidate(index, paragraph, title)) is not None
    ]
    sections = _sections_by_level(found) if any(each.paragraph.level for each in found) else _sections(found)
    headings: list[Heading] = []
    for each in found:
        first, text = each.index, each.text
        alone = headings and headings[-1].last == first - 1 and _is_bare_label(headings[-1].text)
        if alone:
            before = headings.pop()
            first, text = before.first, f"{before.text} {text}"
        section = each.index in sections or bool(alone and before.section)
        weight = -each.paragraph.level if each.paragraph.level else each.paragraph.size
        headings.append(Heading(first, each.index, shown_heading(text), section, each.kind, weight))
    return tuple(headings)


def _candidate(index: int, paragraph: Paragraph, title: str) -> _Candidate | None:
    """A paragraph that may be a heading."""
    text = paragraph.text
    if len(text) > HEADING_CHARACTERS:
        return None
    label = heading_label(text)
    # Usual names mean less within a section: `1.1 Contributions`.
    kind = None if label and label.depth > 1 else named_kind(text, set_as_heading=paragraph.heading)
    if not (paragraph.heading or kind):
        return None
    if not kind and not paragraph.level and not _reads_like_heading(text, label):
        return None
    if index < TITLE_PARAGRAPHS and (label is None or label.style == "letter") and is_title(text, title):
        return None
    # Usual names in the middle of a table or a figure look like the text around them.
    if kind == "body" and not paragraph.heading and not is_abstract(text):
        return None
    return _Candidate(index, paragraph, text, label, kind)


def is_title(text: str, title: str) -> bool:
    """Whether a paragraph is the title or the first lines of it."""
    letters, whole = _letters(text), _letters(title)
    return letters == whole or (len(letters) > 12 and whole.startswith(letters))


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.casefold()))


def _reads_like_heading(text: str, label: Label | None) -> bool:
    words = text[label.end :] if label else text
    letters = sum(map(str.isalpha, words))
    if _is_bare_label(text):
        return True
    if letters < (3 if words.isascii() else 2) or letters < LETTER_SHARE * len(words.replace(" ", "")):
        return False
    if len(words.split()) > HEADING_WORDS or _SENTENCE.search(words):
        return False
    first = next(filter(str.isalpha, words))
    if first.islower() and not label:
        return False
    return not _NO_HEADING.match(words) and not _ENDS_OPEN.search(text)


def _is_bare_label(text: str) -> bool:
    """Whether a heading is only a number, as `Chapter 3`; the words stand in the next paragraph."""
    label = heading_label(text)
    return label is not None and label.end >= len(text) and not text[0].isdigit()


# ------------------------------------------------------------------------------ the level of sections


def _sections_by_level(found: Sequence[_Candidate]) -> set[int]:
    """Where the file gives the levels: the highest that has several headings, and what stands over it."""
    levels = [each.paragraph.level for each in found if each.paragraph.level]
    several = [level for level in sorted(set(levels)) if levels.count(level) > 1]
    top = several[0] if several else max(levels)
    return {each.index for each in found if 0 < each.paragraph.level <= top}


def _sections(found: Sequence[_Candidate]) -> set[int]:
    groups = _style_groups(found)
    chain = max((_chain(group) for group in groups), key=_chain_worth, default=[])
    sections = _with_chain(found, chain) if chain else _by_names(found, groups)
    return sections - _before_the_paper(found, sections)


def _before_the_paper(found: Sequence[_Candidate], sections: set[int]) -> set[int]:
    """Names and addresses that are set like headings: what has no usual name and stands before the abstract."""
    for number, each in enumerate(found):
        opens = bare_name(each.text) in _OPENING or (each.label is not None and each.label.number == 1)
        if opens and each.index in sections:
            return {before.index for before in found[:number] if before.kind is None}
    return set()


def _style_groups(found: Sequence[_Candidate]) -> list[list[_Candidate]]:
    """Candidates that are set alike, in order, in each group."""
    groups: dict[tuple[bool, bool], list[list[_Candidate]]] = defaultdict(list)
    for each in found:
        size, bold, capitals = each.style
        for group in groups[bold, capitals]:
            if _same_size(group[0].paragraph.size, size):
                group.append(each)
                break
        else:
            groups[bold, capitals].append([each])
    return [group for same in groups.values() for group in same]


def _same_size(first: float, second: float) -> bool:
    return abs(first - second) <= SAME_SIZE * max(first, second)


def _chain(group: Sequence[_Candidate]) -> list[_Candidate]:
    """The longest run of sections numbered 1, 2, 3 ... in a group, that may lack one or two."""
    best: list[_Candidate] = []
    for style in ("arabic", "roman", "chinese"):
        numbered = [each for each in group if _is_numbered(each, style)]
        chain: list[_Candidate] = []
        for each in numbered:
            number = each.label.number if each.label else 0
            last = chain[-1].label.number if chain and chain[-1].label else 0
            if last < number <= last + 1 + (SKIPPED_NUMBERS if chain else 1):
                chain.append(each)
            elif number == 1 and len(chain) < LEAST_HEADINGS:
                chain = [each]
        best = max(best, chain, key=_chain_worth)
    return best


def _is_numbered(each: _Candidate, style: str) -> bool:
    label = each.label
    return label is not None and label.style == style and label.depth == 1 and not label.appendix


def _chain_worth(chain: Sequence[_Candidate]) -> float:
    """How sure it is that a chain numbers the sections; 0 if it does not look like it."""
    named = sum(each.kind is not None for each in chain)
    if len(chain) < LEAST_HEADINGS - bool(named):
        return 0
    # Items of a list are numbered too, but have no usual names and no size.
    return (1 + named) * len(chain) + chain[0].paragraph.size / 100


def _with_chain(found: Sequence[_Candidate], chain: Sequence[_Candidate]) -> set[int]:
    """The numbered sections, and what has no number and is set like them, before and after."""
    numbered = {each.index for each in chain}
    size, bold, _ = chain[0].style
    sections = set(numbered)
    lettered = False
    for each in found:
        label = each.label
        if label and label.depth > 1:
            continue
        like = _same_size(each.paragraph.size, size) and each.paragraph.bold == bold
        after = each.index > chain[-1].index
        appendix = like and after and label is not None and label.appendix
        lettered |= appendix
        outside = each.index < chain[0].index or (after and not lettered)
        if appendix or (like and outside) or (each.kind and _stands_out(each, size)):
            sections.add(each.index)
    return sections


def _stands_out(each: _Candidate, size: float) -> bool:
    """Whether a heading with a usual name is as large as those of the sections; that of the abstract may be smaller."""
    if each.kind == "body" and each.label:
        return False
    return each.paragraph.size >= size * (1 - SAME_SIZE) or is_abstract(each.text)


def _by_names(found: Sequence[_Candidate], groups: Sequence[Sequence[_Candidate]]) -> set[int]:
    """Sections without numbers: what is set like the headings that have usual names."""

    def worth(group: Sequence[_Candidate]) -> tuple[int, float]:
        names = {bare_name(each.text) for each in group if each.kind in ("body", "references")}
        return len(names), group[0].paragraph.size

    top = max(groups, key=worth, default=())
    if not top or worth(top)[0] < LEAST_NAMES:
        top = _largest(groups)
    if not top:
        return {each.index for each in found if each.kind}
    size = top[0].paragraph.size
    only_named = _is_imrad({bare_name(each.text) for each in top})
    like = [each for each in top if not each.label or each.label.depth == 1]
    sections = {each.index for each in like if each.kind or not only_named}
    sections |= {each.index for each in found if each.kind and each.paragraph.size >= size * (1 - SAME_SIZE)}
    return sections | {each.index for each in found if is_abstract(each.text)}


def _is_imrad(names: set[str]) -> bool:
    """Introduction, methods, results, discussion: the sections of the natural sciences always have these names.

    Their subsections often look the same, and are told by having other names.
    """
    return bool(names & _METHODS and names & _AROUND_METHODS) and any("result" in name for name in names)


def _largest(groups: Sequence[Sequence[_Candidate]]) -> Sequence[_Candidate]:
    """The largest style that comes back, for a document without a single usual name."""
    several = [group for group in groups if len(group) >= LEAST_HEADINGS]
    return max(several, key=lambda group: group[0].paragraph.size, default=())
