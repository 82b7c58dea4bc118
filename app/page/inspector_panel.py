"""The second tab of the page: the attention of the model that wrote the summary, down to single tokens."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from app.inspecting import files, inspector
from app.inspecting.drawing import Heatmap, Scale, Tiles
from app.inspecting.figures import MEASURES
from app.inspecting.inspection import (
    CAUTION,
    CLOSEST,
    PAGE_OF_WORDS,
    ZOOM,
    Inspection,
    answer,
    around,
    drawing,
    extent,
    first_question,
    pin,
    title,
    within,
)
from app.inspecting.page_figure import to_fragment
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY, Question, changed, from_link
from app.inspecting.views import VIEWS, Answer
from app.models import ModelStore
from app.page import presentation
from app.page.desk import BROKEN
from app.page.following import WAIT
from app.page.parcels import parcel
from app.page.presentation import Status
from app.page.sent import said_by
from app.page.settings_panel import PAGE_EVENT
from app.page.streaming import Update, cumulative
from app.page.summary_panel import SummaryPanel
from app.page.tour import Tour
from app.page.visitors import Tab, Visitors, key_of
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Summary
from app.work import Stopped, follow

OF_SENTENCE = "cross"  # where a sentence leads to
EMPTY = "Summarize a paper first: its attention appears here."
AWAITED = "The attention appears here when the summary is written."
UNREAD = (
    "No model read this paper: its sentences were quoted by where they stand. There is no attention to show."
)
PIN, UNPIN = "Keep beside", "Let go"

log = logging.getLogger(__name__)


class InspectorPanel:
    """Builds the tab where it is made, inside a `gr.Blocks` context; `wire` connects it to the summary."""

    def __init__(self, store: ModelStore, visitors: Visitors, courier: gr.HTML) -> None:
        self._store = store
        self._visitors = visitors
        self._courier = courier
        self._status = gr.HTML(presentation.status(Status(EMPTY, kind="idle")), elem_id="map-status")
        with gr.Column(visible=False, elem_id="inspector") as self._all:
            self._tour = Tour()
            self._part = gr.Dropdown(label="Summary of", visible=False, elem_id="part")
            self._view = gr.Radio(
                [(view.label, name) for name, view in VIEWS.items()],
                value=next(iter(VIEWS)),
                show_label=False,
                container=False,
                elem_id="view",
            )
            self._heading = gr.HTML(elem_id="map-heading")
            self._build_choices()
            self._map = gr.HTML(elem_id="map-figure")
            self._build_range()
            self._stop = gr.Button("Stop", visible=False, elem_id="map-stop", size="sm")
            with gr.Row(elem_id="map-actions"):
                small: dict[str, Any] = {"size": "sm", "min_width": 60}
                self._in = gr.Button("Zoom in", elem_id="zoom-in", **small)
                self._out = gr.Button("Zoom out", elem_id="zoom-out", **small)
                self._pin = gr.Button(PIN, elem_id="map-pin", **small)
                self._files = {
                    kind: gr.Button(kind.upper(), elem_id=f"map-{kind}", **small) for kind in files.KINDS
                }
                self._link = gr.Button("Link", elem_id="map-link", **small)
            gr.HTML(presentation.caution(CAUTION))

    def _build_choices(self) -> None:
        with gr.Row(elem_id="map-choices"):
            self._option = gr.Dropdown(label="Heads of", min_width=180, elem_id="option")
            self._sort = gr.Dropdown(label="Sorted by", min_width=180, elem_id="sort")
            self._named = gr.Dropdown(label="Show", min_width=150, elem_id="named")
            self._layer = gr.Dropdown(label="Layer", min_width=100, visible=False, elem_id="layer")
            self._head = gr.Dropdown(label="Head", min_width=100, visible=False, elem_id="head")
            self._sentence = gr.Dropdown(
                label="Sentence of the summary", min_width=220, visible=False, elem_id="sentence"
            )
            self._scale = gr.Dropdown(
                [("logarithmic", "log"), ("linear", "linear")],
                value="log",
                label="Colours",
                min_width=110,
                elem_id="scale",
            )

    def _build_range(self) -> None:
        with gr.Row(elem_id="zoom", visible=False) as self._range:
            self._from = gr.Number(0, label="From token", precision=0, minimum=0, min_width=100)
            self._count = gr.Number(CLOSEST, label="Tokens shown", precision=0, minimum=1, min_width=100)
            self._page = gr.Dropdown(label="Go to", min_width=140, elem_id="go-to")

    def wire(self, tab: gr.Tab, tabs: gr.Tabs, summary: SummaryPanel) -> None:
        """Connects the controls to one another, to the tab and to the chosen sentence."""
        asked = {
            self._part, self._view, self._option, self._sort, self._named, self._layer, self._head, self._sentence,
            self._scale, self._from, self._count, self._page,
        }  # fmt: skip
        shown = [
            self._status, self._all, self._part, self._view, self._option, self._sort, self._named, self._layer,
            self._head, self._sentence, self._heading, self._map, self._range, self._from, self._count, self._page,
            self._in, self._out, self._pin, self._stop,
        ]  # fmt: skip

        def on(trigger: Callable[..., Any], handler: Callable[..., Iterator[Update]]) -> None:
            trigger(
                self._guarded(handler),
                asked,
                shown,
                concurrency_limit=4,
                concurrency_id="maps",
                **{**PAGE_EVENT, "trigger_mode": "always_last"},
            )

        on(tab.select, self._enter)
        # A browser may or may not call that a selection of the tab, so both ways lead in.
        on(summary.inspect.click(self._want, None, tabs, **PAGE_EVENT).then, self._enter)
        on(self._part.input, self._change_part)
        on(self._view.input, self._change_view)
        for control in (self._option, self._sort, self._named, self._layer, self._head, self._sentence):
            on(control.input, self._redraw)
        on(self._scale.input, self._redraw)
        for number in (self._from, self._count):
            on(number.submit, self._redraw)
            on(number.blur, partial(self._ask, _if_changed))
        on(self._page.input, self._go_to)
        on(self._in.click, partial(self._ask, partial(_zoomed, 1 / ZOOM)))
        on(self._out.click, partial(self._ask, partial(_zoomed, ZOOM)))
        on(self._pin.click, self._change_pin)
        self._stop.click(self._end, None, [self._status, self._stop], queue=False, **PAGE_EVENT)
        for button, question in self._tour.wire():
            on(button, partial(self._ask, partial(_toured, question)))
        self._courier.click(self._click, asked, shown, concurrency_id="maps", **PAGE_EVENT)
        for kind, button in self._files.items():
            button.click(self._saver(kind), self._scale, self._courier, **PAGE_EVENT)
        self._link.click(self._copy_link, None, self._courier, **PAGE_EVENT)

    # What events ask for

    def _want(self, request: gr.Request) -> dict[str, Any]:
        """From the sentence that was chosen to its cross-attention, by way of `_enter`."""
        tab = self._visitors.tab(key_of(request))
        tab.wanted = tab.paper.look.sentence if tab.paper else None
        return gr.update(selected="attention")

    def _enter(self, session: Tab, values: Update) -> Iterator[Update]:
        if session.awaits_summary:
            yield {**self._line(AWAITED), self._all: gr.update(visible=False)}
            session.await_summary(WAIT)
        summary, held, chosen = session.summary, session.inspection, session.wanted
        session.wanted = None
        if summary is None or not summary.windows:
            session.inspection = None
            yield {**self._line(UNREAD if summary else EMPTY, "idle"), self._all: gr.update(visible=False)}
        elif chosen is not None and 0 <= chosen < len(summary.sentences):
            said: dict[str, Any] = {
                "window": summary.sentences[chosen].window,
                "view": OF_SENTENCE,
                "sentence": chosen,
            }
            if held is None or held.summary is not summary or held.question.window != said["window"]:
                yield from self._open(session, summary, {**said, "head": ALL_HEADS}, values)
            else:
                yield from self._show(session, held, replace(held.question, **said), values)
        elif (held is None or held.summary is not summary) and session.opening is not summary:
            yield from self._open(session, summary, {}, values)

    def _change_part(self, session: Tab, values: Update) -> Iterator[Update]:
        held, part = session.inspection, values[self._part]
        if held is not None and isinstance(part, int) and 0 <= part < len(held.summary.windows):
            said = {"view": held.question.view, "layer": held.question.layer, "head": held.question.head}
            yield from self._open(session, held.summary, {"window": part, **said}, values)

    def _change_view(self, session: Tab, values: Update) -> Iterator[Update]:
        return self._ask(lambda held, asked: _entering(held, asked), session, values)

    def _end(self, request: gr.Request) -> Update:
        self._visitors.tab(key_of(request)).maps_stop.set()
        return {
            **self._line("Stopped. The figure is the one before.", "idle"),
            self._stop: gr.update(visible=False),
        }

    def _change_pin(self, session: Tab, values: Update) -> Iterator[Update]:
        held = session.inspection
        if held is not None:
            pin(held)
            yield from self._ask(lambda _, asked: asked, session, values)

    def _ask(
        self, change: Callable[[Inspection, Question], Question | None], session: Tab, values: Update
    ) -> Iterator[Update]:
        """Draws what `change` makes of the question that the controls ask; None leaves the figure as it is."""
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
            page = values[self._page]
            start, end = spans.get(page if isinstance(page, int) else 0, (0, held.outline.tokens))
            asked = replace(self._question(held, values), start=start, count=end - start)
            yield from self._show(session, held, asked, values)

    def _click(self, values: Update, request: gr.Request, event: gr.EventData) -> Iterator[Update]:
        said = said_by(event)
        row, column = said.get("row"), said.get("column")
        if said.get("figure") == "link":
            self._visitors.tab(key_of(request)).link = str(said.get("link"))
        if isinstance(row, int) and isinstance(column, int):
            change = partial(_clicked, row, column)
            yield from self._guarded(partial(self._ask, change))(values, request)
        else:
            yield {self._status: gr.skip()}

    # Answers

    def _open(self, session: Tab, summary: Summary, said: dict[str, Any], values: Update) -> Iterator[Update]:
        """Fills the tab for one window of a summary: its lists, what every head does, its first figure."""
        session.opening = summary
        window = said.get("window", 0)
        try:
            yield self._line("Reading the attention of every head")
            outline = inspector.outline(self._store, summary, window)
            overview = inspector.overview(self._store, summary, window, session.begin_maps())
        finally:
            session.opening = None
        shares = overview.statistics.measures["global_share"]
        layer, head = divmod(int(shares.argmax()), outline.heads)  # the one that there is most to see of
        asked = replace(first_question(outline, window), layer=layer, head=head)
        asked = within(outline, replace(asked, **said))
        if session.link and not said:
            asked = within(outline, replace(from_link(asked, session.link), window=window))
            session.link = ""
        pinned = session.inspection.pinned if session.inspection else None
        held = session.inspection = Inspection(summary, outline, {"encoder": overview}, asked, pinned=pinned)
        parts = [(name, i) for i, name in enumerate(_what_was_written(summary))]
        views = [(view.label, name) for name, view in VIEWS.items() if view.exists(outline)]
        pages = [("whole text", 0), *((f"page {page}", page) for page, _, _ in outline.pages)]
        yield {
            self._all: gr.update(visible=True),
            self._part: gr.update(choices=parts, value=asked.window, visible=len(parts) > 1),
            self._view: gr.update(choices=views, value=asked.view),
            self._page: gr.update(choices=pages, value=0),
            **self._lists(held, asked),
        }
        yield from self._show(session, held, asked, values)

    def _lists(self, held: Inspection, asked: Question) -> Update:
        """The controls of a view: choices and value always go together."""
        view = VIEWS[asked.view]
        outline, written = held.outline, held.summary.sentences
        layers = [(f"layer {i}", i) for i in range(view.layers(outline))]
        heads = [("all heads (mean)", ALL_HEADS), *((f"head {i}", i) for i in range(outline.heads))]
        sentences = [
            ("the whole summary", WHOLE_SUMMARY),
            *((f"{i + 1}. {inspector.shorten(written[i].text, 80)}", i) for i in outline.sentences),
        ]
        return {
            self._option: gr.update(
                choices=list(view.options),
                value=asked.option,
                label=view.option_label or "Choice",
                visible=bool(view.option_label),
            ),
            self._layer: gr.update(choices=layers, value=asked.layer, visible="layer" in view.controls),
            self._head: gr.update(choices=heads, value=asked.head, visible="head" in view.controls),
            self._sentence: gr.update(
                choices=sentences, value=asked.sentence, visible="sentence" in view.controls
            ),
            self._range: gr.update(visible="range" in view.controls),
            self._in: gr.update(visible="range" in view.controls),
            self._out: gr.update(visible="range" in view.controls),
        }

    def _grid_lists(self, held: Inspection, asked: Question) -> Update:
        """What the heads of the grid can be sorted by, and which names they have."""
        grid = "sort" in VIEWS[asked.view].controls
        if not grid:
            return {self._sort: gr.update(visible=False), self._named: gr.update(visible=False)}
        stack = {"self": "decoder", "cross": "cross"}.get(asked.option, "encoder")
        overview = held.overviews[stack]
        measured = overview.statistics.measures
        sorts = [
            ("layer and head", ""),
            *((MEASURES[name].title, name) for name in MEASURES if name in measured),
        ]
        names = sorted({name.name for layer in overview.names for name in layer if name})
        shown = [("all heads", ""), *((f"only \u201c{name}\u201d", name) for name in names)]
        return {
            self._sort: gr.update(choices=sorts, value=asked.sort, visible=True),
            self._named: gr.update(choices=shown, value=asked.named, visible=True),
        }

    def _show(self, session: Tab, held: Inspection, asked: Question, values: Update) -> Iterator[Update]:
        """Draws what is asked for."""
        asked = within(held.outline, asked)
        controls = {
            self._view: asked.view,
            self._option: asked.option,
            self._layer: asked.layer,
            self._head: asked.head,
            self._sentence: asked.sentence,
            self._from: asked.start,
            self._count: asked.count,
            self._page: _page_shown(held.outline, asked),
        }
        # A control that already says so is left alone: somebody may be using it by the time this arrives.
        update = {control: value for control, value in controls.items() if values[control] != value}
        if held.answered is None or asked.view != held.question.view:
            update |= self._lists(held, asked)
        view, stop = VIEWS[asked.view], session.begin_maps()
        yield {**self._line("Computing the attention", detail=view.cost), **update}
        found: list[Answer] = []

        def work(report: Callable[[float], None]) -> None:
            found.append(answer(self._store, held, asked, stop, report))

        for fraction in follow(work, stop):
            yield {
                **self._line("Computing the attention", detail=f"{fraction:.0%}", fraction=fraction),
                self._stop: gr.update(visible=True),
            }
        held.answered, held.question = found[0], asked
        figure = drawing(held, _scale(values[self._scale]))
        yield {
            **self._line(held.summary.document.title, "idle"),
            self._stop: gr.update(visible=False),
            **self._grid_lists(held, asked),
            self._heading: presentation.map_heading(
                view.question, figure.says, f"{title(asked)}. {extent(held)} {view.caption}"
            ),
            self._map: to_fragment(figure, "map-figure"),
            self._pin: gr.update(
                value=PIN if held.pinned is None else UNPIN,
                visible=isinstance(held.answered.panels[0], Heatmap),
            ),
        }

    def _question(self, held: Inspection, values: Update) -> Question:
        """What the controls ask for; what an empty one is for stays as it was."""
        return changed(
            held.question,
            view=values[self._view],
            option=values[self._option],
            sort=values[self._sort],
            named=values[self._named],
            layer=values[self._layer],
            head=values[self._head],
            sentence=values[self._sentence],
            start=values[self._from],
            count=values[self._count],
        )

    # Files

    def _saver(self, kind: str) -> Callable[..., str]:
        def save(scale: Any, request: gr.Request) -> str:
            return parcel(*files.file(self._drawn(request), kind, _scale(scale)))

        return save

    def _copy_link(self, request: gr.Request) -> str:
        """A parcel that is no file: the script copies it, after the page's own address."""
        link = f"#attention={self._drawn(request).question.to_link()}"
        return parcel("link", "text/x-link", link.encode())

    def _drawn(self, request: gr.Request) -> Inspection:
        session = self._visitors.tab(key_of(request))
        held = None if session is None else session.inspection
        if held is None or held.answered is None:
            raise gr.Error("The figure is no longer here: please open it again.", print_exception=False)
        return held

    def _line(self, words: str, kind: Any = "busy", **more: Any) -> Update:
        return {self._status: presentation.status(Status(words, kind=kind, **more))}

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
                raise
            except Exception:
                log.exception("unexpected error")
                yield self._line(BROKEN, "error")

        def cumulated(values: Update, request: gr.Request) -> Iterator[Update]:
            session = self._visitors.tab(key_of(request))
            with suppress(Stopped):
                stop = session.maps_stop
                for update in cumulative(run(values, request)):
                    stop = session.maps_stop
                    yield update
                if session.maps_stop is stop:
                    return
            # A later question has been asked meanwhile, and the page may show its answer: at its end Gradio sends an
            # event's last update again, which is to say nothing.
            yield {self._status: gr.skip()}

        return cumulated


