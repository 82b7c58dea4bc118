"""A paper and its summary as HTML: what was found in it, what of it is read, its sentences with their pages.

Words of a paper or of a model go through `text`, without exception: they are shown, never interpreted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

from app import export
from app.documents import Document, LeftOut, left_out
from app.documents.page_numbers import page_list
from app.page.presentation import count, duration, text
from app.summarizing.plan import INCLUDING
from app.summarizing.positions import length_in_words
from app.summarizing.settings import SummarySettings
from app.summarizing.summary import Evidence, Part, Sentence, Summary

State = Literal["growing", "stopped", "done"]
HEADINGS = {"tldr": "TL;DR", "summary": "Summary", "section": "Section by section"}
UNSUPPORTED = "not found in the paper"
SWITCHES = tuple(dict.fromkeys(INCLUDING.values()))


def found(document: Document, settings: SummarySettings, barrier: str | None = None) -> str:
    """What was found in a file, and what of it will be read: title, size, what is left out, notes.

    Args:
        barrier: why the model does not read it, if it is in a language that it does not know.
    """
    words = round(sum(length_in_words(document.text[start:end]) for start, end in document.body_ranges))
    facts = [count(len(document.pages), "page"), f"about {count(_round(words), 'word')}"]
    if document.name != document.title:
        facts.insert(0, document.name)
    return (
        '<section class="found" aria-label="The paper">'
        f'<h2 dir="auto">{text(document.title or document.name)}</h2>'
        f'<p class="facts">{" · ".join(map(text, facts))}</p>'
        f'<p class="reads">{text(barrier) if barrier else _reads(document, settings)}</p>'
        f"{_notes(document.notes)}</section>"
    )


def parts(
    written: Sequence[Part], document: Document, paper: str, state: State = "growing", plain: str = ""
) -> str:
    """The parts of a summary: each sentence is a button that shows its evidence, behind it the pages of that.

    Args:
        paper: names what it is a summary of; with another one the browser forgets what was chosen.
        state: "growing" while more is to come, "stopped" if more was to come.
        plain: what Copy copies.
    """
    shown = []
    first = 0
    for kind, group in groupby(written, key=lambda part: part.kind):
        shown.append(f'<h3 class="kind">{HEADINGS[kind]}</h3>' if kind == "section" else "")
        for part in group:
            shown.append(_part(part, document, first))
            first += len(part.sentences)
    return (
        f'<div class="summary" id="summary-text" data-state="{state}" data-paper="{text(paper)}" '
        f'data-plain="{text(plain)}">'
        f"{''.join(shown)}</div>"
    )


def summary(finished: Summary, paper: str) -> str:
    """The finished summary, and one line about what was read for it."""
    state: State = "done" if finished.complete else "stopped"
    notes = [note for note in finished.notes if note not in finished.document.notes]
    return (
        f"{parts(finished.parts, finished.document, paper, state, export.plain(finished))}"
        f'<p class="facts">{text(_extent(finished))}</p>{_notes(notes)}'
    )


def listed(sentence: Sentence) -> tuple[Evidence, ...]:
    """The passages that are worth a look: those whose share does not round to nothing."""
    return tuple(passage for passage in sentence.evidence if round(100 * passage.score) >= 1)


def _reads(document: Document, settings: SummarySettings) -> str:
    """What is read and what is not, and the switches that change it."""
    surroundings = left_out(document)
    skipped = [each for each in surroundings if not getattr(settings, INCLUDING[each.kind])]
    pages = "the whole page" if len(document.pages) == 1 else f"all {len(document.pages):,} pages"
    said = f"Reads {pages}"
    if skipped:
        said += "; leaves out " + ", ".join(f"{each.what} ({page_list(each.pages)})" for each in skipped)
    return text(said) + "." + "".join(_switches(surroundings, settings))


def _switches(surroundings: Sequence[LeftOut], settings: SummarySettings) -> Iterator[str]:
    for setting in dict.fromkeys(INCLUDING[each.kind] for each in surroundings):
        what = "the reference list" if setting == "include_references" else "front and back matter"
        words = f"leave {what} out" if getattr(settings, setting) else f"read {what} too"
        yield f' <button type="button" class="link" data-switch="{setting}">{words}</button>'


def _part(part: Part, document: Document, first: int) -> str:
    sentences = " ".join(
        _sentence(sentence, document, number) for number, sentence in enumerate(part.sentences, first)
    )
    if part.kind != "section":
        return (
            f'<section class="part part-{part.kind}"><h3>{HEADINGS[part.kind]}</h3>'
            f'<p dir="auto">{sentences}</p></section>'
        )
    return (
        f'<details class="part part-section" open>'
        f'<summary><h4 dir="auto">{text(part.heading or "Beginning")}</h4></summary>'
        f'<p dir="auto">{sentences}</p></details>'
    )


def _sentence(sentence: Sentence, document: Document, number: int) -> str:
    passages = listed(sentence)
    labels = [document.pages[passage.page - 1].label for passage in passages]
    data = [
        [passage.start, passage.end, passage.page, label, round(passage.score, 3), sentence.quoted]
        for passage, label in zip(passages, labels)
    ]
    # One of each page, leading to the best passage there.
    chips = "".join(
        f'<button type="button" class="chip" data-sentence="{number}" data-passage="{labels.index(label)}" '
        f'aria-label="Where this stands: page {text(label)}">p. {text(label)}</button>'
        for label in dict.fromkeys(labels)
    )
    return (
        f'<span class="sentence" role="button" tabindex="0" aria-pressed="false" data-sentence="{number}" '
        f'data-passages="{text(json.dumps(data))}">{_words(sentence)}</span>{chips}'
    )


def _words(sentence: Sentence) -> str:
    """Its text, with a word of caution at what stands nowhere in the paper."""
    pieces = []
    end = 0
    for start, after in sentence.unsupported:
        pieces.append(text(sentence.text[end:start]))
        pieces.append(
            f'<span class="unsupported" title="{UNSUPPORTED}">{text(sentence.text[start:after])}'
            f'<span class="visually-hidden"> ({UNSUPPORTED})</span></span>'
        )
        end = after
    return "".join(pieces) + text(sentence.text[end:])


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{text(note)}</li>" for note in notes)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _extent(finished: Summary) -> str:
    pages = page_list(finished.pages_read)
    left = f", {finished.tokens_left_out:,} left out" if finished.tokens_left_out else ""
    return (
        f"Read {finished.tokens_read:,} tokens{left} · {pages} · {duration(finished.seconds)} · "
        f"{finished.settings.model}"
    )


def _round(number: int) -> int:
    """Two leading digits are all that an estimate deserves."""
    step = 10 ** max(0, len(str(number)) - 2)
    return round(number / step) * step
