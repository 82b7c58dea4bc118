"""Summary -> the blocks that every written form of it has in common: headings, paragraphs, passages, facts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from app.summarizing.settings import SETTINGS
from app.summarizing.summary import Evidence, Part, Sentence, Summary

QUOTED = "Every sentence stands in the paper word for word, on the page named."
CAUTION = "The passages are those that the model attended to most; attention is a hint, not a proof."
INCOMPLETE = "The summary was stopped before its end: what is missing has not been written."
UNSUPPORTED = "Not in what the model read: {words}. Check it in the paper."
HEADINGS = {"tldr": "TL;DR", "summary": "Summary", "section": "Section by section"}
LEAST_SCORE = 0.005  # a passage with less of the attention would be listed with "0 %"


@dataclass(frozen=True)
class Block:
    """A piece of text that stands by itself. All white space in it is single spaces."""

    kind: Literal["title", "heading", "subheading", "paragraph", "numbered", "passage", "fact"]
    text: str
    number: int = 0
    """Of a numbered one, from 1."""


def blocks(summary: Summary, *, passages: bool = True) -> Iterator[Block]:
    """All of a summary, in reading order.

    Args:
        passages: whether the passages that each sentence rests on are quoted, too.
    """
    document = summary.document
    yield _block("title", document.title or document.name)
    yield _block("paragraph", about_file(summary))
    if not summary.complete:
        yield _block("paragraph", INCOMPLETE)
    yield from written(summary)
    if passages:
        yield _block("heading", "Where it comes from")
        for number, sentence in enumerate(summary.sentences, start=1):
            yield Block("numbered", _one_line(sentence.text), number)
            for line in passage_lines(sentence):
                yield _block("passage", line)
    yield _block("paragraph", caution(summary))
    yield _block("heading", "How it was made")
    for line in facts(summary):
        yield _block("fact", line)


def written(summary: Summary) -> Iterator[Block]:
    """What was written: TL;DR, summary, sections, each sentence with its pages."""
    last = ""
    for part in summary.parts:
        if part.kind != last:
            yield _block("heading", HEADINGS[part.kind])
        last = part.kind
        if part.kind == "section":
            yield _block("subheading", heading(summary, part))
        yield _block("paragraph", " ".join(map(cited, part.sentences)))


def plain(summary: Summary) -> str:
    """What was written and nothing else, with its pages: for a terminal and for the clipboard."""
    lines: list[str] = []
    for block in written(summary):
        lines += [block.text] if block.kind == "subheading" or block.kind == "heading" else [block.text, ""]
    return "\n".join(lines).strip()


def cited(sentence: Sentence) -> str:
    """A sentence with the pages that it rests on: "It is so. (p. 4)"."""
    reference = page_reference(sentence)
    return sentence.text + (f" ({reference})" if reference else "")


def page_reference(sentence: Sentence) -> str:
    """ "p. 4", "pp. 3, 4", or nothing where no passage supports the sentence."""
    pages = sorted({passage.page for passage in shown_evidence(sentence)})
    return ("p. " if len(pages) == 1 else "pp. ") + ", ".join(map(str, pages)) if pages else ""


def shown_evidence(sentence: Sentence) -> Sequence[Evidence]:
    """The passages that are worth showing."""
    return [passage for passage in sentence.evidence if passage.score >= LEAST_SCORE]


def passage_lines(sentence: Sentence) -> list[str]:
    """A line for each passage that the sentence rests on, and one for its words that stand nowhere."""
    shown = shown_evidence(sentence)
    if sentence.quoted:
        return [f"page {shown[0].page}, quoted"]
    lines = [f"page {passage.page} ({passage.score:.0%}): {passage.quote}" for passage in shown]
    words = ", ".join(sentence.text[start:end] for start, end in sentence.unsupported)
    return (lines or ["No passage of the paper stands out."]) + (
        [UNSUPPORTED.format(words=words)] if words else []
    )


def heading(summary: Summary, part: Part) -> str:
    """Of a section, with the page on which it begins."""
    return f"{part.heading} (p. {summary.document.page_of(part.start)})"


def caution(summary: Summary) -> str:
    """What to make of the passages."""
    return QUOTED if summary.settings.writing == "quotes" else CAUTION


def about_file(summary: Summary) -> str:
    """The file and its length."""
    pages = len(summary.document.pages)
    return f"{summary.document.name}, {pages} page{'' if pages == 1 else 's'}"


def facts(summary: Summary) -> list[str]:
    """What was read and left out, the model, the settings that had an effect."""
    values = vars(summary.settings)
    settings = "; ".join(
        f"{setting.label.lower()} {values[name]}"
        for name, setting in SETTINGS.items()
        if name != "seed" and setting.has_effect(values)
    )
    return [
        *summary.notes,
        f"Model {summary.settings.model}; {summary.seconds:.0f} seconds.",
        f"Settings: {settings}.",
    ]


def _block(
    kind: Literal["title", "heading", "subheading", "paragraph", "passage", "fact"], text: str
) -> Block:
    return Block(kind, _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())
