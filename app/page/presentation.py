"""What the page says: events, papers, sentences and evidence as HTML, every text in it escaped.

This is the only module that writes HTML for the page. Words of a paper or of a model go through
`text`, without exception: they are shown, never interpreted.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.documents import Document
from app.documents.page_numbers import page_list
from app.summarizing.summary import (
    Done,
    Event,
    Evidence,
    LoadingModel,
    Part,
    Queued,
    Read,
    Reading,
    Sentence,
    Summary,
    Working,
)

SCORES = (
    "Scores are shares of the model\u2019s attention while it wrote the sentence. They point to places to "
    "check; they do not prove the sentence."
)
QUOTED = "The sentence stands in the paper word for word. What it means there, the words around it tell."
CONTEXT = 240  # characters of the paper shown on either side of a passage


@dataclass(frozen=True)
class Status:
    """One line about what is going on."""

    phase: str
    """Said once by screen readers; it stays the same while only figures change."""
    detail: str = ""
    """The changing part, for the eye."""
    fraction: float | None = None
    """0..1 of this phase, None while unknown."""
    kind: Literal["idle", "busy", "done", "error"] = "busy"


def text(value: object) -> str:
    """A value as HTML that shows it letter by letter."""
    letters = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in str(value))
    return html.escape(letters, quote=True)


def status_of(event: Event) -> Status:
    """The line that stands for an event."""
    if isinstance(event, Queued):
        return Status("Waiting for the model", f"place {event.position} in the queue")
    if isinstance(event, Reading):
        if event.pages is None:
            return Status("Reading the file", f"page {event.page}" if event.page else "")
        phase = "Recognizing text on pictures of pages" if event.recognizing else "Reading the file"
        return Status(phase, f"page {event.page} of {event.pages}", event.page / max(event.pages, 1))
    if isinstance(event, Read):
        return Status("The paper has been read")
    if isinstance(event, LoadingModel):
        return Status("Loading the model", event.name)
    if isinstance(event, Working):
        doing = {
            "reading": "Reading",
            "writing": "Writing about",
            "looking up": "Looking up where it comes from:",
        }
        detail = f"{event.what} · {event.fraction:.0%}" + _left(event.seconds_left)
        return Status(doing[event.doing], detail, event.fraction)
    assert isinstance(event, Done)
    return Status(
        "Done",
        f"in {_time(event.summary.seconds)}. Click a sentence to see where it comes from.",
        kind="done",
    )


def status(line: Status) -> str:
    """The status line; its `role=status` part changes with the phase only, so readers are not flooded."""
    role = "alert" if line.kind == "error" else "status"
    bar = ""
    if line.kind == "busy":
        # without a value the bar runs, which says "busy, end unknown"
        value = "" if line.fraction is None else f' value="{line.fraction:.3f}"'
        bar = f'<progress max="1"{value} aria-label="{text(line.phase)}"></progress>'
    detail = f' <span class="status-detail">{text(line.detail)}</span>' if line.detail else ""
    return (
        f'<div class="status status-{line.kind}"><p><span class="status-phase" role="{role}">'
        f"{text(line.phase)}</span>{detail}</p>{bar}</div>"
    )


def found(document: Document) -> str:
    """What was found in a file: title, size, what is left out, notes."""
    words = sum(len(document.text[start:end].split()) for start, end in document.body_ranges)
    facts = [_count(len(document.pages), "page"), f"about {_count(_round(words), 'word')}"]
    if document.references is not None:
        first = document.page_of(document.references[0])
        facts.append(f"reference list from page {first} left out")
    name = f'<p class="found-name">{text(document.name)}</p>' if document.name != document.title else ""
    facts_line = " \u00b7 ".join(map(text, facts))
    return (
        '<section class="found" aria-label="The paper">'
        f"<h2>{text(document.title or document.name)}</h2>{name}"
        f'<p class="facts">{facts_line}</p>{_notes(document.notes)}</section>'
    )


def parts(written: Sequence[Part]) -> str:
    """The parts of a summary: each sentence is a button that shows its evidence."""
    shown = []
    number = 0
    for part in written:
        sentences = []
        for sentence in part.sentences:
            sentences.append(
                f'<span class="sentence" role="button" tabindex="0" aria-pressed="false" '
                f'data-sentence="{number}">{text(sentence.text)}</span>'
            )
            number += 1
        heading = f"<h3>{text(part.heading)}</h3>" if part.heading else ""
        shown.append(f'<section class="part-{part.kind}">{heading}<p>{" ".join(sentences)}</p></section>')
    return f'<div class="summary" id="summary-text">{"".join(shown)}</div>'


def summary(finished: Summary) -> str:
    """The finished summary, and what was read for it."""
    return f'{parts(finished.parts)}<p class="facts">{text(_extent(finished))}</p>{_notes(finished.notes)}'


def evidence(document: Document, sentence: Sentence) -> str:
    """The passages a sentence rests on, each with its page, its score and the words around it."""
    if not sentence.evidence:
        passages = "<p>No passage of the paper stands out for this sentence.</p>"
    else:
        items = (_passage(document, item, quoted=sentence.quoted) for item in sentence.evidence)
        passages = f"<ol>{''.join(items)}</ol>"
    return (
        '<section class="evidence" aria-label="Where the sentence comes from">'
        f"<h3>Where this comes from</h3><blockquote>{text(sentence.text)}</blockquote>{passages}"
        f"{caution(QUOTED if sentence.quoted else SCORES)}</section>"
    )


def hint(words: str) -> str:
    """A quiet line that explains what is next to it."""
    return f'<p class="hint">{text(words)}</p>'


def map_heading(title: str, explained: str, extent: str) -> str:
    """What a map shows, how to read it, and which part of the paper it covers."""
    return (
        f'<h3 class="map-title">{text(title)}</h3><p class="hint">{text(explained)}</p>'
        f'<p class="facts">{text(extent)}</p>'
    )


def caution(words: str) -> str:
    """A line that says what something is not."""
    return f'<p class="caution">{text(words)}</p>'


def _passage(document: Document, item: Evidence, *, quoted: bool) -> str:
    before = document.text[max(0, item.start - CONTEXT) : item.start]
    after = document.text[item.end : item.end + CONTEXT]
    if item.start > CONTEXT:
        before = "\u2026" + before.partition(" ")[2]
    if item.end + CONTEXT < len(document.text):
        after = after.rpartition(" ")[0] + "\u2026"
    meter = f'<meter min="0" max="1" value="{item.score:.3f}" aria-hidden="true"></meter>'
    score = "quoted" if quoted else f"{meter}{item.score:.0%} of its attention"
    return (
        f'<li><p class="passage-head"><span class="page">Page {item.page}</span>'
        f'<span class="score">{score}</span></p>'
        f'<p class="passage">{text(before)}<mark>{text(document.text[item.start : item.end])}</mark>'
        f"{text(after)}</p></li>"
    )


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{text(note)}</li>" for note in notes)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _extent(finished: Summary) -> str:
    pages = page_list(finished.pages_read)
    left = f", {finished.tokens_left_out:,} left out" if finished.tokens_left_out else ""
    return f"Read {finished.tokens_read:,} tokens{left} \u00b7 {pages} \u00b7 {finished.settings.model}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _round(number: int) -> int:
    """Two leading digits are all that an estimate deserves."""
    step = 10 ** max(0, len(str(number)) - 2)
    return round(number / step) * step


def _time(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 5:
        return " \u00b7 a few seconds left"
    if seconds < 90:
        return f" \u00b7 about {5 * round(seconds / 5)} s left"
    return f" \u00b7 about {round(seconds / 60)} min left"
