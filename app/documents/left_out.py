"""What of a document is not the paper itself, in words: affiliations, contents, the reference list ..."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from app.documents.document import Document, Section
from app.documents.heading_names import Kind

# More names than these make a sentence that nobody reads.
LISTED = 4


def _table(*rows: tuple[str, str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in rows)


# The first that is found in a heading, or in the first words of a piece that has none, names it.
_BY_HEADING = _table(
    ("contents", r"contents|inhal|table des m|sommaire|[ií]ndice|sumário|inhoud|оглавл|содерж|目[录錄次]|목차|περιεχ"),
    ("lists of figures and tables", r"list of (?:fig|tab|ill)|abbildungsv|tabellenv|liste des|figuras|tabelas"),
    ("abbreviations", r"abbrev|acronym|abkürz|nomencl|symbol|glossar"),
    ("acknowledgements", r"acknowledg|thanks|dank|remerci|agrade|ringraz|благодар|ευχαρ|致[谢謝]|谢辞|謝辞|감사"),
    ("funding", r"fund|financ|grant|förder|финанс|资助|基金"),
    ("author contributions", r"contribut|author roles|credit|beitr|вклад|作者贡献"),
    ("conflicts of interest", r"interest|conflict|disclos|интерес|利益"),
    ("data availability", r"availab|accessib|verfügb|disponib"),
    ("ethics declarations", r"ethic|consent|review board|declarations|patient"),
    ("supplementary files", r"supp|additional"),
    ("declaration of authorship", r"declaration|statement of|erklärung|versicherung|承诺"),
    ("preface", r"preface|foreword|vorwort|geleitwort|préface|avant|prólogo|prefac|voorwoord|предисл|πρόλογ|まえがき"),
    ("dedication", r"dedicat|widmung|dédic"),
    ("keywords", r"key ?-?words|index terms|concepts|schlüsselw|mots|palabras|palavras|parole|ключев|关键|キーワード"),
    ("index", r"\bindex|stichwort|sachverz"),
    ("notices of the publisher", r"publish|submit your|biomed|citation|cite"),
    ("affiliations", r"author|affiliation|correspondence"),
)  # fmt: skip
# The same in a piece without a heading, which may say it anywhere.
_BY_FORM = _table(
    ("copyright notice", r"©|\(c\)|copyright|licen[sc]e|rights|open access|isbn|permission to make"),
    (
        "affiliations",
        r"correspond|@|universi|institut|department|affiliat|equal|editor|orcid|present address",
    ),
    ("dates of submission", r"received|submitted|accepted|published"),
    ("notices of the publisher", r"doi|citation"),
)
_OTHERS: dict[Kind, str] = {"front": "other front matter", "back": "other back matter"}
# Of a piece without a heading, so much is looked at.
LABEL_CHARACTERS, FORM_CHARACTERS = 40, 400


@dataclass(frozen=True)
class LeftOut:
    """The sections of one kind that surround a paper."""

    kind: Kind
    what: str
    """In words: `affiliations, contents and acknowledgements`."""
    pages: tuple[int, ...]
    """Numbers of the pages on which they stand, ascending; on some of them the paper itself stands too."""


def left_out(document: Document) -> tuple[LeftOut, ...]:
    """What of a document is no body, a kind at a time: front matter, reference lists, back matter."""
    found = []
    kinds: tuple[Kind, ...] = ("front", "references", "back")
    for kind in kinds:
        sections = [each for each in document.sections if each.kind == kind and each.start < each.end]
        if sections:
            names = dict.fromkeys(_name(document, each) for each in sections)
            found.append(LeftOut(kind, _joined(names), _pages(document, sections)))
    return tuple(found)


def _name(document: Document, section: Section) -> str:
    if section.kind == "references":
        return "reference list"
    if not section.heading and section.start == 0:
        return "authors"
    text = document.text[section.start : min(section.end, section.start + FORM_CHARACTERS)]
    looked_at = ((section.heading or text[:LABEL_CHARACTERS], _BY_HEADING), (text, _BY_FORM))
    for told, names in looked_at:
        for name, pattern in names:
            if pattern.search(told):
                return name
    return _OTHERS[section.kind]


def _joined(names: Iterable[str]) -> str:
    listed = list(names)
    if len(listed) > LISTED:
        listed = [*listed[: LISTED - 1], "more"]
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1]


def _pages(document: Document, sections: Iterable[Section]) -> tuple[int, ...]:
    numbers: set[int] = set()
    for section in sections:
        numbers.update(
            page.number for page in document.pages if page.start < section.end and section.start < page.end
        )
    return tuple(sorted(numbers))
