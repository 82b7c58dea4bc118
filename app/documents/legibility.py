"""Is this text? Fonts without a Unicode map, swapped encodings and glyph names give characters that no one can read."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

# Longer texts are judged by every second, third ... line.
SAMPLE_CHARACTERS = 200_000
# A page of fewer characters may be a formula or a picture's labels: it is taken for text.
LEAST_CHARACTERS = 200
# Characters that no text has (replacements, controls, private use), in a line and in all: a line of more is a formula
# or a label whose signs can't be told; a page of which most are such lines can't be read.
MOST_JUNK_IN_LINE, MOST_JUNK, MOST_LOST = 0.3, 0.25, 0.5
# Letters in words of at least three that tell how frequent each letter is; names in programs and formulas are shorter.
LEAST_LETTERS = 600
# In all languages of the Latin script these make half of the letters and more (Polish 0.51, English 0.63, French 0.68);
# in letters that stand for others, a third.
_FREQUENT = frozenset("aeinorst")
LEAST_FREQUENT = 0.42
LEAST_VOWELS, MOST_VOWELS = 0.2, 0.65
_VOWELS = frozenset("aeiouy")
# Of the letters, those in words of more than this many, which are many words glued together.
LONG_WORD, MOST_IN_LONG_WORDS = 30, 0.5
# Of the words of at least four letters, those with every letter twice, and those with letters of two scripts.
MOST_DOUBLED, MOST_MIXED = 0.2, 0.15
_LETTERS = re.compile(r"[^\W\d_]+")
_DOUBLED = re.compile(r"(?:(.)\1)+")
# Scripts that stand in one word without being out of place.
_TOGETHER = frozenset(
    ["CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "FULLWIDTH", "HALFWIDTH", "MODIFIER"]
)


def is_sound(line: str) -> bool:
    """Whether a line, as it came from the file, shows more than replacements for what can't be told."""
    visible = len(line) - line.count(" ")
    return (line.isprintable() and "\ufffd" not in line) or _junk(line) <= MOST_JUNK_IN_LINE * visible


def is_legible(lines: Sequence[str]) -> bool:
    """Whether the lines of a page, as they came from the file, are text; those of few characters are.

    Judged on the characters before cleaning, which would hide what was wrong with them.
    """
    characters = sum(map(len, lines))
    if characters < LEAST_CHARACTERS:
        return True
    sound = [line for line in lines if is_sound(line)]
    if sum(map(len, sound)) < MOST_LOST * characters:
        return False
    words = _LETTERS.findall(_sample(sound))
    return _has_usual_letters(words) and _has_usual_words(words)


def readable(lines: Sequence[str]) -> bool:
    """Whether a whole text has words, however short it is."""
    text = _sample(lines)
    visible = sum(not character.isspace() and not unicodedata.combining(character) for character in text)
    words = _LETTERS.findall(text)
    letters = sum(map(len, words))
    if not letters or _junk(text) > MOST_JUNK * visible or not is_legible(lines):
        return False
    in_words = sum(len(word) for word in words if len(word) > 1 or not word.isascii())
    if visible <= LEAST_CHARACTERS:
        return in_words + sum(map(str.isdigit, text)) >= 0.2 * visible or letters >= 0.5 * visible
    # Formulas and tables have few words, glyph names such as /65/115 have none.
    return in_words >= 0.05 * visible


def _sample(lines: Sequence[str]) -> str:
    sample = lines[:: 1 + sum(map(len, lines)) // SAMPLE_CHARACTERS]
    return "\n".join(line[:SAMPLE_CHARACTERS] for line in sample)


def _junk(text: str) -> int:
    return sum(
        count
        for character, count in Counter(text).items()
        if character == "\ufffd" or not (character.isprintable() or character.isspace())
        # Where TeX's fonts keep their ligatures.
        if not "\x0b" <= character <= "\x1f"
    )


def _has_usual_letters(words: Sequence[str]) -> bool:
    """Whether the Latin letters are as frequent as in a language; other scripts are not judged by that."""
    text = "".join(word for word in words if len(word) >= 3).casefold()
    counts: Counter[str] = Counter()
    for character, count in Counter(text).items():
        base = unicodedata.normalize("NFD", character)[0]
        if "a" <= base <= "z":
            counts[base] += count
    latin = counts.total()
    if latin < LEAST_LETTERS or latin < 0.5 * len(text):
        return True
    vowels = sum(counts[letter] for letter in _VOWELS) / latin
    frequent = sum(counts[letter] for letter in _FREQUENT) / latin
    return LEAST_VOWELS < vowels < MOST_VOWELS and frequent > LEAST_FREQUENT


def _has_usual_words(words: Sequence[str]) -> bool:
    letters = sum(map(len, words))
    if (
        sum(len(word) for word in words if len(word) > LONG_WORD and word.isascii())
        > MOST_IN_LONG_WORDS * letters
    ):
        return False
    long = [word for word in words if len(word) >= 4]
    doubled = sum(_DOUBLED.fullmatch(word) is not None for word in long)
    mixed = sum(_is_mixed(word) for word in long)
    return doubled <= MOST_DOUBLED * len(long) and mixed <= MOST_MIXED * len(long)


def _is_mixed(word: str) -> bool:
    """Whether letters of scripts that don't go together stand in a word; those of formulas are Latin and Greek."""
    if word.isascii():
        return False
    scripts = {script for script in map(_script, word) if script}
    return len(scripts) > 1 and scripts != {"LATIN", "GREEK"}


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """The first word of a letter's name, which is that of its script; empty for those that go with every other."""
    script = unicodedata.name(letter, "").partition(" ")[0]
    return "" if script in _TOGETHER else script
