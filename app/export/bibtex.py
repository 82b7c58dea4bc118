"""A BibTeX entry of a paper, of what its file says of itself; what is not known is left out."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

from app.documents import Document

_DOI = re.compile(r"\b(10\.\d{4,9}/[^\s\"<>{}|\\^~\[\]`]+)", re.IGNORECASE)
_ARXIV = re.compile(
    r"\barxiv\s*:\s*(\d{4}\.\d{4,5})(v\d+)?(?:\s*\[([a-z-]+(?:\.[A-Z]{2})?)\])?", re.IGNORECASE
)
# What arXiv prints on the margin of its papers, with the date: wherever it stands, no other paper is meant.
_STAMP = re.compile(r"\barXiv:(\d{4}\.\d{4,5})(v\d+)\s*\[[A-Za-z.-]+\]\s*\d{1,2}\s[A-Z][a-z]{2}\s\d{4}")
_ARXIV_NAME = re.compile(r"(\d{2}(?:0[1-9]|1[0-2])\.\d{4,5})(v\d+)?")
_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip
# Of a paper whose parts are not known, so much is looked at: about a title and an abstract.
BEGINNING = 3_000
NOTE = "% Made from what the file says of itself: check it before you cite."


def to_bibtex(document: Document) -> str:
    """The entry: title, authors, year, DOI, arXiv id, as far as they are known."""
    beginning = _beginning(document)
    doi = _DOI.search(beginning)
    arxiv = (
        _ARXIV_NAME.fullmatch(PurePath(document.name).stem)
        or _STAMP.search(document.text, 0, _first_page_end(document))
        or _ARXIV.search(beginning)
    )
    fields = {"title": f"{{{_escaped(document.title or document.name)}}}"}
    if document.authors:
        fields["author"] = " and ".join(map(_author, document.authors))
    year = f"20{arxiv[1][:2]}" if arxiv else document.year
    if year:
        fields["year"] = str(year)
    if doi:
        fields["doi"] = _escaped(_without_end(doi[1]))
    if arxiv:
        fields |= {"eprint": arxiv[1], "archiveprefix": "arXiv"}
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([NOTE, f"@misc{{{_key(document, str(year or ''))},", *lines, "}"]) + "\n"


def _beginning(document: Document) -> str:
    """What stands on the first page around the text, where a paper says its own DOI; in the text it says others'."""
    end = _first_page_end(document)
    front = [
        document.text[section.start : min(section.end, end)]
        for section in document.sections
        if section.kind == "front" and section.start < end
    ]
    if front:
        return "\n".join(front)
    cited = (section.start for section in document.sections if section.kind == "references")
    return document.text[: min(end, BEGINNING, next(cited, end))]


def _first_page_end(document: Document) -> int:
    return document.pages[0].end if document.pages else 0


def _without_end(doi: str) -> str:
    """A DOI in running text ends before the sentence does, and before a bracket that it does not open."""
    doi = doi.rstrip(".,;:'\u2019\u201d")
    while doi.endswith(")") and doi.count("(") < doi.count(")"):
        doi = doi[:-1].rstrip(".,;:")
    return doi


def _author(name: str) -> str:
    """The word that parts authors is none within a name."""
    return _escaped(re.sub(r"\band\b", "{and}", name)).replace(r"\{and\}", "{and}")


def _key(document: Document, year: str) -> str:
    """`guo2021longt5`: the first author's last name, the year, the first long word of the title."""
    surname = ""
    if document.authors:
        name = document.authors[0]
        surname = name.partition(",")[0] if "," in name else "".join(name.split()[-1:])
    word = next((word for word in _ascii(document.title).split() if len(word) > 3), "")
    return re.sub(r"[^a-z0-9]", "", f"{_ascii(surname)}{year}{word}") or "paper"


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9 ]", "", plain.lower())


def _escaped(text: str) -> str:
    """Text that (La)TeX shows letter by letter, on one line."""
    return "".join(_SPECIAL.get(sign, sign) for sign in " ".join(text.split()))
