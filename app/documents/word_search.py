"""Finds the words that a person typed in the text of a paper, forgiving about case, accents, hyphens and line ends."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import chain, islice, pairwise

from app.documents.document import Document
from app.documents.text_alignment import Folded, fold_with, letters_of

# A search is no essay; of a longer one the beginning is looked for.
MAX_CHARACTERS = 200
_QUOTES = str.maketrans("‘’‚‛′“”„‟″«»", '\'\'\'\'\'"""""""')
# A sign and the spaces around it, which are a matter of taste: "p<0.05".
_SIGN = re.compile(r" *([^\w -]) *")
# Scripts that are written without spaces: a line end in the middle of a word became one.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff]")


def find_words(document: Document, words: str, limit: int) -> tuple[tuple[int, int], ...]:
    """Ranges of `document.text` where words stand one after the other as typed, the first `limit` of them in order.

    Upper and lower case, accents, ligatures and kinds of dashes and quotes make no difference, nor do hyphens and line
    ends between and inside words; words may begin and end inside those of the text.
    """
    pattern = _pattern(fold_with(_fold_character, words[:MAX_CHARACTERS]).text)
    if pattern is None:
        return ()
    folded = fold_with(_fold_character, document.text)
    found = islice(pattern.finditer(folded.text), limit)
    return tuple(_range(folded, match) for match in found)


def _range(folded: Folded, match: re.Match[str]) -> tuple[int, int]:
    return int(folded.origins[match.start()]), int(folded.origins[match.end() - 1]) + 1


@lru_cache(maxsize=2**14)
def _fold_character(character: str) -> str:
    """Letters and digits without case and accents, all spaces as one kind, all dashes and quotes too."""
    letters = letters_of(character)
    if letters:
        return letters
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category == "Pd" or character == "\u2212":
        return "-"
    return "" if category in ("Cc", "Cf", "Mn") else character.translate(_QUOTES)


def _pattern(folded: str) -> re.Pattern[str] | None:
    """What finds the words in a folded text; None if there is nothing in them to look for."""
    tokens = re.findall(r"[ -]+|.", _SIGN.sub(r"\1", folded.strip(" -")))
    if not tokens:
        return None
    between = (_between(left, right) for left, right in pairwise(tokens))
    pieces = ("" if token.strip(" -") == "" else re.escape(token) for token in tokens)
    return re.compile("".join(chain(*zip(pieces, chain(between, [""])))))


def _between(left: str, right: str) -> str:
    """What may stand in the text between two tokens of the search: letters, signs, and runs of spaces and hyphens."""
    if not left.strip(" -"):
        return ""  # said before it
    if not right.strip(" -"):
        # "state of the art" finds "state-of-the-art" and the other way round, but no words that stand together.
        return "[ -]+" if "-" not in right else "[ -]*"
    if left.isalpha() and right.isalpha():
        return " *" if _UNSPACED.match(left) and _UNSPACED.match(right) else "(?:- *)?"
    return "" if left.isdecimal() and right.isdecimal() else " *"
