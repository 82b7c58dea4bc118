"""Where the sentences of a scientific text begin and end, as character offsets.

Rules, no model: a full stop, question or exclamation mark followed by white space and something that can
begin a sentence ends one, unless it belongs to an abbreviation ("et al.", "Fig. 2", "e.g."), an initial
("J. Smith") or a number. A mark that stands by itself, as in texts that were split into words and lower-cased ("it
is so . we see"), ends one before a lower-case word too. A line end ends a sentence too (headings stand on lines of
their own) unless the next line goes on in lower case.
"""

from __future__ import annotations

import re

# Never end a sentence, because something must follow them.
_ABBREVIATION_LIST = (
    "e.g i.e cf viz vs eq eqs eqn eqns fig figs ref refs sec sect tab def thm prop lem cor no nos vol pp "
    "ch chap dr mr mrs ms prof st resp approx ca s.t w.r.t a.k.a w.l.o.g var subsp ssp cv pv sensu nr art ed "
    "eds al supp suppl appx app alg ineq const jan feb aug sept oct nov dec"
)
_ABBREVIATIONS = frozenset(_ABBREVIATION_LIST.split())
# End a sentence unless what follows is plainly its continuation (a year, a bracket, a lower-case word).
_LATE_ABBREVIATIONS = frozenset(
    {"al", "no", "ref", "app", "art", "def", "cor", "ed", "st", "prop", "tab", "ch"}
)
LEAST_WORDS = 6  # fewer are headings, captions and the debris of formulas
# From a capital, digit or opening mark to a full stop, maybe with references after it. Public sets of papers are
# split into words, so a space may stand before the full stop.
_WHOLE_SENTENCE = re.compile(
    r"[\"“‘(\[]?\s?[A-Z0-9].*[a-zA-Z0-9)\]”’\"%]\s?[.!?]\s?[\"”’)\]]*(\s*\[[\d,;–\s-]+\])?", re.S
)
# "This paper shows" stands by itself, "This shows" does not.
_LEANS = re.compile(
    r"(?:However|Therefore|Thus|Hence|Moreover|Furthermore|Additionally|In addition|Consequently|In contrast|Instead|"
    r"Nevertheless|Nonetheless|Similarly|Likewise|Conversely|Then|Also|Second|Third|Finally|For example|For instance|"
    r"As a result|To (?:this end|do (?:so|this))|On the other hand|Otherwise|Yet|But|And|So|Or|Such|They|It|He|She|"
    r"Its|Their|The (?:latter|former|other|second|third|same)|Both|"
    r"(?:This|These|That|Those)(?! (?:paper|study|work|article|review|report|thesis|survey|chapter|manuscript)))\b"
    r"(?! is (?:known|well|shown|important|clear|possible)\b| has been\b)",
)
_CANDIDATE = re.compile(r"[.!?]+[\"'”’)\]]*(?:\s*\[\d[\d,;\s–-]*\])?(\s+)|\n\s*")
_LAST_MARK = re.compile(r"[.!?]+[\"'”’)\]]*(?:\s*\[\d[\d,;\s–-]*\])?$")
_LAST_WORD = re.compile(r"[^\s(\[{\"'“‘/,;–—]+$")
_REFERENCE_FOLLOWS = re.compile(r"[\d(\[]|[IVX]+\b|[A-Z]\d|[a-z]")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Returns the half-open character ranges of the sentences of `text` without surrounding white space.

    Every character that is not white space lies in exactly one range. Headings count as sentences.
    """
    sentences: list[tuple[int, int]] = []
    start = 0
    for match in _CANDIDATE.finditer(text):
        if _ends_sentence(text, match):
            _append_stripped(sentences, text, start, match.end())
            start = match.end()
    _append_stripped(sentences, text, start, len(text))
    return sentences


def is_whole_sentence(sentence: str, cased: bool = True) -> bool:
    """Whether `sentence` looks like a whole sentence of running text: what may be quoted, or be ranked.

    `cased`: whether sentences begin with capitals in its text; in public sets of papers they do not.
    """
    sentence = sentence.strip()
    words = sentence.split()
    letters = sum(character.isalpha() for character in sentence)
    return (
        len(words) >= LEAST_WORDS
        and letters >= 0.6 * len("".join(words))
        and _WHOLE_SENTENCE.fullmatch(sentence if cased else sentence.upper()) is not None
    )


def leans_on_another(sentence: str) -> bool:
    """Whether `sentence` begins with words that hang in the air without the one before it: "This allows ..."."""
    return _LEANS.match(sentence) is not None


def may_end_text(text: str) -> bool:
    """Whether `text` ends as a sentence does: with a mark that belongs to no abbreviation, initial or number."""
    match = _LAST_MARK.search(text)
    if match is None:
        return False
    if match.group()[0] != "." or len(match.group()) > 1:
        return True
    before, _, last = text[: match.start()].rstrip().rpartition(" ")
    word = _LAST_WORD.search(last)
    key = word.group().lower() if word else ""
    if len(key) == 1 and last.isupper():  # an initial, unless it names something: "type A."
        return before.split()[-1:] != [] and before.split()[-1].islower()
    if key == "al" and before.endswith("et"):
        return False
    return last != "0" and key not in _ABBREVIATIONS - _LATE_ABBREVIATIONS


def _append_stripped(sentences: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        sentences.append((start, start + len(stripped)))


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    following = text[match.end() : match.end() + 12]
    if not following:
        return False
    if match.group(1) is None:  # a line end without a full stop before it
        return "\n" in match.group() and not following[0].islower()
    mark = match.group().rstrip()
    alone = len(mark) == 1 and text[match.start() - 1 : match.start()].isspace()
    if following[0].islower() and not alone:
        return False
    if mark[0] != ".":
        return True
    if "\n" in match.group(1):
        return True
    word = _LAST_WORD.search(text, max(0, match.start() - 24), match.start() - alone)
    last = word.group() if word else ""
    if len(mark) > 1 and mark != "..":  # a bracket or quotation mark closes after the full stop
        return True
    if (
        len(last) == 1 and last.isalpha() and last.isupper()
    ):  # an initial, unless it names something: "type A."
        return False
    key = last.lower()
    if key not in _ABBREVIATIONS:
        return True
    if key in _LATE_ABBREVIATIONS:
        return not _REFERENCE_FOLLOWS.match(following)
    return False
