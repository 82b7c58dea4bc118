"""Whether a document's text is text at all."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

SAMPLE_CHARACTERS = 200_000
_VOWELS = frozenset("aeiouyAEIOUY")
_LETTERS = re.compile(r"[^\W\d_]+")


def readable(raw_lines: Sequence[str]) -> bool:
    """Whether text as it came from the file has words.

    Fonts without a Unicode map give codes, glyph names or symbols. Judged on the characters before cleaning, which
    would hide what was wrong with them, and in a long text on every second, third ... line.
    """
    sample = raw_lines[:: 1 + sum(map(len, raw_lines)) // SAMPLE_CHARACTERS]
    text = "\n".join(line[:SAMPLE_CHARACTERS] for line in sample)
    visible = letters = digits = junk = vowels = latin = 0
    for character, count in Counter(text).items():
        if character.isspace() or unicodedata.combining(character):
            continue
        visible += count
        if character.isalpha():
            letters += count
            latin += count * character.isascii()
            vowels += count * (character in _VOWELS)
        elif character.isdigit():
            digits += count
        elif not character.isprintable() or character == "\ufffd":
            junk += count
    in_words = sum(len(word) for word in _LETTERS.findall(text) if len(word) > 1 or not word.isascii())
    if not letters or junk > 0.25 * visible:
        return False
    if latin > 1000 and latin > 0.9 * letters and not 0.2 < vowels / latin < 0.65:
        return False
    if visible <= 200:
        return in_words + digits >= 0.2 * visible or letters >= 0.5 * visible
    # Formulas and tables have few words, glyph names such as /65/115 have none.
    return in_words >= 0.05 * visible
