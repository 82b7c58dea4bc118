"""The second tab of the page: the attention of the model that wrote the summary, down to single tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app.inspecting import figures, inspector
from app.inspecting.inspection import (
    CLOSEST,
    ZOOM,
    Inspection,
    answer,
    around,
    extent,
    figure,
    shown_range,
    title,
    within,
)
from app.inspecting.views import ALL_HEADS, VIEWS, Question
from app.models import ModelStore
from app.page import presentation
from app.page.desk import BROKEN
from app.page.parcels import parcel
from app.page.presentation import Status
from app.page.settings_panel import PRIVATE
from app.page.streaming import Update, cumulative
from app.page.summary_panel import SummaryPanel
from app.page.visitors import Tab, Visitors, key_of
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Summary
from app.work import Stopped

STATISTICS: dict[str, tuple[str, figures.Unit]] = {
    "global_share": ("Share of attention on global blocks", "%"),
    "mean_distance": ("Mean distance between query and key", "tokens"),
    "entropy": ("Entropy of the attention", "nats"),
}
FIRST_VIEW = next(iter(VIEWS))
OF_SENTENCE = next(name for name, view in VIEWS.items() if view.of_sentence)  # where a sentence leads to
CAUTION = (
    "Attention shows where a model took information from in one step, not why it wrote what it wrote: "
    "attention is not an explanation."
)
EMPTY = "Summarize a paper first: its attention appears here."

log = logging.getLogger(__name__)


class InspectorPanel:
    """Builds the tab where it is made, inside a `gr.Blocks` context; `wire` connects it to the summary."""

    def __init__(self, store: ModelStore, visitors: Visitors, courier: gr.HTML) -> None:
        self._store = store
        self._visitors = visitors
        self._courier = courier
        self._status = gr.HTML(presentation.status(Status(EMPTY, kind="idle")), elem_id="map-status")
        with gr.Column(visible=False, elem_id="inspector") as self._all:
            with gr.Row(elem_id="inspector-columns"):
                with gr.Column(scale=4, min_width=300):
                    self._part = gr.Dropdown(label="Part of the paper", visible=False, elem_id="part")
                    self._statistic = gr.Dropdown(
                        [(title, name) for name, (title, _) in STATISTICS.items()],
                        value="global_share",
                        label="Every encoder head by",
                        elem_id="statistic",
                    )
                    self._overview = gr.Plot(show_label=False, container=False, elem_id="overview-figure")
                    gr.HTML(presentation.hint("Click a cell to open that head, or choose it here."))
                    with gr.Row():
                        self._layer = gr.Dropdown(label="Layer", min_width=120, elem_id="layer")
                        self._head = gr.Dropdown(label="Head", min_width=120, elem_id="head")
                    self._scale = gr.Dropdown(
                        [("logarithmic", "log"), ("linear", "linear")],
                        value="log",
                        label="Colours",
                        elem_id="scale",
                    )
                with gr.Column(scale=7, min_width=300):
                    self._view = gr.Radio(
                        [(view.label, name) for name, view in VIEWS.items()],
                        value=FIRST_VIEW,
                        show_label=False,
                        container=False,
                        elem_id="view",
                    )
                    self._sentence = gr.Dropdown(
                        label="Sentence of the summary", visible=False, elem_id="sentence"
                    )
                    self._heading = gr.HTML(elem_id="map-heading")
                    self._map = gr.Plot(show_label=False, container=False, elem_id="map-figure")
                    with gr.Row(elem_id="zoom"):
                        self._from = gr.Number(0, label="From token", precision=0, minimum=0, min_width=100)
                        self._count = gr.Number(
                            CLOSEST, label="Tokens shown", precision=0, minimum=1, min_width=100
                        )
                        self._page = gr.Dropdown(label="Go to", min_width=140, elem_id="go-to")
                    with gr.Row(elem_id="map-actions"):
                        small: dict[str, Any] = {"size": "sm", "min_width": 70}
                        self._in = gr.Button("Zoom in", elem_id="zoom-in", **small)
                        self._out = gr.Button("Zoom out", elem_id="zoom-out", **small)
                        self._png = gr.Button("PNG", elem_id="map-png", **small)
                        self._html = gr.Button("HTML", elem_id="map-html", **small)
                        self._npz = gr.Button("NPZ", elem_id="map-npz", **small)
            gr.HTML(presentation.caution(CAUTION))

    def wire(self, tab: gr.Tab, tabs: gr.Tabs, summary: SummaryPanel) -> None:
        """Connects the controls to one another, to the tab and to the chosen sentence."""
        self._chosen = summary.chosen
        asked = {
            self._part, self._statistic, self._view, self._layer, self._head, self._sentence, self._scale,
            self._from, self._count, self._page, self._chosen,
        }  # fmt: skip
        shown = [
            self._status, self._all, self._part, self._overview, self._view, self._layer, self._head,
            self._sentence, self._heading, self._map, self._from, self._count, self._page,
        ]  # fmt: skip

        def on(trigger: Callable[..., Any], handler: Callable[..., Iterator[Update]]) -> None:
            trigger(
                self._guarded(handler),
                asked,
                shown,
                concurrency_limit=4,
                concurrency_id="maps",
                trigger_mode="always_last",
                **PRIVATE,
            )

        on(tab.select, self._enter)
        # A browser may or may not call that a selection of the tab, so both ways lead in.
        on(summary.inspect.click(self._want, self._chosen, tabs, **PRIVATE).then, self._enter)
        on(self._part.input, self._change_part)
        on(self._statistic.input, self._change_statistic)
        for control in (self._view, self._layer, self._head, self._sentence, self._scale):
            on(control.input, self._redraw)
        for number in (self._from, self._count):
            on(number.submit, self._redraw)
            on(number.blur, partial(self._ask, _if_changed))
        on(self._page.input, self._go_to)
        on(self._in.click, partial(self._ask, partial(_zoomed, 1 / ZOOM)))
        on(self._out.click, partial(self._ask, partial(_zoomed, ZOOM)))
        self._courier.click(self._click, asked, shown, concurrency_id="maps", **PRIVATE)
        self._png.click(None, None, None, js="() => window.longt5.png('map-figure', 'attention.png')")
        self._html.click(self._save_html, self._scale, self._courier, **PRIVATE)
        self._npz.click(self._save_npz, None, self._courier, **PRIVATE)

    # What events ask for

    def _want(self, chosen: int, request: gr.Request) -> dict[str, Any]:
        """From a chosen sentence to its cross-attention, by way of `_enter`."""
        self._visitors.tab(key_of(request)).wanted = chosen
        return gr.update(selected="attention")

    def _enter(self, session: Tab, values: Update) -> Iterator[Update]:
        summary, held, chosen = session.summary, session.inspection, session.wanted
        session.wanted = None
        if summary is None:
            session.inspection = None
            yield {**self._line(EMPTY, "idle"), self._all: gr.update(visible=False)}
        elif chosen is not None and 0 <= chosen < len(summary.sentences):
            window = summary.sentences[chosen].window
            if held is None or held.summary is not summary or held.question.window != window:
                asked = Question(window, OF_SENTENCE, 0, ALL_HEADS, chosen, 0, 0)
                yield from self._open(session, summary, asked, values)
            else:
                asked = replace(held.question, view=OF_SENTENCE, sentence=chosen)
                yield from self._show(session, held, asked, values)
        elif (held is None or held.summary is not summary) and session.opening is not summary:
            yield from self._open(session, summary, Question(0, FIRST_VIEW, 0, 0, 0, 0, 0), values)

    def _change_part(self, session: Tab, values: Update) -> Iterator[Update]:
        if session.inspection is not None:
            asked = replace(session.inspection.question, window=values[self._part], start=0, count=0)
            yield from self._open(session, session.inspection.summary, asked, values)

    def _change_statistic(self, session: Tab, values: Update) -> Iterator[Update]:
        if session.inspection is not None:
            yield self._overview_of(session.inspection, values)

    def _ask(
        self, change: Callable[[Inspection, Question], Question | None], session: Tab, values: Update
    ) -> Iterator[Update]:
        """Draws what `change` makes of the question that the controls ask; None leaves the map as it is."""
        held = session.inspection
        asked = None if held is None else change(held, self._question(held, values))
        if held is not None and asked is not None:
            yield from self._show(session, held, asked, values)

    def _redraw(self, session: Tab, values: Update) -> Iterator[Update]:
        return self._ask(lambda held, asked: asked, session, values)

    def _go_to(self, session: Tab, values: Update) -> Iterator[Update]:
        held = session.inspection
        if held is not None:
            spans = {page: (start, end) for page, start, end in held.outline.pages}
            start, end = spans.get(values[self._page], (0, held.outline.tokens))
            asked = replace(self._question(held, values), start=start, count=end - start)
            yield from self._show(session, held, asked, values)

    def _click(self, values: Update, request: gr.Request, event: gr.EventData) -> Iterator[Update]:
        clicked = _overview_cell if event.figure == "overview-figure" else _map_cell
        change = partial(clicked, int(event.row), int(event.column))
        yield from self._guarded(partial(self._ask, change))(values, request)

    # Answers

    def _open(self, session: Tab, summary: Summary, asked: Question, values: Update) -> Iterator[Update]:
        """Fills the tab for one window of a summary: its lists, its overview, its first map."""
        session.opening = summary
        try:
            yield self._line("Reading the attention of every head")
            outline = inspector.outline(self._store, summary, asked.window)
            statistics = inspector.overview(self._store, summary, asked.window, session.begin_maps())
        finally:
            session.opening = None
        asked = within(outline, replace(asked, count=asked.count or outline.tokens))
        held = session.inspection = Inspection(summary, outline, statistics, asked)
        parts = [(f"part {i + 1} of {len(summary.windows)}", i) for i in range(len(summary.windows))]
        views = [(view.label, name) for name, view in VIEWS.items() if view.exists(outline)]
        pages = [("whole text", 0), *((f"page {page}", page) for page, _, _ in outline.pages)]
        heads = [("all heads (mean)", ALL_HEADS), *((f"head {i}", i) for i in range(outline.heads))]
        sentences = [
            (f"{i + 1}. {inspector.shorten(summary.sentences[i].text, 80)}", i) for i in outline.sentences
        ]
        yield {
            self._all: gr.update(visible=True),
            self._part: gr.update(choices=parts, value=asked.window, visible=len(parts) > 1),
            self._view: gr.update(choices=views, value=asked.view),
            self._page: gr.update(choices=pages, value=0),
            self._layer: _layers(outline, asked),
            self._head: gr.update(choices=heads, value=asked.head),
            self._sentence: gr.update(choices=sentences, value=asked.sentence),
        }
        yield from self._show(session, held, asked, values)

    def _show(self, session: Tab, held: Inspection, asked: Question, values: Update) -> Iterator[Update]:
        """Draws the map that is asked for, and the overview with its head framed."""
        asked = within(held.outline, asked)
        view = VIEWS[asked.view]
        controls = {
            self._view: asked.view,
            self._layer: asked.layer,
            self._head: asked.head,
            self._sentence: asked.sentence,
            self._from: asked.start,
            self._count: asked.count,
            self._page: _page_shown(held.outline, asked),
        }
        # A control that already says so is left alone: somebody may be using it by the time this arrives.
        update = {control: value for control, value in controls.items() if values[control] != value}
        if held.labelled is None or asked.view != held.question.view:
            update[self._layer] = _layers(held.outline, asked)
            update[self._sentence] = gr.update(value=asked.sentence, visible=view.of_sentence)
        yield {**self._line("Computing the attention"), **update}
        held.labelled = answer(self._store, held, asked, session.begin_maps())
        held.question = asked
        yield {
            **self._line(held.summary.document.title, "idle"),
            self._heading: presentation.map_heading(
                title(asked), f"{view.caption} Defined in {view.source}.", extent(held)
            ),
            self._map: figures.untitled(figure(held, values[self._scale])),
            **self._overview_of(held, values),
        }

    def _overview_of(self, held: Inspection, values: Update) -> Update:
        name = values[self._statistic]
        heading, unit = STATISTICS[name]
        asked = held.question
        encoder_head = VIEWS[asked.view].stack == "encoder" and asked.head != ALL_HEADS
        framed = (asked.layer, asked.head) if encoder_head else None
        overview = figures.overview_map(
            getattr(held.statistics, name), title=heading, unit=unit, selected=framed
        )
        return {self._overview: figures.untitled(overview)}

    def _question(self, held: Inspection, values: Update) -> Question:
        """What the controls ask for; what an empty one is for stays as it was.

        Numbers can be emptied by whoever types them. A list is empty for a moment when a browser gets its choices
        and its value one after the other.
        """
        asked = {
            "view": values[self._view],
            "layer": values[self._layer],
            "head": values[self._head],
            "sentence": values[self._sentence],
            "start": values[self._from],
            "count": values[self._count],
        }
        return replace(held.question, **{name: value for name, value in asked.items() if value is not None})

    # Files

    def _save_html(self, scale: figures.Scale, request: gr.Request) -> str:
        held = self._drawn(request)
        caption = f"{title(held.question)}. {shown_range(held)}. {held.summary.document.title}. {CAUTION}"
        page = figures.to_html(figure(held, scale), caption)
        return parcel(f"{_stem(held)}.html", "text/html", page.encode("utf-8"))

    def _save_npz(self, request: gr.Request) -> str:
        held = self._drawn(request)
        assert held.labelled is not None
        content = figures.to_npz(figures.arrays(held.labelled))
        return parcel(f"{_stem(held)}.npz", "application/octet-stream", content)

    def _drawn(self, request: gr.Request) -> Inspection:
        session = self._visitors.tab(key_of(request))
        held = None if session is None else session.inspection
        if held is None or held.labelled is None:
            raise gr.Error("The map is no longer here: please open it again.", print_exception=False)
        return held

    def _line(self, words: str, kind: Any = "busy") -> Update:
        return {self._status: presentation.status(Status(words, kind=kind))}

    def _guarded(self, handler: Callable[..., Iterator[Update]]) -> Callable[..., Iterator[Update]]:
        """The handler with its session looked up, whose failures become the status line."""

        def run(values: Update, request: gr.Request) -> Iterator[Update]:
            session = self._visitors.tab(key_of(request))
            yield {self._status: gr.skip()}  # Gradio empties every output of a generator that yields nothing
            try:
                yield from handler(session, values)
            except SummaryError as error:
                yield self._line(str(error), "error")
            except Stopped:
                return  # for the sake of a later question, whose answer is what the page shows
            except Exception:
                log.exception("unexpected error")
                yield self._line(BROKEN, "error")

        def cumulated(values: Update, request: gr.Request) -> Iterator[Update]:
            yield from cumulative(run(values, request))

        return cumulated


def _if_changed(held: Inspection, asked: Question) -> Question | None:
    """Leaving a field that was not changed asks for nothing."""
    return asked if asked != held.question else None


def _zoomed(times: float, held: Inspection, asked: Question) -> Question:
    middle = asked.start + asked.count // 2
    return around(held.outline, asked, middle, round(asked.count * times))


def _overview_cell(row: int, column: int, held: Inspection, asked: Question) -> Question:
    """A click on a head opens it."""
    view = asked.view if VIEWS[asked.view].stack == "encoder" else FIRST_VIEW
    return replace(asked, view=view, layer=row, head=column)


def _map_cell(row: int, column: int, held: Inspection, asked: Question) -> Question | None:
    """A click on a cell of the map comes closer to it."""
    if held.labelled is None:
        return None
    shown = held.labelled.map
    rows = VIEWS[held.question.view].zoomed == "rows"
    spans, cell = (shown.row_spans, row) if rows else (shown.column_spans, column)
    if not 0 <= cell < len(spans) or asked.count <= CLOSEST:
        return None
    return around(held.outline, asked, int(spans[cell].mean()), asked.count // ZOOM)


def _layers(outline: inspector.Outline, asked: Question) -> dict[str, Any]:
    """The list of layers: choices and value always go together."""
    choices = [(f"layer {i}", i) for i in range(VIEWS[asked.view].layers(outline))]
    return gr.update(choices=choices, value=asked.layer)


def _page_shown(outline: inspector.Outline, asked: Question) -> int | None:
    """The entry of the list of pages that is just what is shown: 0 for the whole text, None for any other part."""
    shown = (asked.start, asked.end)
    if shown == (0, outline.tokens):
        return 0
    return next((page for page, start, end in outline.pages if (start, end) == shown), None)


def _stem(held: Inspection) -> str:
    asked = held.question
    head = "all" if asked.head == ALL_HEADS else str(asked.head)
    paper = Path(held.summary.document.name).stem or "paper"
    return f"{paper}-{asked.view}-layer{asked.layer}-head{head}-token{asked.start}"
