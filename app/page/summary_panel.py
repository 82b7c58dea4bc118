"""The first tab of the page: a paper goes in, its summary grows, each sentence shows its evidence."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app import export
from app.documents import DocumentError, PasswordNeeded
from app.models import ModelStore
from app.page import presentation
from app.page.presentation import Status
from app.page.sessions import Session, Sessions
from app.page.settings_panel import PRIVATE, SettingsPanel
from app.page.streaming import Update, cumulative
from app.summarizing.settings import SummaryError
from app.summarizing.summarizer import read, summarize
from app.summarizing.summary import Done, Event, Read, Summary, Working
from app.work import Stopped

EXAMPLE = Path(__file__).resolve().parents[2] / "assets" / "example" / "longt5-explained.pdf"
REFRESH = 0.12  # seconds between two looks of the same line: quick enough for words, easy on the network
BROKEN = "Something went wrong on our side, and it has been written to the log. Please try again."
WELCOME = Status("Drop in a paper, or try the example.", kind="idle")

SENTENCES_JS = """
const choose = (sentence) => {
  for (const other of element.querySelectorAll('.sentence'))
    other.setAttribute('aria-pressed', other === sentence);
  trigger('click', {sentence: Number(sentence.dataset.sentence)});
};
element.addEventListener('click', (event) => {
  const sentence = event.target.closest('.sentence');
  if (sentence) choose(sentence);
});
element.addEventListener('keydown', (event) => {
  if ((event.key === 'Enter' || event.key === ' ') && event.target.matches('.sentence')) {
    event.preventDefault();
    choose(event.target);
  }
});
"""
READY = Status("Ready to summarize.", kind="done")
CHOOSE = "Choose a sentence of the summary to see the passages and pages it rests on."
LOCKED = "locked"  # key of an update that is for `_read` and not for the page

log = logging.getLogger(__name__)


def parcel(name: str, mime: str, content: bytes) -> str:
    """A file for the courier, which saves it in the browser: no copy of it stays on the server."""
    data = base64.b64encode(content).decode("ascii")
    return json.dumps({"name": name, "mime": mime, "data": data, "sent": time.time()})


class SummaryPanel:
    """Builds the tab where it is made, inside a `gr.Blocks` context, and wires it."""

    def __init__(self, store: ModelStore, sessions: Sessions, courier: gr.HTML) -> None:
        self._store = store
        self._sessions = sessions
        self._courier = courier
        with gr.Row(elem_id="workspace"):
            with gr.Column(scale=4, min_width=300, elem_id="input-column"):
                self._file = gr.File(label="PDF, text or Markdown", elem_id="file", height=150)
                self._example = gr.Button("Try the example", elem_id="example", size="sm")
                with gr.Group(visible=False) as self._locked:
                    self._password = gr.Textbox(
                        label="Password of the file", type="password", elem_id="password", max_length=200
                    )
                    self._unlock = gr.Button("Open the file", size="sm", elem_id="unlock")
                self._found = gr.HTML(elem_id="found")
                self._settings = SettingsPanel(store)
            with gr.Column(scale=7, min_width=300, elem_id="output-column"):
                with gr.Row(elem_id="actions"):
                    self._start = gr.Button(
                        "Summarize", variant="primary", interactive=False, scale=3, elem_id="summarize"
                    )
                    self._stop = gr.Button("Stop", interactive=False, scale=1, min_width=90, elem_id="stop")
                self._status = gr.HTML(presentation.status(WELCOME), elem_id="status")
                self._summary = gr.HTML(elem_id="summary", js_on_load=SENTENCES_JS)
                with gr.Row(visible=False, elem_id="exports") as self._exports:
                    self._copy = gr.Button("Copy", size="sm", min_width=70, elem_id="copy")
                    self._downloads = {
                        kind: gr.Button(label, size="sm", min_width=70, elem_id=f"download-{kind}")
                        for kind, label in (("md", "Markdown"), ("txt", "Text"), ("json", "JSON"))
                    }
                self._evidence = gr.HTML(elem_id="evidence")
                self.inspect = gr.Button(
                    "Show this sentence\u2019s attention", size="sm", visible=False, elem_id="inspect"
                )
        self._chosen = gr.State(-1)
        self._wire()

    def _wire(self) -> None:
        shown = [
            self._file, self._locked, self._password, self._found, self._start, self._stop, self._status,
            self._summary, self._exports, self._evidence, self.inspect,
        ]  # fmt: skip
        # Waiting for the model happens inside, where the position in the queue can be shown and Stop works.
        work: dict[str, Any] = {"concurrency_limit": None, "concurrency_id": "work", **PRIVATE}
        self._file.upload(self._read_upload, self._file, shown, **work)
        self._example.click(self._read_example, None, shown, **work)
        for trigger in (self._unlock.click, self._password.submit):
            trigger(self._read_locked, self._password, shown, **work)
        self._start.click(self._start_summary, set(self._settings.controls), shown, **work)
        self._stop.click(self._halt, None, None, queue=False, **PRIVATE)
        self._summary.click(
            self._show_evidence, None, [self._evidence, self.inspect, self._chosen], queue=False, **PRIVATE
        )
        self._copy.click(None, None, None, js="() => window.longt5.copy('summary-text', 'copy')")
        for kind, button in self._downloads.items():
            button.click(self._exporter(kind), None, [self._courier, self._status], **PRIVATE)

    @property
    def chosen(self) -> gr.State:
        """Index of the chosen sentence, -1 while there is none."""
        return self._chosen

    # Reading a file

    def _read_upload(self, path: str, request: gr.Request) -> Iterator[Update]:
        session = self._sessions.open(_key(request))
        session.forget_upload()
        yield from cumulative(self._read(session, Path(path), Path(path).name, upload=True))

    def _read_example(self, request: gr.Request) -> Iterator[Update]:
        session = self._sessions.open(_key(request))
        session.forget_upload()
        yield from cumulative(self._read(session, EXAMPLE, EXAMPLE.name))

    def _read_locked(self, password: str, request: gr.Request) -> Iterator[Update]:
        session = self._sessions.open(_key(request))
        if session.upload is None:
            yield self._line(Status("The file is no longer here: please choose it again.", kind="error"))
            return
        name = session.upload_name or session.upload.name
        yield from cumulative(self._read(session, session.upload, name, password=password, upload=True))

    def _read(
        self, session: Session, path: Path, name: str, *, password: str | None = None, upload: bool = False
    ) -> Iterator[Update]:
        """Reads a file and shows what was found; an upload is deleted unless it waits for its password."""

        def show(event: Event) -> Update | None:
            if not isinstance(event, Read):
                return None
            session.document = event.document
            return {self._found: presentation.found(event.document)}

        session.document = session.summary = None
        locked = False
        try:
            yield {
                self._file: None,
                self._found: "",
                self._locked: gr.update(visible=False),
                **({} if password else {self._password: ""}),  # a wrong one stays, to be mended
                **self._empty(),
            }
            events = partial(read, path, self._store, name=name, password=password)
            for update in self._follow(session, events, show, until=Read):
                if LOCKED in update:
                    locked = True
                else:
                    yield update
            if locked and upload:
                session.upload, session.upload_name = path, name
                yield {self._locked: gr.update(visible=True)}
        finally:
            if upload and not locked:
                path.unlink(missing_ok=True)
                session.upload = session.upload_name = None

    # Summarizing

    def _start_summary(self, values: Update, request: gr.Request) -> Iterator[Update]:
        yield from cumulative(self._summarize(self._sessions.open(_key(request)), values))

    def _summarize(self, session: Session, values: Update) -> Iterator[Update]:
        document = session.document
        if document is None:
            yield self._line(Status("The paper is no longer here: please choose it again.", kind="error"))
            return

        def show(event: Event) -> Update | None:
            if isinstance(event, Working):
                return {self._summary: presentation.parts(event.parts)}
            if isinstance(event, Done):
                session.summary = event.summary
                return {
                    self._summary: presentation.summary(event.summary),
                    self._evidence: presentation.hint(CHOOSE),
                    self._exports: gr.update(visible=True),
                }
            return None

        session.summary = None
        yield self._empty()
        try:
            settings = self._settings.settings(values)
        except SummaryError as error:
            yield self._line(Status(str(error), kind="error"))
            return
        yield from self._follow(session, partial(summarize, document, settings, self._store), show)

    def _follow(
        self,
        session: Session,
        events: Callable[..., Generator[Event, None, None]],
        show: Callable[[Event], Update | None],
        until: type = Done,
    ) -> Iterator[Update]:
        """Runs the pipeline, `events(stop=...)`, and yields what the page shows; whatever happens, it can go on."""
        stop = session.begin()
        last: tuple[type | None, float] = (None, 0.0)
        end = Status("Stopped.", kind="idle")
        result: Update = {}
        try:
            yield {self._stop: gr.update(interactive=True), self._start: gr.update(interactive=False)}
            with closing(events(stop=stop)) as stream:
                for event in stream:
                    if stop is not session.stop:
                        break  # a newer request of the same page: nothing of this one may be kept
                    now = time.monotonic()
                    if isinstance(event, until):
                        end = READY if isinstance(event, Read) else presentation.status_of(event)
                        result = show(event) or {}
                        break
                    if last[0] is type(event) and now - last[1] < REFRESH:
                        continue
                    last = (type(event), now)
                    yield {**self._line(presentation.status_of(event)), **(show(event) or {})}
        except PasswordNeeded as error:
            end = Status(str(error), kind="error")
            yield {LOCKED: True}
        except (DocumentError, SummaryError) as error:
            end = Status(str(error), kind="error")
        except Stopped:
            end = Status("Stopped.", kind="idle")
        except Exception:
            log.exception("unexpected error")
            end = Status(BROKEN, kind="error")
        finally:
            superseded = stop is not session.stop
            session.end(stop)
        if not superseded:  # else the page already shows what came after
            # One update with everything: as soon as the button can be pressed, nothing of this run may follow.
            yield {
                **result,
                **self._line(end),
                self._stop: gr.update(interactive=False),
                self._start: gr.update(interactive=session.document is not None),
            }

    def _halt(self, request: gr.Request) -> None:
        session = self._sessions.find(_key(request))
        if session is not None:
            session.stop.set()

    # What can be done with a summary

    def _show_evidence(self, event: gr.EventData, request: gr.Request) -> tuple[Any, Any, int]:
        summary = self._finished(request)
        index = event.sentence
        if summary is None or not isinstance(index, int) or not 0 <= index < len(summary.sentences):
            return presentation.hint(CHOOSE), gr.update(visible=False), -1
        page = presentation.evidence(summary.document, summary.sentences[index])
        return page, gr.update(visible=True), index

    def _exporter(self, kind: str) -> Callable[..., tuple[Any, Any]]:
        write, mime = {
            "md": (export.to_markdown, "text/markdown"),
            "txt": (export.to_text, "text/plain"),
            "json": (export.to_json, "application/json"),
        }[kind]

        def save(request: gr.Request) -> tuple[Any, Any]:
            summary = self._finished(request)
            if summary is None:
                gone = Status("The summary is no longer here: please make it again.", kind="error")
                return gr.skip(), presentation.status(gone)
            name = f"{Path(summary.document.name).stem or 'paper'}-summary.{kind}"
            return parcel(name, mime, write(summary).encode("utf-8")), gr.skip()

        return save

    def _finished(self, request: gr.Request) -> Summary | None:
        session = self._sessions.find(_key(request))
        return None if session is None else session.summary

    def _line(self, line: Status) -> Update:
        return {self._status: presentation.status(line)}

    def _empty(self) -> Update:
        return {
            self._summary: "",
            self._evidence: "",
            self._exports: gr.update(visible=False),
            self.inspect: gr.update(visible=False),
        }


def _key(request: gr.Request) -> str:
    return str(request.session_hash)
