"""Names of glyphs become letters, after the Adobe Glyph List's specification and what font makers made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from pypdf._codecs.adobe_glyphs import adobe_glyphs

# Names that are in no list and common all the same.
_MORE_NAMES = {
    "ff": "ff",
    "fi": "fi",
    "fl": "fl",
    "ffi": "ffi",
    "ffl": "ffl",
    "visiblespace": " ",
    "nbspace": " ",
    "sfthyphen": "-",
    "Delta": "\u0394",
    "Omega": "\u03a9",
    "dotlessj": "\u0237",
    "rmetermark": "/",
    "registersans": "\u00ae",
    "registerserif": "\u00ae",
}
# Names of a variant in one word, for which the list has codes of private use: what stands before is the plain one.
_VARIANT = re.compile(r"(.+?)(?:oldstyle|small|superior|inferior|fitted|sans|serif)")
_HEX = re.compile(r"uni((?:[0-9A-Fa-f]{4})+)|u([0-9A-Fa-f]{4,6})")
_NUMBERED = re.compile(r"[A-Za-z]{1,3}[-_]?(\d{1,3})|[A-Za-z]?([0-9A-Fa-f]{2})")
# So much of a font's private names have to be its codes in writing.
_PRIVATE_SHARE = 0.8


@lru_cache(maxsize=4096)
def letters_of(name: str) -> str | None:
    """What a glyph of that name (without the slash) shows; None where the name does not tell.

    What follows the first full stop is a variant and no part of the name; parts joined by `_` are a ligature.
    """
    if len(name) == 1:
        return name
    stem = name.partition(".")[0]
    if not stem:
        return None
    found = [_letter_of(part) for part in stem.split("_")]
    if any(part is None for part in found):
        return _letter_of(stem)
    return "".join(part for part in found if part)


def _letter_of(part: str) -> str | None:
    known = _MORE_NAMES.get(part) or adobe_glyphs.get(f"/{part}")
    if known and "\ue000" <= known[0] <= "\uf8ff":
        variant = _VARIANT.fullmatch(part)
        # The list has an accent for capitals, Acute, in private use too.
        stem = variant[1] if variant else part.lower()
        plain = _letter_of(stem) if stem != part else None
        return plain or known
    if known:
        return known
    if len(part) == 1:
        return part
    match = _HEX.fullmatch(part)
    if match is None:
        return None
    codes = re.findall("....", match[1]) if match[1] else [match[2]]
    try:
        return "".join(chr(int(code, 16)) for code in codes)
    except (ValueError, OverflowError):  # beyond Unicode
        return None


def are_codes(names: Mapping[int, str]) -> bool:
    """Whether names that are in no list are only the codes of their glyphs in writing: `a65`, `G41`, `c041`."""
    agreeing = sum(_says_code(name, code) for code, name in names.items())
    return bool(names) and agreeing >= _PRIVATE_SHARE * len(names)


def _says_code(name: str, code: int) -> bool:
    match = _NUMBERED.fullmatch(name)
    if match is None:
        return False
    return (match[1] is not None and int(match[1]) == code) or int(match[1] or match[2], 16) == code
