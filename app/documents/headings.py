"""Which paragraphs read like headings, and what number they have."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate

from app.documents.heading_names import Kind, is_abstract, named_kind
from app.documents.paragraphs import Paragraph

HEADING_CHARACTERS, HEADING_WORDS = 150, 20
# Of a book of 500 pages; only files that mean harm have more, and time goes with their square.
MOST_CANDIDATES = 4_000
# Without large or bold type, only shorter ones with a number are.
PLAIN_CHARACTERS = 100
# The title, in one piece or two, is among so many paragraphs.
TITLE_PARAGRAPHS, TITLE_LETTERS = 60, 12
# As shown, longer ones are cut.
SHOWN_CHARACTERS = 120
# A heading has so many letters, ideographs count for more, and they make up this much of it; formulas have fewer.
LEAST_LETTERS, LEAST_IDEOGRAPHS, LETTER_SHARE = 3, 2, 0.6

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
# What is set like a heading and is none: captions, theorems, items, code, formulas, addresses.
_NO_HEADING = re.compile(
    r"(?:figures?|figs?\.?|tables?|algorithm|listing|scheme|charts?|plates?|box|equation|exhibit|abbildung|abb\.|"
    r"tabelle|tab\.|figura|tabla|tableau|рис\.?|таблица|(?:supplementary|extended data) (?:figure|table))"
    r"\s*[A-Z]?\.?\d|[图圖表]\s?\d|"
    r"(?:theorem|lemma|definition|proposition|corollary|remark|example|proof|claim|conjecture|exercise|assumption|"
    r"hypothesis|observation|satz|bemerkung|beispiel|aufgabe|beweis|korollar|folgerung|théorème|définition|teorema|"
    r"definición|step|case|q)\b\s*(?:[\dIVX]|[A-Z]\.?\d|[:.(]|$)|"
    r"[•▪‣◦●■◆*–—]|\(?[a-z]\)\s|\([A-Z\d]{1,3}\)|(?:end|else|then|return|while|for each)\b|"
    r".*(?:\. ?){4,}|.*[=<>≤≥∑∫{}\\|@]|.*https?:|.*\bdoi\b|.*[^\d\s]\s?\.\.\.",
    re.IGNORECASE,
)
_ENDS_OPEN = re.compile(r"(?:[,;]|[^.\s]-|\b(?:and|or|of|the|an|in|to|with|for|by|und|der|die|de|la|et|y))$")
# Without a number, three letters are a label in a figure; words of other scripts may be short.
_LONG_WORD = re.compile(r"[^\W\d_]{4}|[^\x00-\u024f]")
_SENTENCE = re.compile(r"[a-zà-ÿ]{2,}[.!?]\s+[A-Z]")


@dataclass(frozen=True)
class Label:
    """The number of a heading, as in `2.1`, `IV.`, `Chapter 3`, `Appendix B`."""

    style: str
    """"arabic", "roman", "letter" or "chinese"; the sections of a paper are numbered in one of them."""
    number: int
    depth: int
    """1 for a section, 2 for a subsection ..."""
    end: int
    """Where the words begin."""
    appendix: bool


@dataclass(frozen=True)
class Candidate:
    """A paragraph that may be a heading."""

    index: int
    """Of the paragraph."""
    position: int
    """Characters of text before it."""
    paragraph: Paragraph
    label: Label | None
    kind: Kind | None
    """What its name says of the section under it."""

    @property
    def text(self) -> str:
        return self.paragraph.text

    @property
    def plain(self) -> bool:
        """Whether neither its type nor its name says that it is a heading, only its number."""
        return not self.paragraph.heading and self.kind is None


def find_candidates(
    paragraphs: Sequence[Paragraph], *, title: str, no_headings: Set[int], check: Callable[[], None]
) -> list[Candidate]:
    """Paragraphs that may be headings, in order.

    Args:
        title: of the document, which is set like a heading and is none.
        no_headings: indices of paragraphs that are none: entries of reference lists and contents.
        check: called often, and may raise to stop the work.
    """
    found: list[Candidate] = []
    positions = [0, *accumulate(len(paragraph.text) for paragraph in paragraphs)]
    for index, paragraph in enumerate(paragraphs):
        check()
        if len(found) == MOST_CANDIDATES:
            break
        if index in no_headings or len(paragraph.text) > HEADING_CHARACTERS:
            continue
        candidate = _candidate(index, positions[index], paragraph)
        titled = index < TITLE_PARAGRAPHS and is_title(paragraph.text, title)
        # A section may be called as the paper is, but has a number.
        if candidate and not (titled and (candidate.label is None or candidate.label.style == "letter")):
            found.append(candidate)
    return found


def _candidate(index: int, position: int, paragraph: Paragraph) -> Candidate | None:
    text = paragraph.text
    label = heading_label(text)
    # Usual names mean less within a section: `1.1 Contributions`.
    kind = None if label and label.depth > 1 else named_kind(text, set_as_heading=paragraph.heading)
    # In the middle of a table or a figure they look like the text around them.
    if kind == "body" and not paragraph.heading and not is_abstract(text):
        return None
    if not kind and not paragraph.level and not _reads_like_heading(text, label):
        return None
    candidate = Candidate(index, position, paragraph, label, kind)
    if candidate.plain and (
        label is None or label.depth > 1 or label.style == "letter" or not _is_short(text)
    ):
        return None
    return candidate


def _is_short(text: str) -> bool:
    return len(text) <= PLAIN_CHARACTERS and not text.endswith((".", ":"))


def is_title(text: str, title: str) -> bool:
    """Whether a paragraph is the title or the first lines of it."""
    letters, whole = _letters(text), _letters(title)
    return letters == whole or (len(letters) > TITLE_LETTERS and whole.startswith(letters))


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text.casefold()))


def is_bare_label(text: str) -> bool:
    """Whether a heading is only a number, as `Chapter 3`; the words stand in the next paragraph."""
    label = heading_label(text)
    return label is not None and label.end >= len(text) and not text[0].isdigit()


def _reads_like_heading(text: str, label: Label | None) -> bool:
    if is_bare_label(text):
        return True
    words = text[label.end :] if label else text
    letters = sum(map(str.isalpha, words))
    least = LEAST_LETTERS if words.isascii() else LEAST_IDEOGRAPHS
    if letters < max(least, LETTER_SHARE * len(words.replace(" ", ""))):
        return False
    if len(words.split()) > HEADING_WORDS or _SENTENCE.search(words):
        return False
    if not label and (next(filter(str.isalpha, words)).islower() or not _LONG_WORD.search(words)):
        return False
    return not _NO_HEADING.match(words) and not _ENDS_OPEN.search(text)


def heading_label(text: str) -> Label | None:
    """The number that a heading begins with, if it has one."""
    found = _LABEL.match(text)
    if found is None:
        return None
    appendix = bool(found["word"]) and _APPENDIX.match(found["word"]) is not None
    end = found.end()
    number = found["arabic"] or found["counted"]
    if number:
        parts = [int(part) for part in number.split(".")]
        return Label("arabic", parts[0], len(parts), end, appendix)
    if found["roman"] and found["roman"].isupper() and (found["word"] or len(text) > end):
        return Label("roman", _roman(found["roman"]), 1, end, appendix)
    if found["letter"] and found["letter"][0].isupper():
        depth = 1 + found["letter"].count(".")
        return Label("letter", ord(found["letter"][0]) - ord("A") + 1, depth, end, appendix or depth == 1)
    if found["chinese"]:
        tens, one = found["chinese"][:1], found["chinese"][1:2]
        value = 10 + _CHINESE[one] if tens == "十" and one else _CHINESE[tens]
        return Label("chinese", value, 1, end, appendix)
    return None


def _roman(letters: str) -> int:
    values = [_ROMAN[letter] for letter in letters]
    return sum(-one if one < following else one for one, following in zip(values, [*values[1:], 0]))


def shown_heading(text: str) -> str:
    """A heading on one line, letters that were spaced out joined, not too long."""
    text = " ".join(text.split()).strip(" :")
    words = text.split(" ")
    if len(words) > 3 and all(len(word) == 1 for word in words):
        text = "".join(words)
    if len(text) > SHOWN_CHARACTERS:
        text = text[: SHOWN_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip() + "…"
    return text
