"""The title of a document, from the layout of its first pages and what the file says of itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from app.documents.heading_names import named_kind
from app.documents.page_lines import Line
from app.documents.text_cleaning import clean_characters
from app.documents.type_styles import LARGER, body_style

TITLE_CHARACTERS = 300
# The title is on the first pages that have text; covers and forms may come before it.
PAGES_LOOKED_AT, PAGES_WITH_TEXT = 12, 3
# Lines of one title are set in one size, and no further apart than this many sizes.
SAME_SIZE, SAME_BLOCK = 0.03, 2.5
# Shorter ones are marks, logos and single words; ideographs say more.
LEAST_LETTERS, LEAST_IDEOGRAPHS = 8, 4
# A title that is only bold takes no more lines than this.
BOLD_LINES = 4
# So much of what a file states must stand in a block to be the same title.
SAME_TITLE = 0.6

_NOT_A_TITLE = re.compile(
    r"(?:untitled|document|title|paper|article|manuscript|thesis|layout ?\d*|slide ?\d*|binder ?\d*|scan.*|"
    r"microsoft (?:word|powerpoint).*|powerpoint presentation|pii:.*|doi:.*|arxiv:.*|no job name|template.*|"
    r"\S*[\\/_]\S*|.*\.(?:pdf|docx?|dvi|tex|ps|eps|indd|qxd|txt|rtf|odt|pages|pptx?|fm|cdr))",
    re.IGNORECASE,
)
# What stands over or beside a title in type as large: kinds of articles, stamps of publishers, dates and numbers.
_BANNER = re.compile(
    r"(?:(?:original|research|review|short|brief|regular|full(?:[- ]length)?|open access|invited|technical|case|data|"
    r"methods?|systematic|feature|news|letter|special|rapid|accepted|author|peer[- ]reviewed)\W+)*"
    r"(?:articles?|papers?|reports?|communications?|letters?|reviews?|manuscripts?|research|notes?|editorial|"
    r"perspectives?|commentary|correspondence|versions?|studies|study|preprints?)(?:\W+open access)?|"
    r"open access.*|r ?e ?s ?e ?a ?r ?c ?h a ?r ?t ?i ?c ?l ?e.*|r e s e a r c h.*|r e v i e w.*|"
    r"(?:journal )?pre-?\W?proofs?|article in press|uncorrected proof|in press|(?:.* )?preprints?(?: .*)?|"
    r".*\bworking papers?(?: series)?|"
    r"published .*|received.*|accepted.*|submitted.*|https?:.*|www\..*|doi:.*|arxiv:.*|vol(?:ume|\.).*|no\. \d+.*|"
    r"issn.*|isbn.*|copyright.*|©.*|contents lists available.*|sciencedirect|elsevier|springer\w*|wiley.*|"
    r"see discussions, stats.*|check for updates|.*technical report.*\d.*|"
    r"(?:ph\.?\s?d\.?|doctoral|master'?s?|bachelor'?s?)\W+(?:thesis|dissertation)|dissertation|"
    r"diplomarbeit|masterarbeit|bachelorarbeit|proefschrift|thèse.*|.*διπλωματική εργασία|"
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december)\W+\d.*|\W*\d[\d\W]*",
    re.IGNORECASE,
)
# Where it was published, and a name whose surname is in capitals: a title only if nothing else is.
_PLACE = re.compile(
    r"(?:in )?(?:proceedings|proc\.) .*|.*\bproceedings\b.*\b(?:conference|workshop|meeting|symposium)\b.*|"
    r"(?:the )?(?:\w+ ){0,3}journal(?: of| for|$).*|(?:annals|archives|transactions|advances|frontiers|acta|bulletin|"
    r"communications|letters|reviews?|annual review|lecture notes|encyclopedia|trends|progress|current opinion)"
    r" (?:of|in|on|for|the) \w+(?: \w+){0,4}|ieee .*|acm .*|plos \w+|bmc \w+(?: \w+)?|nature(?: \w+)?|science(?: \w+)?|"
    r"cell(?: \w+)?|the lancet.*|scientific reports|elife|peerj.*|.*\buniversit\w+\b.{0,40}|.*\buniversität\b.{0,40}|"
    r".*\b(?:conference|workshop|symposium|meeting) (?:on|of) .*\b(?:19|20)\d\d\b.*|"
    r"(?-i:(?:[A-ZÀ-Ý][a-zà-ÿ'’-]+ ){1,3}[A-ZÀ-Ý'’-]{3,})",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class _Block:
    """Lines that follow each other in one size."""

    text: str
    size: float


def find_title(metadata: str | None, pages: Sequence[Sequence[Line]], fallback: str) -> str:
    """What stands large on the first pages; what the file states if that stands there too, or nothing large does.

    Args:
        metadata: what the file says of itself.
        pages: of the document, without running heads.
        fallback: where nothing looks like a title.
    """
    first = [page for page in pages[:PAGES_LOOKED_AT] if any(_LETTERS.search(line.text) for line in page)]
    first = first[:PAGES_WITH_TEXT]
    body = body_style([list(page) for page in pages]).size
    blocks = [_blocks(page) for page in first]
    printed = _printed_title(blocks, body)
    stated = clean_characters(metadata or "")
    if not _plausible_title(stated) or not _mostly_in(stated, first):
        return _shorten(printed or _first_line(first) or (stated if _plausible_title(stated) else fallback))
    return _shorten(_agreed(stated, printed, [block for page in blocks for block in page], body))


def marked_title(title: str | None) -> str:
    """A title as the text itself marks it, fit to be shown; empty if there is none."""
    return _shorten(clean_characters(title or ""))


def _agreed(stated: str, printed: str, blocks: Sequence[_Block], body: float) -> str:
    """The better of two titles, of which the stated one stands somewhere on the first pages."""
    ours, theirs = _letters(printed), _letters(stated)
    if not ours or ours == theirs:
        return stated
    if theirs in ours:
        return printed
    if theirs.startswith(ours):  # and goes on with the author or the place
        ends = [end for end in range(1, len(stated) + 1) if len(_letters(stated[:end])) == len(ours)]
        return stated[: ends[0]]
    words = _words(stated)
    in_type = [block.size for block in blocks if _share(words, _words(block.text)) >= SAME_TITLE]
    # A running foot states the proceedings, in type that is smaller than the text.
    prominent = max(in_type, default=0.0) >= body and not _PLACE.fullmatch(stated)
    return stated if prominent else printed


def _printed_title(pages: Sequence[Sequence[_Block]], body: float) -> str:
    """The largest lines that say something, on the first page that has such lines."""
    places = ""
    for blocks in pages:
        large = sorted(
            (block for block in blocks if block.size > LARGER * body), key=lambda block: -block.size
        )
        # The page of a declaration or of the contents is no title page.
        if large and named_kind(large[0].text) in ("front", "back"):
            continue
        for block in large:
            if not _says_something(block.text) or _BANNER.fullmatch(block.text) or named_kind(block.text):
                continue
            if not _PLACE.fullmatch(block.text):
                return block.text
            places = places or block.text
    return places


def _blocks(page: Sequence[Line]) -> list[_Block]:
    """The lines of a page, joined where they are set alike and near each other."""
    groups: list[list[Line]] = []
    for line in page:
        if not line.size or not _LETTERS.search(line.text) or _BANNER.fullmatch(line.text):
            continue
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and abs(last.size - line.size) <= SAME_SIZE * line.size
            and abs(last.y - line.y) <= SAME_BLOCK * line.size
        ):
            groups[-1].append(line)
        else:
            groups.append([line])
    texts = (" ".join(line.text for line in group) for group in groups)
    return [
        _Block(re.sub(r"(?<=[a-z])- (?=[a-z])", "", text), group[0].size)
        for text, group in zip(texts, groups)
    ]


def _says_something(text: str) -> bool:
    letters = len(_letters(text))
    return letters >= LEAST_LETTERS or (letters >= LEAST_IDEOGRAPHS and not text.isascii())


def _first_line(pages: Sequence[Sequence[Line]]) -> str:
    """The first lines that may be a title, in files without larger type; not one that goes on from something."""
    for page in pages:
        for number, line in enumerate(page):
            text = line.text
            if len(_LETTERS.findall(text)) < 2 or _BANNER.fullmatch(text) or named_kind(text):
                continue
            bold = [each.text for each in takewhile(lambda each: each.bold, page[number:])]
            if bold and len(bold) <= BOLD_LINES:
                return " ".join(bold)
            return "" if text[:1].islower() and text.endswith("-") else text
    return ""


def _plausible_title(title: str) -> bool:
    letters = sum(map(len, _LETTERS.findall(title)))
    return (
        letters >= 6 and letters > 0.5 * len(title) - title.count(" ") and not _NOT_A_TITLE.fullmatch(title)
    )


def _mostly_in(title: str, pages: Sequence[Sequence[Line]]) -> bool:
    """Whether the words of a stated title are on the first pages: templates state those of others."""
    there = {word for page in pages for line in page for word in _words(line.text)}
    return not there or _share(_words(title), there) >= SAME_TITLE


def _share(words: Sequence[str], there: Sequence[str] | set[str]) -> float:
    known = set(there)
    return sum(word in known for word in words) / max(1, len(words))


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _LETTERS.findall(text)]


def _letters(text: str) -> str:
    return "".join(_words(text))


def _shorten(title: str) -> str:
    title = re.sub(r"^title:\s*|[\s*∗†‡§¶]+$", "", title, flags=re.IGNORECASE)
    if len(title) <= TITLE_CHARACTERS:
        return title
    return title[: TITLE_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip() + "…"
