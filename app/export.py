"""Summary -> Markdown, plain text or JSON."""

from __future__ import annotations

from app.summary import Summary


def to_text(summary: Summary) -> str:
    """The summary as plain text: title, summary, what was read, each sentence with its pages."""
    raise NotImplementedError


def to_markdown(summary: Summary) -> str:
    """The same as Markdown, text of the paper and of the model escaped so that it shows as it is."""
    raise NotImplementedError


def to_json(summary: Summary) -> str:
    """The same as one JSON object."""
    raise NotImplementedError
