"""What the page says of its work, as HTML, and the one way for words of a paper or of a model into it: `text`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.documents.document import MiB
from app.documents.downloads import Downloading
from app.export.web_page import as_html
from app.page.papers import Progress
from app.summarizing.summary import (
    Done,
    LoadingModel,
    Queued,
    Read,
    Reading,
    Working,
)


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
    return as_html(value)


def status_of(event: Progress) -> Status:
    """The line that stands for an event."""
    if isinstance(event, Downloading):
        return _downloading(event)
    if isinstance(event, Queued):
        phase = "Waiting to be read" if event.to_be_read else "Waiting for the model"
        wait = "" if event.seconds is None else f", about {_roughly(event.seconds)}"
        return Status(phase, f"place {event.position} in the queue{wait}")
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
        f"in {duration(event.summary.seconds)}. Click a sentence to see where it comes from.",
        kind="done",
    )


def _downloading(event: Downloading) -> Status:
    received = f"{event.received / MiB:.1f} MB"
    if event.total is None:
        return Status(f"Fetching from {event.host}", received)
    return Status(
        f"Fetching from {event.host}",
        f"{received} of {event.total / MiB:.1f} MB",
        event.received / event.total,
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


def count(number: int, noun: str) -> str:
    """`1 page`, `2 pages`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def duration(seconds: float) -> str:
    """Seconds, or minutes where those are many."""
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


def _roughly(seconds: float) -> str:
    """A time as one would say it."""
    return f"{max(1.0, seconds):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