def _scale(said: Any) -> Scale:
    """The scale of the colours that was chosen."""
    return "linear" if said == "linear" else "log"


def _if_changed(held: Inspection, asked: Question) -> Question | None:
    """Leaving a field that was not changed asks for nothing."""
    return asked if asked != held.question else None


def _what_was_written(summary: Summary) -> Iterator[str]:
    """What each window of a summary was written about; what was written in several has them counted."""
    seen: Counter[str] = Counter()
    for window in summary.windows:
        seen[window.name] += 1
        again = f" ({seen[window.name]})" if seen[window.name] > 1 else ""
        yield f"{inspector.shorten(window.name, 80)}{again}"


def _entering(held: Inspection, asked: Question) -> Question:
    """Another view of the same: its words come a page at a time."""
    if asked.view == "text" and asked.count > PAGE_OF_WORDS:
        return replace(asked, count=PAGE_OF_WORDS)
    return asked


def _toured(said: dict[str, Any], held: Inspection, asked: Question) -> Question:
    """What a step of the tour shows."""
    return _entering(held, within(held.outline, replace(asked, **said)))


def _zoomed(times: float, held: Inspection, asked: Question) -> Question:
    asked = within(held.outline, asked)  # the numbers may be anything
    middle = asked.start + asked.count // 2
    return around(held.outline, asked, middle, round(asked.count * times))


def _clicked(row: int, column: int, held: Inspection, asked: Question) -> Question | None:
    """A click on a head opens it, one on a cell of a map or on the strip of the text comes closer to it."""
    if held.answered is None:
        return None
    if isinstance(held.answered.panels[0], Tiles):
        opened = held.question.option  # what its heads are of has a view of that name
        return _entering(held, replace(asked, view=opened, layer=row, head=column, option=""))
    spans = held.answered.spans
    view = VIEWS[held.question.view]
    cell = row if view.zoomed == "rows" else column
    if spans is None or "range" not in view.controls or not 0 <= cell < len(spans):
        return None
    middle = int(spans[cell].mean())
    if held.question.view == "text":
        return around(held.outline, asked, middle, PAGE_OF_WORDS)
    return None if asked.count <= CLOSEST else around(held.outline, asked, middle, asked.count // ZOOM)


def _page_shown(outline: inspector.Outline, asked: Question) -> int | None:
    """The entry of the list of pages that is just what is shown: 0 for the whole text, None for any other part."""
    shown = (asked.start, asked.end)
    if shown == (0, outline.tokens):
        return 0
    return next((page for page, start, end in outline.pages if (start, end) == shown), None)
