"""A visitor's papers on the page: how they come in, the list of them, what is done with one or all."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app import export
from app.documents import DocumentError
from app.documents.addresses import url_of
from app.models import ModelStore
from app.page import shelf_view
from app.page.following import View, follow
from app.page.jobs import fetching, reading, summarizing
from app.page.links import Look, parse, query_of
from app.page.papers import Paper
from app.page.parcels import parcel
from app.page.sent import discard, said_by
from app.page.settings_panel import PAGE_EVENT, SettingsPanel
from app.page.streaming import Update
from app.page.visitors import MOST_PAPERS, Tab, Visitors, address_of, key_of
from app.summarizing.settings import SummaryError

log = logging.getLogger(__name__)

EXAMPLE = Path(__file__).resolve().parents[2] / "assets" / "example" / "longt5-explained.pdf"
NAME_CHARACTERS = 80
NOT_HERE = (
    "The paper of this link is not here. Papers are kept for the browser that brought them, and not for ever: "
    "choose the file again."
)
GONE = "This paper is no longer here: please choose the file again."
NOTHING = "There is no summary yet: summarize a paper first."
NOT_KEPT = "The server cannot keep files just now; please try again later."
TOO_MANY = "{most} papers can be worked on at once, and so many have been taken; bring the others later."

# Tells the server what was pressed in the list.
LIST_JS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-action]');
  if (button) trigger('click', {action: button.dataset.action, paper: button.dataset.paper});
});
"""
# Keeps in the browser who the visitor is, and in the address what the page shows.
MEMORY_JS = """
watch('value', () => {
  if (!props.value) return;
  const {visitor, query} = JSON.parse(props.value);
  try { localStorage.setItem('longt5-visitor', visitor); } catch { /* a browser that keeps nothing */ }
  const address = new URL(location.href);
  for (const name of ['paper', 'sentence', 'view', 'layer', 'head', 'window', 'start', 'count'])
    address.searchParams.delete(name);
  for (const [name, value] of new URLSearchParams(query)) address.searchParams.set(name, value);
  history.replaceState(history.state, '', address);
  window.dispatchEvent(new Event('longt5-link'));
});
"""
CONFIRM_JS = "() => [confirm('Delete all papers and summaries that this browser has brought here?')]"
REMEMBERED_JS = """() => {
  let visitor = null;
  try { visitor = localStorage.getItem('longt5-visitor'); } catch { /* a browser that keeps nothing */ }
  return [{visitor, query: location.search}];
}"""


