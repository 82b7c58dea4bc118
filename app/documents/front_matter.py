"""What surrounds a paper and is none of it, told by its form where no heading says so."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.documents.heading_names import Kind, bare_name
from app.documents.paragraphs import Paragraph
from app.documents.type_styles import LARGER

# Affiliations and correspondence stand on the first pages.
FIRST_PAGES = 2
# Longer paragraphs are text, whatever they begin with.
FORM_CHARACTERS = 1500
# So many lines with leaders or page numbers make a table of contents, under a heading of that name or without one.
LEAST_CONTENTS, LEAST_LEADERS = 3, 5
# Without leaders, longer paragraphs are no entries of contents.
ENTRY_CHARACTERS = 400
# Contents without a heading stand on these pages, or in this part of a book.
EARLY_PAGES, EARLY_SHARE = 2, 0.08
# Other lines, as a title that takes two, may stand between them.
OTHER_LINES = 6
# Sentences of running text are at least so long in all; ideographs say more.
PROSE_CHARACTERS, IDEOGRAPH_PROSE = 160, 60

# Notes are smaller than the text by this factor or more.
SMALL = 0.96

_LEADERS = re.compile(r"(?:[.·]\s?){4,}|…\s?…")
_PAGE_AT_END = re.compile(r"(?:^|\s)(?:\d{1,4}|[ivxl]{1,6})$")
_CONTENTS_NAMES = frozenset(
    "contents tableofcontents listoffigures listoftables listoffiguresandtables listofalgorithms listofillustrations "
    "inhaltsverzeichnis inhalt abbildungsverzeichnis tabellenverzeichnis tabledesmatières sommaire listedesfigures "
    "listedestableaux índice índicegeneral índicedefiguras índicedetablas tabladecontenidos sumário indicegenerale "
    "spistreści obsah innehåll innehållsförteckning indhold indholdsfortegnelse innhold sisällys içindekiler cuprins "
    "tartalomjegyzék daftarisi mụclục verzeichnisse inhoudsopgave оглавление содержание περιεχόμενα 目录 目錄 "
    "目次 목차".split()
)


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# A notice of rights or of the publisher, wherever it stands.
_NOTICE = _any_of(
    r"^(?:©|\(c\) (?:copyright|(?:19|20)\d\d)|copyright\b|all rights reserved|licensed under|isbn\b|issn\b)",
    r"^(?:this (?:is an open[- ]access|work is licensed|article is (?:licensed|distributed|an open)))",
    r"^(?:open access (?:this article|article)|permission to make (?:digital|copies|hard))",
    r"^(?:the )?author\(?s?\)?,? (?:20\d\d\. )?.{0,30}licen",
    r"^(?:springer nature remains neutral|publisher['’]s? note|submit your next manuscript|publish with biomed)",
    r"^(?:full )?list of author information is",
    r"^(?:an? )?(?:preprint|manuscript|version) .{0,40}(?:peer[- ]review|submitted to)",
    r"creative commons attribution|creativecommons\.org/licen[sc]es|permits unrestricted use, distribution",
    r"licensee biomed central|no unauthorized reproduction",
)
_DATES = re.compile(
    r"^\W{0,8}(?:manuscript |submission |article |first )?"
    r"(?:received|submitted|accepted|revised|published(?: online)?|available online|article history|"
    r"eingegangen|reçu|recibido|aceptado|recebido|поступила)\b[ :]{0,2}"
    r"(?=.{0,60}\b(?:1[89]|20)\d\d\b).{0,300}$",
    re.IGNORECASE,
)
_CONTACT = _any_of(
    r"^\W{0,8}\d?\s?(?:correspondence|corresponding authors?|to whom correspondence|author for correspondence)",
    r"^\W{0,8}\d?\s?(?:e-?mails?(?: address(?:es)?)?\b\s?[:(]|address (?:for )?(?:correspondence|reprint))",
    r"^\W{0,8}\d?\s?(?:equal contribution|contributed equally|these authors contributed)",
    r"^\W{0,8}\d?\s?(?:present|current) address\b",
    r"^\W{0,8}\d?\s?(?:orcid|work (?:done|performed) (?:while|during))",
    r"^\W{0,8}(?:(?:academic |handling )?editors?:|(?:edited|reviewed|communicated) by\b)",
    r"^\W{0,8}(?:citation:|how to cite|cite this)",
    r"^(?:https?://|www\.)?\S*doi\.org/\S*$|^doi:?\s*10\.\d{4}\S*$",
    r"^\W{0,8}[\w.,+\-{} ]{1,200}@\s?[\w.\-]+\.\w{2,}(?:[\s,;].{0,80})?$",
    r"contributed equally to this work",
)
# What is said of a paper and not by it, run into its paragraph.
_BACK_LABEL = re.compile(
    r"^\W{0,8}(?:data(?: and code)? availability(?: statement)?|availability of data and materials?|"
    r"funding(?: statement| information)?|financial (?:disclosure|support)|disclosures?|"
    r"(?:potential )?conflicts? of interests?(?: statement)?|"
    r"(?:declaration of )?competing (?:financial )?interests?(?: statement)?|"
    r"authors?['’]? contributions?|author contribution statement|acknowledge?ments?|ethics (?:statement|approval)|"
    r"institutional review board statement|informed consent(?: statement)?|supplementary materials?|"
    r"provenance and peer review)\s?[:.—–]\s?\S",
    re.IGNORECASE,
)
# In small type the label needs no colon to be one.
_BACK_RUN_IN = re.compile(
    r"(?:[Aa]uthors?['’]? contributions?|[Aa]uthor details|[Cc]ompeting interests|"
    r"Acknowledge?ments?(?: and [Ff]unding)?|Funding)\s+[A-Z\d]"
)
_KEYWORDS = _any_of(
    r"^(?:index terms|key ?-?words?(?: and phrases)?|general terms|ccs concepts)\s?[:.—–-]",
    r"^(?:categories and subject descriptors|schlüsselwörter|mots[- ]clés|palabras clave|palavras[- ]chave)\s?[:.—–-]",
    r"^(?:parole chiave|ключевые слова|关键词|关键字|關鍵詞|キーワード)\s?[:：.—–-]",
)
_PLACE = re.compile(
    r"\b(?:universit\w+|universid\w+|università|universität|polytech\w+|institut\w*|departm?ent\w*|dept\.?|"
    r"school of|college|faculty|facultad|fakultät|laborator\w+|hospital|cent(?:er|re) (?:for|of)|academy|ministry|"
    r"research (?:center|centre|group|labs?)|cnrs|inserm|max planck)\b",
    re.IGNORECASE,
)
_MARKED = re.compile(r"^[\s(]*(?:\d{1,2}|[a-z]|[*†‡§¶☯#∗])[\s,)]*(?=[^\W\d_])")
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|we|show|shows|can|may|which|that|will|been|this|these|our|ist|sind|wird|wir|"
    r"est|sont|nous|es|son|que)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[a-zà-ÿ)\]\d”\"'’][.!?](?:\s|$)|[。！？]")


def find_contents(paragraphs: Sequence[Paragraph], pages: Sequence[int]) -> frozenset[int]:
    """Indices of the paragraphs that are tables of contents and lists of figures or tables, headings included."""
    found: set[int] = set()
    for index, paragraph in enumerate(paragraphs):
        if index in found or not is_contents_heading(paragraph.text):
            continue
        last, entries = _contents_under(paragraphs, pages, index)
        # A running head of that name goes with the contents before it.
        if entries >= LEAST_CONTENTS or index - 1 in found:
            found.update(range(index, last + 1))
    # Lists of other things have leaders too, but not before a paper.
    early = max(EARLY_PAGES, EARLY_SHARE * max(pages, default=0))
    with_leaders = [
        i for i, each in enumerate(paragraphs) if pages[i] <= early and _LEADERS.search(each.text)
    ]
    by_page: dict[int, list[int]] = {}
    for index in with_leaders:
        by_page.setdefault(pages[index], []).append(index)
    for indices in by_page.values():
        if sum(len(_LEADERS.findall(paragraphs[i].text)) for i in indices) >= LEAST_LEADERS:
            found.update(indices)
    return frozenset(found)


def _contents_under(paragraphs: Sequence[Paragraph], pages: Sequence[int], heading: int) -> tuple[int, int]:
    """The last line of the contents under a heading, and how many of them there are."""
    last, entries, others, size = heading, 0, 0, 0.0
    for index in range(heading + 1, len(paragraphs)):
        paragraph = paragraphs[index]
        if entries and paragraph.heading and paragraph.size > LARGER * size > 0:
            break
        leaders = len(_LEADERS.findall(paragraph.text))
        if leaders or (len(paragraph.text) < ENTRY_CHARACTERS and _PAGE_AT_END.search(paragraph.text)):
            last, others, size = index, 0, max(size, paragraph.size)
            entries += max(1, leaders)
            continue
        others += 1
        if others > OTHER_LINES or is_prose(paragraph.text) or pages[index] > pages[last] + 1:
            break
    return last, entries


def is_contents_heading(text: str) -> bool:
    """Whether it is the heading of a table of contents or a list of figures or tables."""
    return len(text) <= 60 and bare_name(text) in _CONTENTS_NAMES


def is_list_heading(text: str) -> bool:
    """Whether only a list can stand under a heading, of contents or of keywords; running text is no part of it."""
    return is_contents_heading(text) or _KEYWORDS.match(f"{text}:") is not None


def is_prose(text: str) -> bool:
    """Whether it is running text of a sentence or more."""
    text = text[:FORM_CHARACTERS]
    ideographs = sum(
        "\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7af" for character in text
    )
    if ideographs > 0.3 * len(text):
        return len(text) >= IDEOGRAPH_PROSE and _SENTENCE_END.search(text) is not None
    if len(text) < PROSE_CHARACTERS or not _SENTENCE_END.search(text):
        return False
    words = text.split()
    lower = sum(word[:1].islower() for word in words)
    return lower >= 0.5 * len(words)


def form(paragraph: Paragraph, page: int, body_size: float) -> Kind | None:
    """What a paragraph is by its form alone, if that is none of the paper's text."""
    text = paragraph.text
    if len(text) > FORM_CHARACTERS or paragraph.level:
        return None
    early = page <= FIRST_PAGES
    if not paragraph.heading and (
        _BACK_LABEL.match(text) or (paragraph.size < SMALL * body_size and _BACK_RUN_IN.match(text))
    ):
        return "back"
    if _NOTICE.search(text):
        return "front" if early else "back"
    if early and (_DATES.match(text) or _KEYWORDS.match(text)):
        return "front"
    if early and (_CONTACT.search(text) or _is_affiliation(paragraph, body_size)):
        return "front"
    return None


def _is_affiliation(paragraph: Paragraph, body_size: float) -> bool:
    """An institution's name and hardly a verb: in small type, or behind the mark of an author."""
    text = paragraph.text
    places = len(_PLACE.findall(text))
    if not places or len(_VERB.findall(text)) > 1:
        return False
    small = paragraph.size < SMALL * body_size
    return small or _MARKED.match(text) is not None or (places > 1 and "," in text and not is_prose(text))
