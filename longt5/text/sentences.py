"""Where the sentences of a scientific text begin and end, as character offsets.

Rules, no model: a full stop, question or exclamation mark followed by white space and something that can
begin a sentence ends one, unless it belongs to an abbreviation ("et al.", "Fig. 2", "z. B."), an initial
("J. Smith") or a number. Between the mark and the next sentence the number of a reference may stand, as superscripts
come out of PDFs ("was kept.12 The"), and where two sentences were glued there is no space at all ("it.Then"). The
marks of Chinese and Japanese need none; those of other scripts end sentences as a full stop does. A mark that stands
by itself, as in texts that were split into words and lower-cased ("it is so . we see"), ends one before a lower-case
word too. A line end ends a sentence too (headings stand on lines of their own) unless the next line goes on in lower
case.
"""

from __future__ import annotations

import re

from longt5.text.abbreviations import (
    ABBREVIATIONS,
    BEGINNINGS,
    LATE_ABBREVIATIONS,
    LIBRARIES,
    MONTHS,
    NAMED_SO,
)

LEAST_WORDS = 6  # fewer are headings, captions and the debris of formulas
# Scripts without spaces between words: so many characters make one.
_IDEOGRAPHS_A_WORD = 2

_OPENING = "\"'“‘«"
_CLOSING = "\"'”’»)\\]」』）】》〉"
# Full stops, question and exclamation marks of scripts that put a space after them, beside . ! ?
_SPACED_MARKS = "।॥؟۔։።၊။፧"
# Those of Chinese and Japanese, which do not.
_WIDE_MARKS = "。！？｡"
_REFERENCE = r"\s*\[\d[\d,;\s–-]*\]"
_SUPERSCRIPT = r"\d{1,3}(?:\s?[,–-]\s?\d{1,3})*"
_CANDIDATE = re.compile(
    rf"(?P<mark>[.!?{_SPACED_MARKS}]+[{_CLOSING}]*)(?:{_REFERENCE})?(?P<space>\s+)"
    rf"|(?P<cited>(?<=[^\W\d_][^\W\d_)”\"’])[.!?][{_CLOSING}]*)(?P<number>{_SUPERSCRIPT})(?P<after>\s+)"
    rf"|(?P<wide>[{_WIDE_MARKS}]+[{_CLOSING}]*)(?:{_REFERENCE})?\s*"
    r"|(?P<glued>(?<=[a-zà-ÿ]{2})[.!?])(?=[A-ZÀ-Þ][a-zà-ÿ]*[ ,])"
    r"|(?P<line>\n\s*)"
)
_LAST_MARK = re.compile(
    rf"[.!?{_SPACED_MARKS}{_WIDE_MARKS}]+[{_CLOSING}]*(?:{_REFERENCE}|(?<=[^\W\d_].)(?:{_SUPERSCRIPT}))?$"
)
# "This paper shows" stands by itself, "This shows" does not.
_LEANS = re.compile(
    r"(?:However|Therefore|Thus|Hence|Moreover|Furthermore|Further(?=,)|Additionally|In addition|Consequently|Besides|"
    r"In contrast|By contrast|Instead|Lastly|Accordingly|Specifically|In particular|Indeed|Meanwhile|Subsequently|"
    r"Nevertheless|Nonetheless|Similarly|Likewise|Conversely|Then|Also|Second|Third|Finally|For example|For instance|"
    r"As a result|To (?:this end|do (?:so|this))|On the other hand|Otherwise|Yet|But|And|So|Or|Such|They|It|He|She|"
    r"Its|Their|The (?:latter|former|other|second|third|same)|Both|"
    r"(?:This|These|That|Those)(?! (?:paper|study|work|article|review|report|thesis|survey|chapter|manuscript)))\b"
    r"(?! is (?:known|well|shown|important|clear|possible)\b| has been\b)",
)
# Of 58,788 full stops after a word in 368 papers fewer than 100 stood after one of these.
_LEADING_ON = frozenset(
    "and or nor but a the an which whose that than of because although whereas while if with from to in by for at into "
    "as between they we he she our their its his her my your was were been have would could might must shall will "
    "those what when where who whom very also then".split()
)
_LAST_WORD = re.compile(r"[^\s(\[{\"'“‘/,;–—]+$")
_GLUED_WORD = re.compile(r"(?:^|[\s(“\"])([a-zà-ÿ]{3,})$")
_REFERENCE_FOLLOWS = re.compile(r"[\d(\[]|[IVX]+\b|[A-Z]\d|[a-z]")
# "Cat. No. A12", "Co. Ltd."
_NAME_FOLLOWS = re.compile(r"[\d(\[#]|Nos?\.|[A-Z]+-?\d|(?:Co|Corp|Inc|Ltd)\b")
# A strain: "Synechocystis sp. PCC 6803".
_STRAIN_FOLLOWS = re.compile(r"[A-Z]{2,}\b")
# The last of letters with a full stop each stands before the one that may end the sentence: "U.S", "J.-P".
_LETTERS_WITH_STOPS = re.compile(r"[^\W\d_](?:\.-?[^\W\d_])+")
_WORD = re.compile(r"[^\W\d_]+")
# "z. B.", "d. h.": letters each with a full stop of its own.
_SPACED_LETTERS = re.compile(r"(?:^|[\s(])[^\W\d_]\.\s?[^\W\d_]$")
_ONE_LETTER_FOLLOWS = re.compile(r"[^\W\d_]\.|[a-zà-ÿ]{1,3}\.")
# Names that begin with a small letter wherever they stand: p53, mTOR, miR-21, c-Myc, iPSCs; and Greek letters.
_SMALL_NAME = re.compile(r"[a-z]{1,4}-?(?:\d|[A-Z])|[\u03b1-\u03c9](?:[-‐–\s]|\d|[A-Z])")
_JAPANESE_PARTICLE = re.compile(r"[\u3041-\u3096]")
_IDEOGRAPH = re.compile(r"[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# From what can begin a sentence to a mark, maybe with references after it. Public sets of papers are split into
# words, so a space may stand before the full stop.
_WHOLE_SENTENCE = re.compile(
    rf"[\"“‘(\[«„「『（]?\s?(?P<first>\w\S*).*[\w)\]”’\"%°»」』）]\s?[.!?{_SPACED_MARKS}{_WIDE_MARKS}]\s?"
    rf"[{_CLOSING}]*(?:\s*\[[\d,;–\s-]+\]|{_SUPERSCRIPT})?",
    re.DOTALL,
)


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
    letters = sum(character.isalpha() for character in sentence)
    if letters < 0.6 * len("".join(sentence.split())) or _count_words(sentence) < LEAST_WORDS:
        return False
    match = _WHOLE_SENTENCE.fullmatch(sentence)
    return match is not None and (not cased or _may_begin(match["first"]))


def leans_on_another(sentence: str) -> bool:
    """Whether `sentence` begins with words that hang in the air without the one before it: "This allows ..."."""
    return _LEANS.match(sentence) is not None


def may_end_text(text: str) -> bool:
    """Whether `text` ends as a sentence does: with a mark that belongs to no abbreviation, initial or number.

    After a comma, and a word that something has to follow, as "and" or "they", a full stop ends none.
    """
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
    if text[: match.start()].rstrip().endswith(","):
        return False
    return last != "0" and key not in ABBREVIATIONS - LATE_ABBREVIATIONS and key not in _LEADING_ON


def _count_words(sentence: str) -> int:
    """Words of a sentence, as they would be counted if ideographs and kana had spaces between them."""
    ideographs = len(_IDEOGRAPH.findall(sentence))
    return len(_IDEOGRAPH.sub(" ", sentence).split()) + ideographs // _IDEOGRAPHS_A_WORD


def _may_begin(following: str) -> bool:
    """Whether a sentence may begin so: with anything but a small letter, unless that begins a name of its own."""
    return not following[0].islower() or _SMALL_NAME.match(following) is not None


def _append_stripped(sentences: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        sentences.append((start, start + len(stripped)))


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    following = text[match.end() : match.end() + 20]
    if not following:
        return False
    if match["line"]:  # a line end without a full stop before it
        return not following[0].islower()
    if match["wide"]:
        # A quotation goes on with what was done with it.
        return len(match["wide"]) == 1 or not _JAPANESE_PARTICLE.match(following)
    if match["glued"]:
        word = _GLUED_WORD.search(text, max(0, match.start() - 40), match.start())
        return word is not None and word[1] not in ABBREVIATIONS | LIBRARIES
    if match["cited"]:
        return _ends_with_reference(text, match, following)
    return _ends_with_mark(text, match, following)


def _ends_with_reference(text: str, match: re.Match[str], following: str) -> bool:
    """Whether a sentence ends at a mark with a number right after it, the one of a reference."""
    word = _LAST_WORD.search(text, max(0, match.start() - 24), match.start())
    key = word.group().lower() if word else ""
    # A full stop inside the word before: a version, a name of a file or an address.
    return key not in ABBREVIATIONS and "." not in key and _may_begin(following)


def _ends_with_mark(text: str, match: re.Match[str], following: str) -> bool:
    """Whether a sentence ends at a mark that white space follows."""
    mark = match["mark"]
    if match.end() < len(text) and match.group()[len(mark) :].strip():
        mark = match.group().rstrip()  # with a reference in brackets
    alone = len(mark) == 1 and text[match.start() - 1 : match.start()].isspace()
    if not _may_begin(following) and not alone:
        return False
    if mark[0] != "." or "\n" in match["space"]:
        return True
    if len(mark) > 1 and mark != "..":  # a bracket or quotation mark closes after the full stop
        return True
    end = match.start() - alone
    word = _LAST_WORD.search(text, max(0, match.start() - 24), end)
    last = word.group() if word else ""
    if len(last) == 1 and last.isalpha():
        # An initial; of small letters, one of several with a full stop each.
        chain = _SPACED_LETTERS.search(text, max(0, end - 6), end) or _ONE_LETTER_FOLLOWS.match(following)
        return last.islower() and chain is None
    if last.isdecimal() and len(last) <= 2:
        return following.split()[0].lower().rstrip(".,;)") not in MONTHS
    if last == "Jr" or (last.isupper() and _LETTERS_WITH_STOPS.fullmatch(last)):
        begins = _WORD.match(following.lstrip(_OPENING))
        return begins is not None and begins[0].lower() in BEGINNINGS
    if last in NAMED_SO:
        return not (_NAME_FOLLOWS.match(following) or (last == "sp" and _STRAIN_FOLLOWS.match(following)))
    key = last.lower()
    if key not in ABBREVIATIONS:
        return True
    return key in LATE_ABBREVIATIONS and not _REFERENCE_FOLLOWS.match(following)
