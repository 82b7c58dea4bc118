"""Who wrote a paper and when, from what its file says of itself."""

from __future__ import annotations

import re

from app.documents.text_cleaning import clean_characters

MOST_AUTHORS = 100
NAME_CHARACTERS = 120
_SEPARATOR = re.compile(r"\s*;\s*|\s*,\s*(?:and\s+|&\s*)?|\s+and\s+|\s*&\s*")
# What programs write where nobody gave a name.
_NOBODY = re.compile(
    r"(?:the )?(?:admin|administrator|anonymous|author\(?s?\)?|default|guest|owner|pc|root|unknown|users?|none|null|"
    r"microsoft office user|\S+@\S+|.*\b(?:latex|windows|software|inc|ltd|gmbh|acrobat)\b.*)\.?",
    re.IGNORECASE,
)


def names_in(said: str | None) -> tuple[str, ...]:
    """The authors named in a line such as "Mandy Guo, Joshua Ainslie and Yinfei Yang" or "Guo, Mandy; Ni, Jianmo"."""
    said = " ".join(clean_characters(said or "").split())
    if ";" in said:
        names = said.split(";")
    elif re.fullmatch(r"[^\s,]+, [^,]+", said) and not re.search(r" and |&", said):
        names = [said]  # "Guo, Mandy" is one person
    else:
        names = _SEPARATOR.split(said)
    names = [name.strip(" ,.*") for name in names]
    found = [name for name in names if re.search(r"[^\W\d_]{2}", name) and not _NOBODY.fullmatch(name)]
    return tuple(dict.fromkeys(name for name in found if len(name) <= NAME_CHARACTERS))[:MOST_AUTHORS]


def year_in(said: str | None) -> int | None:
    """The year that a date begins with, if papers were written in it."""
    found = re.match(r"(?:19[4-9]|20\d)\d", said or "")
    return int(found[0]) if found else None
