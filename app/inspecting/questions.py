"""A question about attention, as controls, links, the terminal and files have it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from urllib.parse import parse_qsl, urlencode

ALL_HEADS = -1
WHOLE_SUMMARY = -1


@dataclass(frozen=True)
class Question:
    """Which attention to show."""

    window: int
    """Index into `Summary.windows`."""
    view: str
    """A name in `VIEWS`."""
    layer: int
    """Of the stack that the view is of."""
    head: int
    """`ALL_HEADS` for the mean of all."""
    sentence: int
    """Index into `Summary.sentences`, or `WHOLE_SUMMARY`; of views of the summary's words only."""
    start: int
    """First token of the paper that is shown."""
    count: int
    """How many tokens from there."""
    option: str = ""
    """One of the view's options."""
    sort: str = ""
    """The measure that heads are sorted by; "" for the order of layers and heads."""
    named: str = ""
    """Only heads of this name; "" for all."""

    @property
    def end(self) -> int:
        """The token after the last that is shown."""
        return self.start + self.count

    def to_link(self) -> str:
        """As the part of an address after "#attention="."""
        return urlencode(asdict(self))

    def to_json(self) -> str:
        """As files of numbers have it."""
        return json.dumps(asdict(self))


def changed(question: Question, **said: object) -> Question:
    """The question with what was said; what is None, or not of its kind, stays as it was.

    Numbers can be emptied by whoever types them, a list is empty for a moment when a browser gets its choices and its
    value one after the other, and a link can hold anything.
    """
    kinds = {field.name: type(getattr(question, field.name)) for field in fields(question)}
    kept: dict[str, object] = {}
    for name, value in said.items():
        try:
            kept[name] = kinds[name](value) if value is not None else getattr(question, name)
        except (TypeError, ValueError, OverflowError):
            continue
    return replace(question, **kept)  # type: ignore[arg-type]


def from_link(question: Question, link: str) -> Question:
    """The question that `Question.to_link` wrote, with `question` for what is missing or makes no sense."""
    known = {field.name for field in fields(question)}
    return changed(
        question, **{name: value for name, value in parse_qsl(link, keep_blank_values=True) if name in known}
    )