class ShelfPanel:
    """The doors and the list. Everything is made inside a `gr.Blocks` context.

    `build_doors` and `build_list` build them where they are called; `wire` connects them to one another and to the
    panels that show a paper. Whatever else changes what a tab shows ends with `yield from shelf.follow(tab, values)`,
    whose outputs are what `wire` returned; a change of `Paper.look` is written to the address with `remember`.
    """

    def __init__(self, store: ModelStore, visitors: Visitors, courier: gr.HTML) -> None:
        self._store = store
        self._visitors = visitors
        self._courier = courier
        self._views: list[View] = []
        self.memory = gr.HTML(html_template="", js_on_load=MEMORY_JS, elem_id="memory")
        """Writes to the browser who the visitor is and what the page shows; see `remember`."""

    def build_doors(self) -> None:
        """The ways in: files, the example, pasted text, an address."""
        self._files = gr.File(
            label="PDF, text or Markdown, up to 20 at once", file_count="multiple", elem_id="file", height=150
        )
        self._example = gr.Button("Try the example", elem_id="example", size="sm")
        with gr.Accordion("Paste text instead", open=False, elem_id="paste"):
            self._text = gr.Textbox(
                label="Text of a paper",
                lines=5,
                max_lines=12,
                max_length=self._store.settings.max_characters,
                elem_id="pasted",
            )
            self._paste = gr.Button("Read this text", size="sm", elem_id="read-pasted")
        with gr.Row(visible=self._store.settings.allow_urls, elem_id="address-row"):
            self._address = gr.Textbox(
                label="arXiv id, DOI or address of a PDF", max_length=2_000, scale=3, elem_id="address"
            )
            self._fetch = gr.Button("Fetch", size="sm", scale=1, min_width=80, elem_id="fetch")

    def build_list(self) -> None:
        """The papers, and what is done with all of them."""
        with gr.Column(visible=False, elem_id="shelf") as self._all:
            self._list = gr.HTML(js_on_load=LIST_JS, elem_id="shelf-list")
            with gr.Row(elem_id="shelf-actions"):
                small: dict[str, Any] = {"size": "sm", "min_width": 70}
                self._summarize_all = gr.Button("Summarize all", elem_id="summarize-all", **small)
                self._stop_all = gr.Button("Stop all", elem_id="stop-all", **small)
                self._downloads = {
                    "md": gr.Button("All as Markdown", elem_id="download-all-md", **small),
                    "csv": gr.Button("All as a table", elem_id="download-all-csv", **small),
                }
                self._forget = gr.Button("Forget everything", elem_id="forget", **small)

    def wire(self, settings: SettingsPanel, views: list[View], outputs: list[Any]) -> list[Any]:
        """Connects everything and returns the components that `follow` changes.

        Args:
            settings: for what is summarized from the list.
            views: what the other panels show of a tab.
            outputs: the components that these views change.
        """
        self._settings = settings
        self._views = [*views, self.shown]
        shown = [*outputs, self.memory, self._list, self._all, self._summarize_all, self._stop_all]
        shown += [*self._downloads.values(), self._files, self._text, self._address]
        work: dict[str, Any] = {"concurrency_limit": None, "concurrency_id": "work", **PAGE_EVENT}
        controls = set(settings.controls)
        said, sure = gr.JSON(visible=False), gr.JSON(visible=False)

        # When the page is loaded.
        entered = gr.on(None, self._enter, said, self.memory, js=REMEMBERED_JS, queue=False, **PAGE_EVENT)
        entered.then(self._show, controls, shown, **work)
        self._files.upload(self._bring, controls | {self._files}, shown, **work)
        self._example.click(self._bring_example, controls, shown, **work)
        self._paste.click(self._bring_text, controls | {self._text}, shown, **work)
        for trigger in (self._fetch.click, self._address.submit):
            trigger(self._bring_address, controls | {self._address}, shown, **work)
        self._list.click(self._press, controls, shown, **work)
        self._summarize_all.click(self._start_all, controls, shown, **work)
        self._stop_all.click(self._halt_all, None, None, queue=False, **PAGE_EVENT)
        forgotten = self._forget.click(self._forget_all, sure, None, js=CONFIRM_JS, queue=False, **PAGE_EVENT)
        forgotten.then(self._show, controls, shown, **work)
        for kind, button in self._downloads.items():
            button.click(self._exporter(kind), None, self._courier, **PAGE_EVENT)
        return shown

    def tab(self, request: gr.Request) -> Tab:
        """The tab that an event came from."""
        return self._visitors.tab(key_of(request), address_of(request))

    def follow(self, tab: Tab, values: Update) -> Iterator[Update]:
        """What the page shows of a tab, now and until no work is left: what an event ends with that asks for some.

        `values` has what the settings' controls say in it.
        """
        return follow(tab, values, self._views)

    def remember(self, tab: Tab) -> Update:
        """Writes the link to what the tab shows into the browser's address."""
        query = query_of(tab.paper.id, tab.paper.look) if tab.paper else ""
        return {self.memory: json.dumps({"visitor": tab.visitor.token, "query": query})}

    def shown(self, tab: Tab, values: Update) -> Update:
        """The list as it is now."""
        papers = list(tab.visitor.papers)
        ahead = {paper.id: tab.visitor.desk.ahead_of(paper) for paper in papers if paper.state == "waiting"}
        summaries = sum(paper.summary is not None for paper in papers)
        several = gr.update(visible=summaries > 1)
        return {
            **self.remember(tab),
            self._all: gr.update(visible=bool(papers)),
            self._list: shelf_view.shelf(papers, tab.paper, ahead),
            self._summarize_all: gr.update(visible=len(papers) > 1, interactive=any(map(_to_do, papers))),
            self._stop_all: gr.update(visible=len(papers) > 1, interactive=tab.visitor.working),
            **dict.fromkeys(self._downloads.values(), several),
        }

    # Papers come in

    def _enter(self, said: Any, request: gr.Request) -> str:
        """A page has been loaded: it turns to the paper that its link names, or else to the one looked at last."""
        said = said if isinstance(said, dict) else {}
        tab = self._visitors.enter(key_of(request), said.get("visitor"), address_of(request))
        named, look = parse(said.get("query"))
        paper = max(tab.visitor.papers, key=lambda paper: paper.last_used, default=None)
        if named is not None:
            paper = tab.visitor.find(named)
        if paper is not None and look != Look():
            paper.look = look
        tab.show(paper, NOT_HERE if named and paper is None else "")
        for each in tab.visitor.papers:
            self._read_after_all(tab, each)
        return self.remember(tab)[self.memory]

    def _show(self, values: Update, request: gr.Request) -> Iterator[Update]:
        yield from self.follow(self.tab(request), values)

    def _bring(self, values: Update, request: gr.Request) -> Iterator[Update]:
        yield {self._files: None}  # room for the next ones
        tab, files = self.tab(request), values[self._files] or []
        if len(files) > MOST_PAPERS:
            gr.Warning(TOO_MANY.format(most=MOST_PAPERS))
        papers = []
        for file in reversed(files[:MOST_PAPERS]):  # the latest is the first of the list
            try:
                papers.append(self._visitors.add(tab.visitor, file.name, file))
            except (SummaryError, OSError) as error:
                gr.Warning(_why_not(error))
        for file in files:
            discard(file)
        for paper in reversed(papers):
            tab.visitor.desk.start(paper, "reading", reading(paper, self._store))
        if papers:
            tab.show(papers[-1])
        yield from self.follow(tab, values)

    def _bring_example(self, values: Update, request: gr.Request) -> Iterator[Update]:
        tab = self.tab(request)
        paper = next((paper for paper in tab.visitor.papers if paper.file == EXAMPLE), None)
        if paper is None:
            paper = self._added(tab, EXAMPLE.name, EXAMPLE)
            if paper is not None:
                tab.visitor.desk.start(paper, "reading", reading(paper, self._store))
        tab.show(paper or tab.paper)
        yield from self.follow(tab, values)

    def _bring_text(self, values: Update, request: gr.Request) -> Iterator[Update]:
        text = values[self._text]
        if not isinstance(text, str) or not text.strip():
            gr.Warning("Paste the text of a paper first.")
            return
        yield {self._text: ""}
        tab = self.tab(request)
        paper = self._added(tab, name_of(text))
        if paper is not None and paper.file is not None:
            try:
                paper.file_bytes = paper.file.write_bytes(text.encode("utf-8", errors="replace"))
            except OSError as error:
                tab.visitor.delete(paper)
                gr.Warning(_why_not(error))
                return
            tab.visitor.desk.start(paper, "reading", reading(paper, self._store))
            tab.show(paper)
        yield from self.follow(tab, values)

    def _bring_address(self, values: Update, request: gr.Request) -> Iterator[Update]:
        try:
            if not self._store.settings.allow_urls:
                raise DocumentError("Nothing is fetched from here: download the file and choose it.")
            address = url_of(str(values[self._address] or ""))
        except DocumentError as error:
            gr.Warning(str(error))
            return
        yield {self._address: ""}
        tab = self.tab(request)
        paper = self._added(tab, str(address))
        if paper is not None:
            tab.visitor.desk.start(paper, "reading", fetching(paper, address, self._store))
            tab.show(paper)
        yield from self.follow(tab, values)

    def _added(self, tab: Tab, name: str, file: Path | None = None) -> Paper | None:
        """A new paper whose file is not an upload; None, and a warning, where there is no room."""
        try:
            return self._visitors.add(tab.visitor, name, file, move=file is None)
        except SummaryError as error:
            gr.Warning(str(error))
            return None

    # What is done with them

    def _press(self, values: Update, request: gr.Request, event: gr.EventData) -> Iterator[Update]:
        """Opens, stops or deletes the paper whose button was pressed in the list."""
        tab = self.tab(request)
        said = said_by(event)
        action, paper = said.get("action"), tab.visitor.find(said.get("paper"))
        if paper is None:
            gr.Warning(GONE)
        elif action == "open":
            tab.show(paper)
            self._read_after_all(tab, paper)
        elif action == "stop":
            tab.visitor.desk.stop(paper)
        elif action == "delete":
            tab.visitor.delete(paper)
        yield from self.follow(tab, values)

    def _read_after_all(self, tab: Tab, paper: Paper) -> None:
        """Has a paper read whose reading was stopped, as it is when the page is closed."""
        if paper.state == "stopped" and paper.document is None and paper.file and paper.file.exists():
            tab.visitor.desk.start(paper, "reading", reading(paper, self._store))

    def _start_all(self, values: Update, request: gr.Request) -> Iterator[Update]:
        tab = self.tab(request)
        try:
            settings = self._settings.settings(values)
        except SummaryError as error:
            gr.Warning(str(error))
            return
        for paper in list(tab.visitor.papers):
            if _to_do(paper):
                tab.visitor.desk.start(paper, "summarizing", summarizing(paper, settings, self._store))
        yield from self.follow(tab, values)

    def _halt_all(self, request: gr.Request) -> None:
        self.tab(request).visitor.stop()

    def _forget_all(self, sure: Any, request: gr.Request) -> None:
        if sure is True:
            self.tab(request).visitor.forget()

    def _exporter(self, kind: str) -> Callable[[gr.Request], Any]:
        def save(request: gr.Request) -> Any:
            papers = self.tab(request).visitor.papers
            summaries = [paper.summary for paper in reversed(papers) if paper.summary is not None]
            if not summaries:
                gr.Warning(NOTHING)
                return gr.skip()
            if kind == "csv":
                return parcel("summaries.csv", "text/csv", export.to_csv(summaries).encode("utf-8"))
            return parcel("summaries.md", "text/markdown", export.to_one_markdown(summaries).encode("utf-8"))

        return save


def name_of(text: str) -> str:
    """What to call a text that was pasted: its first line, as the name of a file."""
    line = next(line for line in text.splitlines() if line.strip())
    name = " ".join(re.sub(r"[/\\\x00-\x1f]", " ", line).lstrip("# \t").split())
    return (
        name if len(name) <= NAME_CHARACTERS else name[:NAME_CHARACTERS].rpartition(" ")[0] + "\u2026"
    ) or "Text"


def _why_not(error: Exception) -> str:
    """Why a paper was not taken in."""
    if isinstance(error, SummaryError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return GONE
    log.error("A paper could not be kept: %s", error)
    return NOT_KEPT


def _to_do(paper: Paper) -> bool:
    """Whether a paper can be summarized and is neither summarized nor in line for it."""
    if (
        paper.file is None
        or not paper.file.exists()
        or paper.state in ("locked", "failed", "summarizing", "done")
    ):
        return False
    return paper.document is not None if paper.state != "waiting" else paper.document is None
