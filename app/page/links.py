"""Links to a view: which paper of the browser's own, which sentence, which layer and head."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qs, urlencode

_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NUMBER = re.compile(r"-?[0-9]{1,9}")


@dataclass(frozen=True)
class Look:
    """What of a paper is looked at; None for what has not been chosen."""

    sentence: int | None = None
    """Index into `Summary.sentences`."""
    view: str | None = None
    """Key of `app.inspecting.views.VIEWS`; None while the attention is not looked at."""
    layer: int | None = None
    head: int | None = None
    """-1 for the mean of all."""
    window: int | None = None
    start: int | None = None
    """First token shown."""
    count: int | None = None
    """How many tokens are shown."""


def query_of(paper_id: str, look: Look = Look()) -> str:
    """The query of a link, with its question mark: `?paper=ID&sentence=3&view=band&layer=4&head=1`."""
    chosen = {name: value for name, value in vars(look).items() if value is not None}
    return "?" + urlencode({"paper": paper_id, **chosen})


def parse(query: Any) -> tuple[str | None, Look]:
    """The paper and the view that a query names, in any order and with anything else around it.

    Whatever can't be used is left out: links are edited, cut off and mangled by mailers. What does come out is of the
    right type but need not exist.
    """
    given: Mapping[str, list[str]] = {}
    if isinstance(query, str):
        try:
            given = parse_qs(query[:2000].lstrip("?"), max_num_fields=50)
        except ValueError:  # too many fields
            given = {}
    found: dict[str, Any] = {}
    for name in ("paper", *(field.name for field in fields(Look))):
        value = given.get(name, [""])[-1]
        pattern = _WORD if name in ("paper", "view") else _NUMBER
        if pattern.fullmatch(value):
            found[name] = value if pattern is _WORD else int(value)
    return found.pop("paper", None), Look(**found)
