"""A sentence without its citations and pointers: what a summary of a paper has no use for outside of the paper."""

from __future__ import annotations

import re

_YEARS = r"(?:1[89]|20)\d\d[a-z]?(?:\s?,\s?(?:(?:1[89]|20)\d\d[a-z]?|[a-z]\b))*"
_SIGNAL = r"(?:see|cf\.?|e\.?g\.?,?|i\.?e\.?,?|reviewed (?:in|by)|as in|and|also|,)\s+"
_NUMBERS = r"\s*[1-9]\d{0,2}(?:\s?[,;–—-]\s?[1-9]\d{0,2})*\s*"
_BY_NUMBER = re.compile(_NUMBERS)
# "[1], [2] and [4]–[6]": one citation, taken out or left in as a whole.
_CHAIN = rf"\[{_NUMBERS}\](?:\s?(?:[,;–—-]|(?:,\s?)?(?:and|&))?\s?\[{_NUMBERS}\])+"
# "Fig. 2A", "Sections 3.1 and 4", "§ 4", "Eqn. (3)", "Table IV", "Appendix B"; "S1 Fig" as the PLOS journals have it.
# No text may be matched in two ways: what repeats these would try them all.
_LETTERED = (
    r"(?:appendi(?:x|ces)|fig(?:ure)?s?\.?|tables?|tabs?\.|(?:sub)?sections?|sect?s?\.|chapters?|chaps?\.)"
)
_COUNTED = (
    r"(?:eq(?:uation|n)?s?\.?|algorithms?|algs?\.|theorems?|thms?\.|lemmas?|propositions?|props?\.|corollar(?:y|ies)|"
    r"definitions?|(?-i:Box(?:es)?))"
)
_NUMBER = r"\(?[a-z]?\.?\d{1,2}(?:\.\d{1,2})*[a-z]?\b\)?(?:\([a-z]\))?"
_LETTER = r"(?-i:[IVX]{2,4}|[A-Z])\b"
_OF_SUPPLEMENT = (
    r"(?-i:S\d{1,2} (?:Fig(?:ure)?|Table|Text|File|Data|Dataset|Appendix|Movie|Video)s?)\b|"
    r"(?:text|file|data|dataset|movie|video)s? S\d{1,2}\b"
)
_PLACE = (
    rf"(?:\b(?:{_LETTERED}\s?(?:{_NUMBER}|{_LETTER})|app\.\s?{_LETTER}|{_COUNTED}\s?{_NUMBER}|{_OF_SUPPLEMENT})"
    rf"|§§?\s?(?:{_NUMBER}|{_LETTER})(?!\s+of\b))"  # of a law
)
# "Guo et al., 2022", "Schlacht and Dacks 2014a,b"; names as long as papers have them.
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_BY_AUTHOR = re.compile(
    rf"\s*(?:{_SIGNAL})*(?!(?:{_MONTHS})\b)[^\W\d_][^\d()\[\];]{{0,80}}"
    rf"(?:et al\.?|,|\band [^\W\d_]+|& ?[^\W\d_]+),?\s*{_YEARS}(?:,?\s*(?:pp?\.\s?[\d–-]+|(?i:{_PLACE})))?\s*"
)
_POINTER = re.compile(
    rf"\s*(?:{_SIGNAL})*(?:{_PLACE}|(?:panels?|supplementary|suppl?\.|additional|extended data|online|appendix|"
    r"figures?|figs?\.?|tables?|sections?|chapters?|equations?|algorithms?|files?|data)(?!\w))"
    r"[\s\w.,;:&()§–-]{0,60}",
    re.IGNORECASE,
)
# A number alone goes on with a list that ends in "and", lest it be data: "as shown in Table 1, 95 and 90 % ...".
_AND_MORE = (
    rf"(?:\s?[,–-]\s?{_PLACE}|(?:\s?,\s?{_NUMBER}){{0,9}},?\s(?:and|&)\s?(?:{_PLACE}|{_NUMBER}|{_LETTER})"
    rf"|\s?[–-]\s?(?:{_NUMBER}|{_LETTER})){{0,9}}"
)
_AS_SHOWN = re.compile(
    rf",?\s+as\s+(?:is\s+|are\s+)?[a-z]+\s+in\s+{_PLACE}{_AND_MORE}(?=\s*[.,;](?!\d))", re.IGNORECASE
)
_POINTS = re.compile(rf"{_PLACE}|\bthis (?:sub)?(?:section|chapter|appendix|supplement)\b", re.IGNORECASE)
# A model that may not write square brackets opens with a round one what it closes with a square one.
_BRACKETS = re.compile(
    rf"\s?(?:(?P<chain>{_CHAIN})|\[(?P<square>[^\[\]]{{1,200}})\]|\((?P<mixed>[\d\s,;–—-]{{1,100}})\]"
    r"|\((?P<round>[^()]{1,300}(?:\([^()]{0,20}\)[^()]{0,100})?)\))(?P<stop>\.?)"
)
# After these a citation is what the sentence speaks of: "the approach of (Guo et al., 2022)".
_GOVERNS = re.compile(
    r"\b(?:in|of|by|with|from|to|than|as|like|see|following|over|within|range|interval|∈|(?:e\.g|cf)\.,?)$",
    re.IGNORECASE,
)
# What a number that cites follows: a word, a mark or another citation, not an operator, a letter or a digit.
_FOLLOWS = re.compile(r"[^\W\d_]{2,}[.,;:”\")]?$|[.,;\])]$")
_YEAR_ALONE = re.compile(r"(?<=et al\.)\s?,?\s?\((?:1[89]|20)\d\d[a-z]?\)\.?")


def without_citations(sentence: str) -> str:
    """The sentence without `[3, 17]`, `(Guo et al., 2022)` and `(see Figure 2)`, its other words as they were.

    What else a bracket says stays, and so do numbers in square brackets that are an interval or a vector's
    (`x in [0, 1]`), and citations that are what the sentence speaks of (`as shown by [4]`). `As shown in Figure 2` goes
    too.
    """

    def replaced(match: re.Match[str]) -> str:
        before = sentence[: match.start()].rstrip()
        if _GOVERNS.search(before):
            return match[0]
        # Behind an abbreviation the full stop stands already: "Guo et al. [3]."
        stop = "" if before.endswith(".") else match["stop"]
        numbers = match["square"] or match["mixed"]
        if match["chain"] or (numbers and _BY_NUMBER.fullmatch(numbers)):
            return stop if _FOLLOWS.search(before) else match[0]
        chunks = (numbers or match["round"]).split(";")
        said = [chunk for chunk in chunks if not (_BY_AUTHOR.fullmatch(chunk) or _POINTER.fullmatch(chunk))]
        if len(said) == len(chunks):
            return match[0]
        if not said:
            return stop
        bracket = match[0].removesuffix(".") if match["stop"] else match[0]
        opening = bracket[: len(bracket) - len(bracket.lstrip()) + 1]
        return f"{opening}{';'.join(said).strip()}{bracket[-1]}{match['stop']}"

    return _AS_SHOWN.sub("", _YEAR_ALONE.sub("", _BRACKETS.sub(replaced, sentence))).strip()


def points_elsewhere(sentence: str) -> bool:
    """Whether a sentence leads to a numbered part of the paper, or to the one it stands in: `Table 1 shows this.`"""
    return _POINTS.search(sentence) is not None
