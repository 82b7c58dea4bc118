"""The list of a visitor's papers as HTML, every text in it escaped."""

from __future__ import annotations

from collections.abc import Sequence

from app.documents.downloads import Downloading
from app.page.papers import Paper
from app.page.presentation import text
from app.summarizing.summary import Queued, Reading, Working

MEGABYTE = 1e6


def shelf(papers: Sequence[Paper], shown: Paper | None, ahead: dict[str, int]) -> str:
    """The list: each paper with its state, a way to open it, to stop it and to delete it.

    Args:
        shown: the one that the tab shows.
        ahead: of a paper that waits, by its id, how many of the same visitor come before it.
    """
    if not papers:
        return ""
    items = "".join(_item(paper, paper is shown, ahead.get(paper.id, 0)) for paper in papers)
    return f'<ul class="shelf" aria-label="Your papers">{items}</ul>'


def state(paper: Paper, ahead: int = 0) -> str:
    """In a few words how far a paper is."""
    if paper.stopping:
        return "stopping"
    if paper.state == "waiting":
        return "waits for its turn" + (f", {ahead} before it" if ahead else "")
    if paper.state in ("reading", "summarizing"):
        return _doing(paper)
    if paper.state == "read":
        return f"{len(paper.document.pages)} pages" if paper.document else "read"
    if paper.state == "stopped":
        return "stopped; what was written is here" if paper.summary else "stopped"
    return {"locked": "needs its password", "done": "summarized", "failed": paper.problem or "failed"}[
        paper.state
    ]


def _doing(paper: Paper) -> str:
    said = paper.progress
    if isinstance(said, Downloading):
        of = f" of {said.total / MEGABYTE:.1f}" if said.total else ""
        return f"fetching, {said.received / MEGABYTE:.1f}{of} MB"
    if isinstance(said, Reading) and said.page:
        return f"reading, page {said.page}" + (f" of {said.pages}" if said.pages else "")
    if isinstance(said, Queued):
        return f"place {said.position} in the queue"
    if isinstance(said, Working):
        return f"summarizing, {said.fraction:.0%}"
    return "reading" if paper.state == "reading" else "summarizing"


def _item(paper: Paper, shown: bool, ahead: int) -> str:
    current = ' aria-current="true"' if shown else ""
    title, key = text(paper.title), text(paper.id)
    name = (
        f'<span class="shelf-name" dir="auto">{text(paper.name)}</span>' if paper.name != paper.title else ""
    )
    stop = _button("stop", key, f"Stop {title}", "\u25a0") if paper.busy and not paper.stopping else ""
    return (
        f'<li class="shelf-{paper.state}"><button type="button" class="shelf-open" data-action="open" '
        f'data-paper="{key}"{current}><span class="shelf-title" dir="auto">{title}</span>{name}'
        f'<span class="shelf-state">{text(state(paper, ahead))}</span></button>'
        f"{stop}{_button('delete', key, f'Delete {title}', chr(0xD7))}</li>"
    )


def _button(action: str, paper_id: str, label: str, sign: str) -> str:
    return (
        f'<button type="button" class="shelf-{action}" data-action="{action}" data-paper="{paper_id}" '
        f'aria-label="{label}" title="{label}">{sign}</button>'
    )
