"""The first tab of the page: a paper's pages stand beside its summary, and each sentence leads to its page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from app import export
from app.documents import Document
from app.models import ModelStore
from app.page import presentation, summary_presentation
from app.page.example import Example
from app.page.jobs import reading, summarizing
from app.page.links import Look
from app.page.paper_view import PaperView
from app.page.papers import Paper
from app.page.parcels import parcel
from app.page.presentation import Status
from app.page.sent import said_by
from app.page.settings_panel import PAGE_EVENT, SettingsPanel
from app.page.shelf_panel import GONE, ShelfPanel
from app.page.streaming import Update
from app.page.visitors import Tab, Visitors
from app.summarizing.positions import language_barrier
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Done, Working

READY = Status("Ready to summarize.", kind="done")
STOPPING = Status("Stopping")
STOPPED = Status("Stopped.", kind="idle")
KEPT = Status("Stopped.", "What was written until then is kept.", kind="idle")
EXAMPLE = Status("An example.", "Click a sentence to see where it comes from.", kind="done")
NO_SUMMARY = Status("The summary is no longer here: please make it again.", kind="error")
EMPTY = "The summary appears here: a TL;DR, the summary, the sections, and behind each sentence its pages."

SUMMARY_JS = "window.longt5.summary.start(element, trigger, watch);"
COPY_JS = "() => window.longt5.copy(document.getElementById('summary-text').dataset.plain, 'copy')"
SWITCH_JS = """
element.addEventListener('click', (event) => {
  const { switch: setting } = event.target.dataset;
  if (setting) trigger('click', { setting });
});
"""


class SummaryPanel:
    """Builds the tab where it is made, inside a `gr.Blocks` context, the doors and the list of papers included.

    What it shows of a paper is `shown`, a view of the shelf, which follows the work on the visitor's papers.
    """

    def __init__(self, store: ModelStore, visitors: Visitors, courier: gr.HTML) -> None:
        self._store = store
        self._visitors = visitors
        self._courier = courier
        self._sample = Example(store)
        self.shelf = ShelfPanel(store, visitors, courier)
        with gr.Column(elem_id="door", elem_classes=["first"]) as self._door:
            self.shelf.build_doors()
        self.shelf.build_list()
        with gr.Row(elem_id="workspace"):
            with gr.Column(scale=6, min_width=320, elem_id="paper-column"):
                self._paper = PaperView()
            with gr.Column(scale=5, min_width=320, elem_id="summary-column", elem_classes="summary-scroll"):
                self._build_summary()
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
        self._status = gr.HTML(presentation.status(Status("")), elem_id="status", apply_default_css=False)
        self._summary = gr.HTML(elem_id="summary", js_on_load=SUMMARY_JS, apply_default_css=False)
        self.inspect = gr.Button(
            "Show this sentence\u2019s attention", size="sm", visible=False, elem_id="inspect"
        )
        with gr.Row(visible=False, elem_id="exports") as self._exports:
            small: dict[str, Any] = {"size": "sm", "min_width": 70}
            self._copy = gr.Button("Copy", elem_id="copy", **small)
            self._downloads = {
                kind: gr.Button(form.label, elem_id=f"download-{kind}", **small)
                for kind, form in export.FORMATS.items()
            }

    def _wire(self) -> None:
        outputs = [
            self._door, self._paper.component, self._found, self._locked, self._start, self._stop, self._status,
            self._summary, self._exports, self.inspect,
        ]  # fmt: skip
        shown = [*self.shelf.wire(self._settings, [self.shown], outputs), self._password]
        settings = set(self._settings.controls)
        watching: dict[str, Any] = {"concurrency_limit": None, "concurrency_id": "work", **PAGE_EVENT}
        for trigger in (self._unlock.click, self._password.submit):
            trigger(self._open_locked, {self._password, *settings}, shown, **watching)
        self._start.click(self._summarize, settings, shown, **watching)
        self._stop.click(self._halt, None, None, queue=False, **PAGE_EVENT)
        chosen = [self.inspect, self.shelf.memory]
        self._summary.click(self._choose, None, chosen, queue=False, **PAGE_EVENT)
        switches = [self._settings.control(name) for name in summary_presentation.SWITCHES]
        self._found.click(self._switch, settings, [self._found, *switches], queue=False, **PAGE_EVENT)
        for control in switches:
            control.input(self._tell_reading, settings, self._found, queue=False, **PAGE_EVENT)
        self._copy.click(None, None, None, js=COPY_JS)
        for kind, button in self._downloads.items():
            button.click(self._exporter(kind), None, [self._courier, self._status], **PAGE_EVENT)

    # What it shows

    def shown(self, tab: Tab, values: Update) -> Update:
        """Everything that the tab shows of its paper as it is now; of the example while there is none."""
        own = tab.paper
        tab.shows_example = own is None
        paper = own or self._sample.paper()
        document = paper.document
        pages = paper.open(self._store.settings.reading_limits)
        written = paper.summary is not None and paper.state != "summarizing"
        status = self._status_of(paper)
        if own is None:
            status = Status(tab.notice, kind="error") if tab.notice else EXAMPLE if written else READY
        return {
            self._door: gr.update(elem_classes=["later" if tab.visitor.papers else "first"]),
            self._paper.component: pages.key if pages else None,
            self._found: self._introduced(document, values) if document else "",
            self._locked: gr.update(visible=paper.state == "locked"),
            self._start: gr.update(
                interactive=document is not None and not paper.busy,
                value="Summarize again" if written else "Summarize",
                variant="secondary" if written else "primary",
            ),
            self._stop: gr.update(interactive=paper.busy and not paper.stopping, visible=paper.busy),
            self._status: presentation.status(status),
            self._summary: self._written(paper),
            self._exports: gr.update(visible=written and own is not None),
            **self._choice(paper),
        }

    def _introduced(self, document: Document, values: Update) -> str:
        """What was found in the file, and what of it will be read."""
        settings = self._settings.shown(values)
        barrier = language_barrier(self._store.profile(settings.model), document)
        return summary_presentation.found(document, settings, barrier)

    def _choice(self, paper: Paper) -> Update:
        """Which sentence of a paper was chosen last, if there is such a one."""
        index, sentences = paper.look.sentence, paper.summary.sentences if paper.summary else ()
        known = index is not None and 0 <= index < len(sentences)
        inspectable = known and paper.summary is not None and bool(paper.summary.windows)  # not the example's
        return {self.inspect: gr.update(visible=inspectable)}

    def _written(self, paper: Paper) -> str:
        """What there is of the summary."""
        if paper.document is not None and paper.state == "summarizing":
            if isinstance(paper.progress, Working) and paper.progress.parts:
                return summary_presentation.parts(paper.progress.parts, paper.document, paper.id)
        elif paper.summary is not None:
            return summary_presentation.summary(paper.summary, paper.id)
        return presentation.hint(EMPTY)

    def _status_of(self, paper: Paper) -> Status:
        """The line about a paper's state."""
        if paper.stopping:
            return STOPPING
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

    # What is done with a paper

    def _open_locked(self, values: Update, request: gr.Request) -> Any:
        tab = self.shelf.tab(request)
        paper = tab.paper
        if paper is None or paper.state != "locked":
            gr.Warning(GONE)
            return
        paper.password = values[self._password]
        tab.visitor.desk.start(paper, "reading", reading(paper, self._store, paper.password))
        yield from self.shelf.follow(tab, values)
        if paper.document is not None:
            yield {self._password: ""}  # a wrong one stays, to be mended

    def _summarize(self, values: Update, request: gr.Request) -> Any:
        tab = self.shelf.tab(request)
        if tab.paper is None and not tab.shows_example:
            tab.show(None, GONE)
            yield from self.shelf.follow(tab, values)
            return
        try:
            settings = self._settings.settings(values)
            if tab.paper is None:
                tab.show(self._sample.copy(self._visitors, tab.visitor))
        except SummaryError as error:
            yield {self._status: presentation.status(Status(str(error), kind="error"))}
            return
        paper = tab.paper
        if paper is None or paper.document is None:
            yield {self._status: presentation.status(Status(GONE, kind="error"))}
            return
        if not paper.busy:
            paper.look = Look()
            work = summarizing(paper, settings, self._store)
            tab.visitor.desk.start(paper, "summarizing", work, first=True)
        yield from self.shelf.follow(tab, values)

    def _halt(self, request: gr.Request) -> None:
        tab = self.shelf.tab(request)
        if tab.paper is not None:
            tab.visitor.desk.stop(tab.paper)

    def _choose(self, event: gr.EventData, request: gr.Request) -> Update:
        tab = self.shelf.tab(request)
        paper = tab.paper or self._sample.paper()
        index = said_by(event).get("sentence")
        if tab.paper is None:  # everybody's: who chose what in it is not kept
            paper = replace(paper)
        if isinstance(index, int) and not isinstance(index, bool):
            paper.look = replace(paper.look, sentence=index)
        return {**self._choice(paper), **self.shelf.remember(tab)}

    # What of it is read

    def _switch(self, values: Update, event: gr.EventData, request: gr.Request) -> Update:
        """Turns a setting about, by the link in the line that says what is read."""
        setting = said_by(event).get("setting")
        if setting not in summary_presentation.SWITCHES:
            return {self._found: gr.skip()}
        control = self._settings.control(setting)
        turned = not values[control]
        return {control: turned, self._found: self._tell_reading({**values, control: turned}, request)}

    def _tell_reading(self, values: Update, request: gr.Request) -> Any:
        document = (self.shelf.tab(request).paper or self._sample.paper()).document
        return self._introduced(document, values) if document else gr.skip()

    def _exporter(self, kind: str) -> Callable[[gr.Request], tuple[Any, Any]]:
        form = export.FORMATS[kind]

        def save(request: gr.Request) -> tuple[Any, Any]:
            summary = self.shelf.tab(request).summary
            if summary is None:
                return gr.skip(), presentation.status(NO_SUMMARY)
            content = form.write(summary)
            data = content.encode("utf-8") if isinstance(content, str) else content
            return parcel(export.file_name(summary, kind), form.mime, data), gr.skip()

        return save
