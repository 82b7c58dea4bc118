"""The first tab of the page: a paper goes in, its pages stand beside its summary, each sentence leads to its page."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app import export
from app.models import ModelStore
from app.page import presentation, summary_presentation
from app.page.example import Example
from app.page.open_paper import open_paper
from app.page.paper_view import PaperView
from app.page.papers import Paper
from app.page.presentation import Status
from app.page.settings_panel import PRIVATE, SettingsPanel
from app.page.streaming import Update, cumulative
from app.page.visitors import Tab, Visitors
from app.summarizing.settings import SummaryError, SummarySettings
from app.summarizing.summarizer import read, summarize
from app.summarizing.summary import Done, Event, Summary, Working

REFRESH = 0.12  # seconds between two looks of the same line: quick enough for words, easy on the network
HEARTBEAT = 5.0  # seconds after which a browser that has gone is noticed
READY = Status("Ready to summarize.", kind="done")
STOPPED = Status("Stopped.", kind="idle")
KEPT = Status("Stopped.", "What was written until then is kept.", kind="idle")
SHOWN = Status("An example.", "Click a sentence to see where it comes from.", kind="done")
WELCOME = Status("Drop in a paper, or look at the example.", kind="idle")
GONE = Status("The paper is no longer here: please choose it again.", kind="error")
NO_SUMMARY = Status("The summary is no longer here: please make it again.", kind="error")
EMPTY = "The summary appears here: a TL;DR, the summary, the sections, and behind each sentence its pages."

SUMMARY_JS = "window.longt5.summary.start(element, trigger, watch);"
SWITCH_JS = """
element.addEventListener('click', (event) => {
  const { switch: setting } = event.target.dataset;
  if (setting) trigger('click', { setting });
});
"""
COPY_JS = "() => window.longt5.copy(window.longt5.summary.text(), 'copy')"
# Work is done at the visitor's desk; an event only watches it, and may take as long as that does.
WATCHING: dict[str, Any] = {"concurrency_limit": None, "concurrency_id": "watch", **PRIVATE}


def parcel(name: str, mime: str, content: bytes) -> str:
    """A file for the courier, which saves it in the browser: no copy of it stays on the server."""
    data = base64.b64encode(content).decode("ascii")
    return json.dumps({"name": name, "mime": mime, "data": data, "sent": time.time()})


class SummaryPanel:
    """Builds the tab where it is made, inside a `gr.Blocks` context, and wires it."""

    def __init__(self, store: ModelStore, visitors: Visitors, courier: gr.HTML) -> None:
        self._store = store
        self._visitors = visitors
        self._courier = courier
        self._sample = Example(store)
        with gr.Row(elem_id="door") as self._door:
            self._file = gr.File(
                label="Drop a paper here: PDF, text or Markdown", show_label=False, elem_id="file", scale=5
            )
            self._example = gr.Button("See the example", elem_id="example", scale=1, min_width=150)
        with gr.Row(elem_id="workspace"):
            with gr.Column(scale=6, min_width=320, elem_id="paper-column"):
                self._paper = PaperView()
            with gr.Column(scale=5, min_width=320, elem_id="summary-column", elem_classes="summary-scroll"):
                self._build_summary()
        self._chosen = gr.State(-1)
        self._wire()

    def _build_summary(self) -> None:
        self._found = gr.HTML(elem_id="found", js_on_load=SWITCH_JS, apply_default_css=False)
        with gr.Group(visible=False) as self._locked:
            self._password = gr.Textbox(
                label="Password of the file", type="password", elem_id="password", max_length=200
            )
            self._unlock = gr.Button("Open the file", size="sm", elem_id="unlock")
        with gr.Row(elem_id="actions"):
            self._start = gr.Button("Summarize", variant="primary", interactive=False, elem_id="summarize")
            self._stop = gr.Button("Stop", interactive=False, min_width=90, elem_id="stop")
        self._settings = SettingsPanel(self._store)
        self._status = gr.HTML(presentation.status(WELCOME), elem_id="status")
        self._summary = gr.HTML(elem_id="summary", js_on_load=SUMMARY_JS, apply_default_css=False)
        with gr.Row(visible=False, elem_id="exports") as self._exports:
            small: dict[str, Any] = {"size": "sm", "min_width": 70}
            self._copy = gr.Button("Copy", elem_id="copy", **small)
            self._downloads = {
                kind: gr.Button(label, elem_id=f"download-{kind}", **small)
                for kind, label in (("md", "Markdown"), ("txt", "Text"), ("json", "JSON"))
            }
        self.inspect = gr.Button(
            "Show this sentence\u2019s attention", size="sm", visible=False, elem_id="inspect"
        )

    def _wire(self) -> None:
        shown = self._shown = [
            self._file, self._door, self._paper.component, self._found, self._locked, self._password, self._start,
            self._stop, self._status, self._summary, self._exports, self.inspect, self._chosen,
        ]  # fmt: skip
        settings = set(self._settings.controls)
        self._file.upload(self._read_upload, {self._file, *settings}, shown, **WATCHING)
        self._example.click(self._show_example, settings, shown, **WATCHING)
        for trigger in (self._unlock.click, self._password.submit):
            trigger(self._read_locked, {self._password, *settings}, shown, **WATCHING)
        self._start.click(self._start_summary, settings, shown, **WATCHING)
        self._stop.click(self._halt, None, None, queue=False, **PRIVATE)
        self._summary.click(self._choose, None, [self.inspect, self._chosen], queue=False, **PRIVATE)
        switches = [self._settings.control(name) for name in summary_presentation.SWITCHES]
        self._found.click(self._switch, settings, [self._found, *switches], queue=False, **PRIVATE)
        for control in switches:
            control.input(self._tell_reading, settings, self._found, queue=False, **PRIVATE)
        self._copy.click(None, None, None, js=COPY_JS)
        for kind, button in self._downloads.items():
            button.click(self._exporter(kind), None, [self._courier, self._status], **PRIVATE)

    def load(self, page: gr.Blocks) -> None:
        """Has something to show as soon as the page has been loaded."""
        page.load(self._enter, set(self._settings.controls), self._shown, **WATCHING)

    @property
    def chosen(self) -> gr.State:
        """Index of the chosen sentence, -1 while there is none."""
        return self._chosen

    # A paper comes in

    def _enter(self, values: Update, request: gr.Request) -> Iterator[Update]:
        """A page has been loaded."""
        tab = self._visitors.enter(_key(request))
        yield from self._show_paper(tab, tab.paper or self._sample.paper(), values)

    def _read_upload(self, values: Update, request: gr.Request) -> Iterator[Update]:
        tab, path = self._tab(request), Path(values[self._file])
        try:
            paper = self._visitors.add(tab.visitor, path.name, path)
        except SummaryError as error:
            yield {self._file: None, **self._line(Status(str(error), kind="error"))}
            return
        self._read(tab, paper)
        for update in self._show_paper(tab, paper, values):
            yield {self._file: None, **update}

    def _read_locked(self, values: Update, request: gr.Request) -> Iterator[Update]:
        tab = self._tab(request)
        paper = tab.paper
        if paper is None or paper.state != "locked":
            yield self._line(GONE)
            return
        paper.password = values[self._password]
        self._read(tab, paper)
        yield from self._show_paper(tab, paper, values)

    def _show_example(self, values: Update, request: gr.Request) -> Iterator[Update]:
        yield from self._show_paper(self._tab(request), self._sample.paper(), values)

    def _read(self, tab: Tab, paper: Paper) -> None:
        """Has a paper read."""
        assert paper.file is not None
        work = partial(read, paper.file, self._store, name=paper.name, password=paper.password)
        tab.visitor.desk.start(paper, "reading", work)

    # Its summary is written

    def _start_summary(self, values: Update, request: gr.Request) -> Iterator[Update]:
        tab = self._tab(request)
        paper = tab.paper
        if paper is None or paper.document is None:
            yield self._line(GONE)
            return
        try:
            settings = self._settings.settings(values)
            if paper is self._sample.paper():
                paper = self._sample.copy(self._visitors, tab.visitor)
        except SummaryError as error:
            yield self._line(Status(str(error), kind="error"))
            return
        if not paper.busy:
            tab.visitor.desk.start(paper, "summarizing", partial(self._write, paper, settings))
        yield from self._show_paper(tab, paper, values)

    def _write(self, paper: Paper, settings: SummarySettings, stop: Any) -> Generator[Event, None, None]:
        def keep(so_far: Summary) -> None:
            if paper.stop is stop:  # nothing else has been asked for meanwhile
                paper.summary = so_far

        assert paper.document is not None
        return summarize(paper.document, settings, self._store, stop=stop, keep=keep)

    def _halt(self, request: gr.Request) -> None:
        tab = self._tab(request)
        if tab.paper is not None and tab.paper is not self._sample.paper():
            tab.visitor.desk.stop(tab.paper)

    # What the page shows of a paper

    def _show_paper(self, tab: Tab, paper: Paper, values: Update) -> Iterator[Update]:
        """Turns a tab to a paper and follows the work on it until that rests or the tab shows something else."""
        showing = tab.show(paper)
        yield from cumulative(self._follow(tab, paper, showing, values))

    def _follow(self, tab: Tab, paper: Paper, showing: int, values: Update) -> Iterator[Update]:
        desk = tab.visitor.desk
        version = desk.wait(-1, 0)
        yield {self._chosen: -1, self.inspect: gr.update(visible=False)}
        while tab.showing == showing:
            resting = not paper.busy
            yield self._updates(paper, self._settings.shown(values))
            if resting:
                return
            time.sleep(REFRESH)
            version = desk.wait(version, HEARTBEAT)

    def _updates(self, paper: Paper, settings: SummarySettings) -> Update:
        """Everything that the tab shows of a paper as it is now."""
        document, example = paper.document, paper is self._sample.paper()
        if document is not None and (paper.pages is None or paper.pages.document is not document):
            limits = self._store.settings.reading_limits
            paper.pages = open_paper(document, paper.file, limits, paper.password)
        written = paper.summary is not None and bool(paper.summary.parts) and paper.state != "summarizing"
        return {
            self._door: gr.update(elem_classes=["first"] if example else ["later"]),
            self._paper.component: paper.pages.key if paper.pages else None,
            self._found: "" if document is None else summary_presentation.found(document, settings),
            self._locked: gr.update(visible=paper.state == "locked"),
            **({self._password: ""} if paper.state == "read" else {}),  # a wrong one stays, to be mended
            self._start: gr.update(
                interactive=document is not None and not paper.busy,
                value="Summarize again" if written else "Summarize",
                variant="secondary" if written else "primary",
            ),
            self._stop: gr.update(interactive=paper.busy, visible=paper.busy),
            **self._line(SHOWN if example and written else self._moment(paper)),
            self._summary: self._written(paper),
            self._exports: gr.update(visible=written),
        }

    def _written(self, paper: Paper) -> str:
        """What there is of the summary."""
        progress = paper.progress
        if paper.document is not None and paper.state == "summarizing":
            if isinstance(progress, Working) and progress.parts:
                return summary_presentation.parts(progress.parts, paper.document, paper.id)
        elif paper.summary is not None and paper.summary.parts:
            return summary_presentation.summary(paper.summary, paper.id)
        return presentation.hint(EMPTY)

    def _moment(self, paper: Paper) -> Status:
        """The line about a paper's state."""
        if paper.state in ("failed", "locked"):
            return Status(paper.problem, kind="error")
        if paper.state == "done" and paper.summary is not None:
            return presentation.status_of(Done(paper.summary))
        if paper.state == "stopped":
            return KEPT if paper.summary is not None else STOPPED
        if paper.state == "read":
            return READY
        if paper.progress is not None:
            return presentation.status_of(paper.progress)
        return Status("Waiting for your other papers" if paper.state == "waiting" else "Starting")

    # What is done with what is there

    def _choose(self, event: gr.EventData, request: gr.Request) -> tuple[Any, int]:
        summary, index = self._tab(request).summary, event.sentence
        known = summary is not None and isinstance(index, int) and 0 <= index < len(summary.sentences)
        inspectable = known and summary is not None and summary.settings.model in self._store.choices
        return gr.update(visible=inspectable), index if known else -1

    def _switch(self, values: Update, event: gr.EventData, request: gr.Request) -> Update:
        """Turns a setting about, by the link in the line that says what is read."""
        name = event.setting
        if name not in summary_presentation.SWITCHES:
            return {self._found: gr.skip()}
        control = self._settings.control(name)
        turned = not values[control]
        return {
            control: turned,
            self._found: self._tell_reading({**values, control: turned}, request),
        }

    def _tell_reading(self, values: Update, request: gr.Request) -> Any:
        document = self._tab(request).document
        if document is None:
            return gr.skip()
        return summary_presentation.found(document, self._settings.shown(values))

    def _exporter(self, kind: str) -> Callable[..., tuple[Any, Any]]:
        write, mime = {
            "md": (export.to_markdown, "text/markdown"),
            "txt": (export.to_text, "text/plain"),
            "json": (export.to_json, "application/json"),
        }[kind]

        def save(request: gr.Request) -> tuple[Any, Any]:
            summary = self._tab(request).summary
            if summary is None:
                return gr.skip(), presentation.status(NO_SUMMARY)
            name = f"{Path(summary.document.name).stem or 'paper'}-summary.{kind}"
            return parcel(name, mime, write(summary).encode("utf-8")), gr.skip()

        return save

    def _tab(self, request: gr.Request) -> Tab:
        return self._visitors.tab(_key(request))

    def _line(self, line: Status) -> Update:
        return {self._status: presentation.status(line)}


def _key(request: gr.Request) -> str:
    return str(request.session_hash)
