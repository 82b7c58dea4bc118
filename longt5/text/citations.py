"""A sentence without its citations and pointers: what a summary of a paper has no use for outside of the paper."""

from __future__ import annotations

import re

_YEARS = r"(?:1[89]|20)\d\d[a-z]?(?:\s?,\s?(?:(?:1[89]|20)\d\d)?[a-z]?)*"
_SIGNAL = r"(?:see|cf\.?|e\.?g\.?,?|i\.?e\.?,?|reviewed (?:in|by)|as in|and|also|,)\s+"
# "Guo et al., 2022", "Schlacht and Dacks 2014a,b"; names as long as papers have them.
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_BY_AUTHOR = re.compile(
    rf"\s*(?:{_SIGNAL})*(?!(?:{_MONTHS})\b)[^\W\d_][^\d()\[\];]{{0,80}}"
    rf"(?:et al\.?|,|\band [^\W\d_]+|& ?[^\W\d_]+),?\s*{_YEARS}(?:,?\s*pp?\.\s?[\d–-]+)?\s*"
)
_BY_NUMBER = re.compile(r"\s*\d{1,3}(?:\s?[,;–—-]\s?\d{1,3})*\s*")
_POINTER = re.compile(
    rf"\s*(?:{_SIGNAL})*(?:panels?|supplementary|additional|extended data|online|appendix|fig(?:ure|s|\.)?s?|"
    r"tab(?:le|\.)s?|sec(?:tion|t\.|\.)s?|chapters?|eqs?\.?|equations?|algorithms?|files?|data)\b[\s\w.,;:&()–-]{0,60}",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\s?(?:\[([^\[\]]{1,200})\]|\(([^()]{1,300}(?:\([^()]{0,20}\)[^()]{0,100})?)\))")
_YEAR_ALONE = re.compile(r"(?<=et al\.)\s?,?\s?\((?:1[89]|20)\d\d[a-z]?\)")


def without_citations(sentence: str) -> str:
    """The sentence without `[3, 17]`, `(Guo et al., 2022)` and `(see Figure 2)`, its other words as they were.

    A bracket that says anything else stays, and so do numbers in square brackets that are an interval or a vector's
    (after an operator, a letter or a digit, as in `x in [0, 1]`).
    """

    def replaced(match: re.Match[str]) -> str:
        square, inside = match[1] is not None, match[1] or match[2]
        if square and _BY_NUMBER.fullmatch(inside):
            return "" if _cites(sentence, match) else match[0]
        chunks = inside.split(";")
        if all(_BY_AUTHOR.fullmatch(chunk) or _POINTER.fullmatch(chunk) for chunk in chunks):
            return ""
        return match[0]

    return _YEAR_ALONE.sub("", _BRACKETS.sub(replaced, sentence)).strip()


def _cites(sentence: str, match: re.Match[str]) -> bool:
    """Whether a number in square brackets is a citation: after a word, a mark or another one, and not after "in"."""
    before = sentence[: match.start()].rstrip()
    return bool(re.search(r"[^\W\d_]{2,}[.,;:”\")]?$|[.,;\])]$", before)) and not re.search(
        r"\b(?:in|interval|range|from|to|over|within|∈)$", before
    )
