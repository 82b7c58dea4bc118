"""Five steps through the attention tab, for whoever sees it for the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.page import presentation
from app.page.settings_panel import PAGE_EVENT


@dataclass(frozen=True)
class Step:
    """A step of the tour: a figure, and what to see in it."""

    title: str
    words: str
    question: dict[str, Any]
    """What it changes in the question that is shown."""


STEPS = (
    Step(
        "Every head has a habit",
        "Each picture is one head of the encoder, a line of them a layer. Most heads of a trained "
        "model do one thing: look "
        "one token back, a few ahead, or far around. Point at one to see the number behind its name.",
        {"view": "heads", "option": "band", "sort": "", "named": ""},
    ),
    Step(
        "What is a global token?",
        "A paper is too long for every word to see every other. So sixteen tokens at a time are "
        "added up to one global "
        "token, which all words can see. Here heads are sorted by how much they use them; most hardly do.",
        {"view": "heads", "option": "globals", "sort": "global_share", "named": ""},
    ),
    Step(
        "On the words themselves",
        "Point at a word: the words it attends to take colour, underlines mark global blocks, the "
        "strip shows the whole "
        "paper. Click to keep a word. Turn to \u201cis attended by\u201d to ask the other way.",
        {"view": "text", "layer": 0, "head": 0, "start": 0},
    ),
    Step(
        "From the summary to the paper",
        "Each row is a word of the summary being written, each column a place in the paper. Bright "
        "columns are read again "
        "and again; a diagonal is a passage being followed.",
        {"view": "cross", "layer": 0, "head": -1, "option": "attention", "start": 0, "count": 10**9},
    ),
    Step(
        "What this does not show",
        "Attention says where a head took information from, not why the model wrote what it wrote. "
        "Weighed by values, as "
        "here, places whose vectors are short lose their colour: it is closer to what counts, and "
        "still no proof.",
        {"view": "cross", "layer": 0, "head": -1, "option": "norms", "start": 0, "count": 10**9},
    ),
)


class Tour:
    """The steps in a fold that is closed until somebody wants it."""

    def __init__(self) -> None:
        self._buttons = []
        with gr.Accordion("A tour of five steps", open=False, elem_id="tour"):
            self._words = gr.HTML(presentation.hint("Start with 1, or skip it: everything works without."))
            with gr.Row():
                for number, step in enumerate(STEPS, 1):
                    self._buttons.append(gr.Button(f"{number}. {step.title}", size="sm", min_width=150))

    def wire(self) -> Iterator[tuple[Callable[..., Any], dict[str, Any]]]:
        """For each step the trigger and what it asks for; its words are shown without the model."""
        for button, step in zip(self._buttons, STEPS):
            words = presentation.hint(step.words)
            button.click(lambda words=words: words, None, self._words, **PAGE_EVENT)
            yield button.click, step.question
