"""Two readings of one page are matched letter by letter, however they order, space, hyphenate and accent it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from app.documents.text_cleaning import CONTROL_LIGATURES

Integers = NDArray[np.int64]

# So many letters in a row that stand once in either reading stand at the same place.
GRAM = 12
# What no run covers is looked for between its neighbours, this far at most, in pieces of at least `PIECE` letters.
REACH = 400
PIECE = 3
NARROW = 40
# A glyph whose letters the file does not tell, mostly a ligature; the reader of the text may have guessed them.
UNKNOWN = "\0"
LIGATURE = 3


@dataclass(frozen=True, eq=False)
class Folded:
    """A text without what makes no difference: case, accents, ligatures."""

    text: str
    origins: Integers
    """For each character the position in the text that it comes from; never falls."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Which letter of one text is which letter of another, both folded; -1 for none."""

    text: Folded
    other: Folded
    to_other: Integers
    """`(letters of text)`: each letter of the other one is named at most once, but for `UNKNOWN`."""


# Letters under an accent of their own lose their dot.
_SPECIAL = {**CONTROL_LIGATURES, "\N{LATIN SMALL LETTER DOTLESS I}": "i", "\ufffd": UNKNOWN, UNKNOWN: UNKNOWN}


def fold(text: str) -> Folded:
    return fold_with(letters_of, text)


def fold_with(fold_character: Callable[[str], str], text: str) -> Folded:
    """A text of which every character is replaced by what `fold_character` makes of it."""
    pieces = list(map(fold_character, text))
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    return Folded("".join(pieces), np.repeat(np.arange(len(pieces)), lengths))


@lru_cache(maxsize=2**14)
def letters_of(character: str) -> str:
    """The letters and digits in a character, in lower case and without accents; none, one or several."""
    if character in _SPECIAL:
        return _SPECIAL[character]
    decomposed = unicodedata.normalize("NFKD", character).casefold()
    return "".join(filter(_is_kept, unicodedata.normalize("NFKD", decomposed)))


def _is_kept(character: str) -> bool:
    """Letters, digits, and the vowel signs of Indic scripts and Thai, which are marks but no accents."""
    if character.isalnum():
        return True
    return unicodedata.category(character)[0] == "M" and not unicodedata.combining(character)


def align(text: Folded, other: Folded) -> Alignment:
    """Matches what both texts hold: first long runs wherever they stand, then the rest between its neighbours."""
    to_other = np.full(len(text.text), -1)
    free = np.ones(len(other.text), bool)
    for start, other_start, length in sorted(_runs(text.text, other.text), key=lambda run: -run[2]):
        _match(to_other, free, start, other_start, length)
    for start, end in _gaps(to_other):
        _fill(to_other, free, text.text, other.text, start, end)
    return Alignment(text, other, to_other)


def _match(to_other: Integers, free: NDArray[np.bool_], start: int, other_start: int, length: int) -> None:
    """Matches the letters of a run that are not matched yet."""
    own = to_other[start : start + length]
    others = free[other_start : other_start + length]
    new = (own < 0) & others
    own[new] = other_start + np.flatnonzero(new)
    others[new] = False


def _runs(text: str, other: str) -> Iterator[tuple[int, int, int]]:
    """Start in the text, start in the other and length of runs of the same letters around grams found once in each."""
    known_until: dict[int, int] = {}
    for a, b in zip(*(places.tolist() for places in _common_grams(text, other))):
        # Most grams lie in the run of the gram before, at the same distance from their counterpart.
        if a < known_until.get(b - a, 0):
            continue
        end = a + GRAM
        while a and b and text[a - 1] == other[b - 1]:
            a, b = a - 1, b - 1
        while end < len(text) and b - a + end < len(other) and text[end] == other[b - a + end]:
            end += 1
        known_until[b - a] = end
        yield a, b, end - a


def _common_grams(text: str, other: str) -> tuple[Integers, Integers]:
    """Where the grams stand that occur exactly once in both texts, in the order of the first."""
    hashes, places = _single_grams(text)
    other_hashes, other_places = _single_grams(other)
    _, found, other_found = np.intersect1d(hashes, other_hashes, assume_unique=True, return_indices=True)
    starts, other_starts = places[found], other_places[other_found]
    order = np.argsort(starts)
    return starts[order], other_starts[order]


def _single_grams(text: str) -> tuple[NDArray[np.uint64], Integers]:
    """Hashes of the grams that occur once in a text, and where."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    count = max(0, len(letters) - GRAM + 1)
    hashes = np.zeros(count, np.uint64)
    for offset in range(GRAM):
        # A polynomial modulo 2^64; of two grams with one hash, which nobody will see, the shown place would be wrong.
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + letters[offset : offset + count]
    values, places, counts = np.unique(hashes, return_index=True, return_counts=True)
    return values[counts == 1], places[counts == 1]


def _gaps(to_other: Integers) -> list[tuple[int, int]]:
    """Ranges of letters without a match."""
    edges = np.diff(np.concatenate([[0], to_other < 0, [0]]).astype(np.int8))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()))


def _fill(to_other: Integers, free: NDArray[np.bool_], text: str, other: str, start: int, end: int) -> None:
    """Looks for the letters of a gap between the matches of the letters around it, or near them."""
    after = int(to_other[start - 1]) + 1 if start else None
    before = int(to_other[end]) if end < len(text) else None
    if after is None and before is None:
        windows = [(0, len(other))]
    elif after is not None and before is not None and after <= before <= after + (end - start) + REACH:
        windows = [(after, before)]
    else:
        reach = end - start + REACH // 4
        windows = [(after, min(len(other), after + reach))] if after is not None else []
        windows += [(max(0, before - reach), before)] if before is not None else []
    gap = text[start:end]
    # Between near neighbours in a formula single letters can't be mistaken for others.
    piece = 1 if len(windows) == 1 and windows[0][1] - windows[0][0] <= NARROW else PIECE
    if after is not None and before == after + 1 and other[after] == UNKNOWN and len(gap) <= LIGATURE:
        to_other[start:end] = after
        return
    for low, high in windows:
        found = other.find(gap, low, high)
        if found >= 0:
            _match(to_other, free, start, found, len(gap))
            return
    for low, high in windows:
        if len(gap) * (high - low) <= REACH * REACH:
            matcher = SequenceMatcher(None, gap, other[low:high], autojunk=False)
            for block in matcher.get_matching_blocks():
                if block.size >= piece:
                    _match(to_other, free, start + block.a, low + block.b, block.size)
