"""Keeps a tab in step with what is done for its visitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import gradio as gr

from app.page.streaming import Update
from app.page.visitors import Tab

REFRESH = 0.12  # seconds between two looks: quick enough for words, easy on the network
WAIT = 1.0  # between two looks at whether anybody is there, while nothing changes

View: TypeAlias = Callable[[Tab, Update], Update]
"""What a panel shows of a tab as it is now: each of its components with its whole value, the same ones each time.
The second argument is what the settings' controls say."""


def follow(tab: Tab, values: Update, views: Sequence[View]) -> Iterator[Update]:
    """What the page shows, now and whenever it changes, until no work is left or the tab turns to something else.

    In between only what has changed since the beginning is sent: somebody may be reading the rest. A browser that is
    busy draws the latest only of what arrives meanwhile, so the end is sent whole again.
    """
    showing, version = tab.turn(), -1
    last: Update = {}
    changed: set[Any] = set()
    while True:
        version = tab.visitor.desk.wait(version, WAIT)
        if last and _left(tab, showing):
            break
        working = tab.visitor.working  # before the look: what is seen then is the end of it
        now: Update = {}
        for view in views:
            now |= view(tab, values)
        if _left(tab, showing):  # maybe during the look
            last = now
            break
        changed |= {component for component in last if now[component] != last[component]}
        if not last or not working:
            yield now
        elif now != last:
            yield {component: now[component] for component in changed}
        last = now
        if not working:
            if _left(tab, showing):  # since that was sent
                break
            return
        time.sleep(REFRESH)
    # When an event ends, Gradio sends its last update again: what came before would then be the last word.
    yield {component: gr.skip() for component in last}


def _left(tab: Tab, showing: int) -> bool:
    """Whether a tab was closed or turned to something else since."""
    return tab.showing != showing or tab.closed
