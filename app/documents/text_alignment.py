"""Two readings of one page are matched letter by letter, however they order, space, hyphenate and accent it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.documents.text_cleaning import CONTROL_LIGATURES

Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

# So many letters in a row are looked for wherever they stand.
GRAM = 12
# What no run covers is looked for between its neighbours, this far at most, in pieces of at least `PIECE` letters.
REACH = 400
PIECE = 3
# So near to each other, as in a formula, matched letters leave no doubt about single ones between them.
NARROW = 40
# Letters of gaps times letters of the other text that are compared one by one for a page; more takes too long.
EFFORT = 150_000
# A glyph whose letters the file does not tell, mostly a ligature; the reader of the text may have guessed them.
UNKNOWN = "\0"
LIGATURE = 3


@dataclass(frozen=True, eq=False)
class Folded:
    """A text without what makes no difference: case, accents, ligatures."""

    text: str
    origins: Integers
    """For each character the position in the text that it comes from; never falls."""
    lines: Integers
    """For each character how many line ends are before it."""


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
    origins = np.repeat(np.arange(len(pieces)), lengths)
    line_ends = [position for position, character in enumerate(text) if character == "\n"]
    return Folded("".join(pieces), origins, np.searchsorted(line_ends, origins))


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
    matches = _Matches(text.text, other.text)
    hashes, other_hashes = _hashes(text.text), _hashes(other.text)
    # First grams that are sure, as both texts have them once; then repeated ones, where those leave letters over.
    for most in (1, len(hashes)):
        grams = _common_grams(hashes, other_hashes, most)
        runs = sorted(_runs(*grams, other.lines), key=lambda run: -run[2])
        for run in runs:
            matches.add(*run)
        for run in runs:
            matches.grow(*run)
    for _ in range(2):  # what is found the first time are neighbours the second time
        for start, end in matches.gaps():
            matches.fill(start, end)
    return Alignment(text, other, matches.to_other)


class _Matches:
    """The matches of two texts that were found so far; none of them is changed by later ones."""

    def __init__(self, text: str, other: str) -> None:
        self.text = text
        self.other = other
        self.to_other = np.full(len(text), -1)
        self._free = np.ones(len(other), bool)
        self._effort = EFFORT

    def add(self, start: int, other_start: int, length: int) -> None:
        """Matches the letters of a run that are not matched yet."""
        own = self.to_other[start : start + length]
        free = self._free[other_start : other_start + length]
        new = (own < 0) & free
        own[new] = other_start + np.flatnonzero(new)
        free[new] = False

    def grow(self, start: int, other_start: int, length: int) -> None:
        """Matches the letters around a run that are the same too, up to those that are matched."""
        for step, a, b in ((-1, start - 1, other_start - 1), (1, start + length, other_start + length)):
            while 0 <= a < len(self.text) and 0 <= b < len(self.other):
                if self.text[a] != self.other[b] or self.to_other[a] >= 0 or not self._free[b]:
                    break
                self.add(a, b, 1)
                a, b = a + step, b + step

    def gaps(self) -> list[tuple[int, int]]:
        """Ranges of letters without a match."""
        edges = np.diff(np.concatenate([[0], self.to_other < 0, [0]]).astype(np.int8))
        return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()))

    def fill(self, start: int, end: int) -> None:
        """Looks for the letters of a gap between the matches of the letters around it, or near them."""
        after = int(self.to_other[start - 1]) + 1 if start else None
        before = int(self.to_other[end]) if end < len(self.text) else None
        gap = self.text[start:end]
        hidden = after is not None and before == after + 1 and self.other[after] == UNKNOWN
        if hidden and len(gap) <= LIGATURE:
            self.to_other[start:end] = after
            return
        windows = self._windows(len(gap), after, before)
        for low, high in windows:
            found = self.other.find(gap, low, high)
            if found >= 0:
                self.add(start, found, len(gap))
                return
        if after is not None or before is not None:
            for low, high in windows:
                self._fill_in_pieces(start, gap, low, high)

    def _windows(self, length: int, after: int | None, before: int | None) -> list[tuple[int, int]]:
        """Where in the other text a gap between two matched letters is looked for; None where the text ends."""
        if after is None and before is None:
            return [(0, len(self.other))]
        # A few letters stand anywhere.
        limit = NARROW if length < PIECE else length + REACH
        if after is not None and before is not None and after <= before <= after + limit:
            return [(after, before)]
        if length < PIECE:
            return []
        # One reading goes on elsewhere here: in the next column, behind a footnote.
        reach = length + REACH // 4
        behind = [(after, min(len(self.other), after + reach))] if after is not None else []
        return behind + ([(max(0, before - reach), before)] if before is not None else [])

    def _fill_in_pieces(self, start: int, gap: str, low: int, high: int) -> None:
        """Matches what a gap has in common with a part of the other text, in order."""
        cost = len(gap) * (high - low)
        if cost > self._effort:
            return
        self._effort -= cost
        least = 1 if high - low <= NARROW else PIECE
        for block in SequenceMatcher(None, gap, self.other[low:high], autojunk=False).get_matching_blocks():
            if block.size >= least:
                self.add(start + block.a, low + block.b, block.size)


def _runs(starts: Integers, other_starts: Integers, lines: Integers) -> Iterator[tuple[int, int, int]]:
    """Start in the text, start in the other and length of what grams cover that follow each other in both.

    Divided where a line of the other text ends: if the text goes on elsewhere there, and with the same letters by
    chance, those are a short run, and the long one that they belong to comes first.
    """
    breaks = np.flatnonzero((np.diff(starts) != 1) | (np.diff(other_starts) != 1)) + 1
    edges = [0, *breaks.tolist(), len(starts)]
    for first, end in pairwise(edges):
        if first == end:
            continue
        start, other_start, length = int(starts[first]), int(other_starts[first]), end - first - 1 + GRAM
        line_ends = np.flatnonzero(np.diff(lines[other_start : other_start + length])) + 1
        for low, high in pairwise([0, *line_ends.tolist(), length]):
            yield start + low, other_start + low, high - low


def _common_grams(hashes: Hashes, other_hashes: Hashes, most: int) -> tuple[Integers, Integers]:
    """Where the grams stand that both texts have, at most so often, in order of the text.

    The first of a kind in one text goes with the first in the other, and so on.
    """
    values, counts = np.unique(hashes, return_counts=True)
    other_values, other_counts = np.unique(other_hashes, return_counts=True)
    common, found, other_found = np.intersect1d(values, other_values, assume_unique=True, return_indices=True)
    counts, other_counts = counts[found], other_counts[other_found]
    allowed = np.maximum(counts, other_counts) <= most
    common, least = common[allowed], np.minimum(counts, other_counts)[allowed]
    places, other_places = (_first_places(within, common, least) for within in (hashes, other_hashes))
    order = np.argsort(places)
    return places[order], other_places[order]


def _first_places(hashes: Hashes, common: Hashes, counts: Integers) -> Integers:
    """The first places of every common hash, as many as are counted, those of one hash together."""
    order = np.argsort(hashes, kind="stable")
    ranks = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.repeat(np.searchsorted(hashes[order], common), counts) + ranks]


def _hashes(text: str) -> Hashes:
    """A number for each gram of a text."""
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    count = max(0, len(letters) - GRAM + 1)
    hashes = np.zeros(count, np.uint64)
    for offset in range(GRAM):
        # A polynomial modulo 2^64: two grams of a page have one hash only if somebody wants to see wrong places.
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + letters[offset : offset + count]
    return hashes
