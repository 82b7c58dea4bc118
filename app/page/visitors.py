"""Who is here and what the server keeps for them: visitors, their papers, their open tabs.

Bounded in number, in age and in bytes, whatever browsers do. The idlest go first, and of those the ones of the network
address that has the most; nobody goes who is being worked for.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr

from app.documents import Document
from app.inspecting.inspection import Inspection
from app.page.desk import Desk
from app.page.papers import Paper
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Summary
from app.turns import Caller

BROWSER_COOKIE = "longt5-browser"
"""Tells browsers apart where scripts can't read it; the server sets it with the page."""
MOST_PAPERS = 20
"""How many papers a visitor may have."""
MOST_VISITORS = 1_000
MOST_TABS = 50
REMEMBERED_TABS = 10_000
ALONE_SECONDS = (
    1.2  # how long work goes on after the last tab was closed: a page that is loaded again is back by then
)
FULL = "All {most} of your papers are being worked on; stop or delete one of them first."
CROWDED = "So many papers are being worked on that there is no room for yours; try again in a few minutes."


@dataclass(eq=False)
class Tab:
    """An open page; changed by that page's own events only."""

    visitor: Visitor
    paper: Paper | None = None
    """What it shows."""
    closed: bool = False
    """As far as is known: a browser whose connection broke comes back with its next event."""
    notice: str = ""
    """A sentence to show while there is no paper: why there is none."""
    shows_example: bool = False
    """Whether that is what was last shown of it; a page that was left behind shows a paper that is gone."""
    showing: int = 0
    """Counts the events that show something; one that finds it changed has been overtaken, and ends."""
    inspection: Inspection | None = None
    """What its attention tab shows."""
    link: str = ""
    """The question in the address that the page was opened with; its first inspection asks it."""
    opening: Summary | None = None
    """The summary whose attention tab is being filled."""
    wanted: int | None = None
    """Sentence whose attention was asked for; whichever event comes to the tab first takes it."""
    maps_stop: threading.Event = field(default_factory=threading.Event)

    @property
    def document(self) -> Document | None:
        """Of the paper that it shows."""
        return self.paper.document if self.paper else None

    @property
    def summary(self) -> Summary | None:
        """Of the paper that it shows."""
        return self.paper.summary if self.paper else None

    @property
    def awaits_summary(self) -> bool:
        """Whether the first summary of the paper that it shows is being made."""
        return self.paper is not None and self.paper.busy and self.paper.summary is None and not self.closed

    def await_summary(self, seconds: float) -> None:
        """Returns when it is made or will not be, or when the tab is turned to another paper; looks every so often."""
        paper, version = self.paper, -1
        while self.paper is paper and self.awaits_summary:
            version = self.visitor.desk.wait(version, seconds)

    def begin_maps(self) -> threading.Event:
        """Ends what the attention tab was doing and returns the stop event of what it does next."""
        self.maps_stop.set()
        self.maps_stop = threading.Event()
        return self.maps_stop

    def turn(self) -> int:
        """Overtakes the event that has been showing something; returns the new value of `showing`."""
        self.showing += 1
        return self.showing

    def show(self, paper: Paper | None, notice: str = "") -> int:
        """Turns to a paper, or to none; returns the new value of `showing`."""
        if paper is not self.paper:
            self.maps_stop.set()
            self.inspection = None
            self.shows_example = False
        self.paper, self.notice = paper, notice
        if paper is not None:
            paper.last_used = time.monotonic()
        return self.turn()


class Visitor:
    """Somebody, known by a token that only his browser has, and what he brought."""

    def __init__(self, token: str, address: str, folder: Path) -> None:
        """`folder`: where files are kept, under names that say nothing."""
        self.token = token
        self.address = address
        self.papers: list[Paper] = []
        """The latest first."""
        self.tabs: OrderedDict[str, Tab] = OrderedDict()
        self.desk = Desk()
        self.last_used = time.monotonic()
        self._folder = folder

    @property
    def working(self) -> bool:
        """Whether any of the papers waits for work or is worked on."""
        return any(paper.busy for paper in self.papers)

    @property
    def bytes(self) -> int:
        """About what the papers take, on disk and in memory."""
        return sum(paper.bytes for paper in self.papers)

    def find(self, paper_id: str | None) -> Paper | None:
        """The paper of that id, if this visitor has it."""
        return next((paper for paper in self.papers if paper.id == paper_id), None)

    def add(self, name: str, file: Path | None = None, *, move: bool = True) -> Paper:
        """Takes a paper in, and its file into the private folder; the idlest makes room for it.

        Args:
            move: False for a file that is not the visitor's own and stays where it is.

        Raises:
            SummaryError: all papers are being worked on.
            FileNotFoundError: there is no such file: nothing, a folder or a link to elsewhere is at its place.
        """
        if file is not None and move and (file.is_symlink() or not file.is_file()):
            raise FileNotFoundError(file)
        while len(self.papers) >= MOST_PAPERS:
            idle = [paper for paper in self.papers if not paper.busy]
            if not idle:
                raise SummaryError(FULL.format(most=MOST_PAPERS))
            self.delete(min(idle, key=lambda paper: paper.last_used))
        paper = Paper(name, own_file=move, brought_by=Caller(self.address, self.token))
        paper.file = self._folder / paper.id if move else file
        if file is not None and move:
            shutil.move(file, self._folder / paper.id)
            paper.file_bytes = (self._folder / paper.id).stat().st_size
        self.papers.insert(0, paper)
        self.desk.changed()
        return paper

    def delete(self, paper: Paper) -> None:
        """Forgets a paper, file and all."""
        paper.forget()
        if paper in self.papers:
            self.papers.remove(paper)
        for tab in self.tabs.values():
            if tab.paper is paper:
                tab.show(None)
        self.desk.changed()

    def forget(self) -> None:
        """Forgets everything."""
        for paper in list(self.papers):
            self.delete(paper)

    def stop(self) -> None:
        """Ends all work on the papers; what was read and written is kept."""
        for paper in self.papers:
            self.desk.stop(paper)
        for tab in self.tabs.values():
            tab.maps_stop.set()


class Visitors:
    """Visitors by token, tabs by the key that the browser's page has. All methods may be called from any thread."""

    def __init__(self, seconds: float, most_bytes: int, *, most: int = MOST_VISITORS) -> None:
        """Opens the house, with nobody in it.

        Args:
            seconds: how long somebody who does nothing is kept.
            most_bytes: how much everybody's papers may take together, on disk and in memory.
            most: how many visitors are kept.
        """
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._most = most
        self._lock = threading.RLock()
        self._visitors: dict[str, Visitor] = {}
        self._tokens: OrderedDict[str, str] = OrderedDict()  # of tabs, whoever is here or was
        self._folder = Path(tempfile.mkdtemp(prefix="longt5-papers-"))  # for its owner only

    def __len__(self) -> int:
        return len(self._visitors)

    @property
    def bytes(self) -> int:
        """About what all papers take, on disk and in memory."""
        return sum(visitor.bytes for visitor in list(self._visitors.values()))

    def enter(self, key: str, token: object = None, address: str = "") -> Tab:
        """A page has been loaded: its tab, of the visitor of that token or of a new one.

        Args:
            key: names the tab.
            token: what the browser kept, which may be anything.
            address: where on the network it comes from.
        """
        with self._lock:
            known = self._visitors.get(self._tokens.get(key, ""))
            if known is not None and known.papers:  # nobody turns somebody else's tab to a visitor of his own
                token = known.token
            elif not isinstance(token, str) or token not in self._visitors:
                token = secrets.token_urlsafe(24)
            self._remember(key, token)
            return self._tab(key, token, address)

    def tab(self, key: str, address: str = "") -> Tab:
        """The tab of an event. One that never was loaded, or was forgotten, has a visitor without papers."""
        with self._lock:
            token = self._tokens.get(key) or secrets.token_urlsafe(24)
            self._remember(key, token)
            return self._tab(key, token, address)

    def leave(self, key: str) -> None:
        """A page has been closed. Work for its visitor ends, unless he has another one open or opens one at once."""
        with self._lock:
            visitor = self._visitors.get(self._tokens.get(key, ""))
            tab = visitor.tabs.get(key) if visitor else None
            if visitor is None or tab is None:
                return
            tab.closed = True
            tab.inspection = None  # the large part
            tab.maps_stop.set()

        def stop_if_alone() -> None:
            if all(tab.closed for tab in list(visitor.tabs.values())):
                visitor.stop()

        timer = threading.Timer(ALONE_SECONDS, stop_if_alone)
        timer.daemon = True
        timer.start()

    def find(self, token: object) -> Visitor | None:
        """The visitor of that token, if he is still kept."""
        with self._lock:
            visitor = self._visitors.get(token) if isinstance(token, str) else None
            if visitor is not None:
                visitor.last_used = time.monotonic()
            return visitor

    def open(self, address: str = "") -> Visitor:
        """A new visitor without a tab: a program."""
        with self._lock:
            return self._visitor(secrets.token_urlsafe(24), address)

    def add(self, visitor: Visitor, name: str, file: Path | None = None, *, move: bool = True) -> Paper:
        """Takes a paper in for a visitor, as `Visitor.add`, and makes room for it.

        Raises:
            SummaryError: there is no room.
            FileNotFoundError: there is no such file.
        """
        with self._lock:
            visitor.last_used = time.monotonic()
            self.sweep(keep=visitor)
            if self.bytes > self._most_bytes:
                raise SummaryError(CROWDED)
            return visitor.add(name, file, move=move)

    def drop(self, visitor: Visitor) -> None:
        """Forgets a visitor and everything that was kept for him."""
        with self._lock:
            self._visitors.pop(visitor.token, None)
        visitor.forget()

    def sweep(self, keep: Visitor | None = None) -> None:
        """Drops whoever has been idle too long, and the idlest while there are too many or too much."""
        with self._lock:
            now = time.monotonic()
            for visitor in list(self._visitors.values()):
                idle = visitor is not keep and not visitor.working
                if idle and now - visitor.last_used > self._seconds:
                    self.drop(visitor)
            while len(self._visitors) > self._most or self.bytes > self._most_bytes:
                leaving = self._idlest(keep)
                if leaving is None:
                    return
                self.drop(leaving)

    def close(self) -> None:
        """Forgets everybody and removes the folder of their files."""
        with self._lock:
            for visitor in list(self._visitors.values()):
                visitor.stop()
                self.drop(visitor)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _idlest(self, keep: Visitor | None) -> Visitor | None:
        """Who goes next: first those who have nothing, then of the address that has most the one idle longest."""
        having = Counter(visitor.address for visitor in self._visitors.values() if visitor.papers)

        def order(visitor: Visitor) -> tuple[bool, int, float]:
            has = bool(visitor.papers)
            return has, -having[visitor.address] if has else 0, visitor.last_used

        idle = [visitor for visitor in self._visitors.values() if visitor is not keep and not visitor.working]
        return min(idle, key=order, default=None)

    def _visitor(self, token: str, address: str) -> Visitor:
        visitor = self._visitors.get(token)
        if visitor is None:
            visitor = self._visitors[token] = Visitor(token, address, self._folder)
            self.sweep(keep=visitor)
        visitor.last_used = time.monotonic()
        return visitor

    def _tab(self, key: str, token: str, address: str) -> Tab:
        visitor = self._visitor(token, address)
        tab = visitor.tabs.setdefault(key, Tab(visitor))
        tab.closed = False
        visitor.tabs.move_to_end(key)
        while len(visitor.tabs) > MOST_TABS:
            _, idlest = visitor.tabs.popitem(last=False)
            idlest.closed = True  # whatever event shows something in it ends
            idlest.maps_stop.set()
        return tab

    def _remember(self, key: str, token: str) -> None:
        self._tokens[key] = token
        self._tokens.move_to_end(key)
        while len(self._tokens) > REMEMBERED_TABS:
            self._tokens.popitem(last=False)


def address_of(request: gr.Request) -> str:
    """Where on the network a request comes from."""
    return str(request.client.host) if request.client else ""


def key_of(request: gr.Request) -> str:
    """Names the tab of a request: by what its page calls itself, which is no secret, and by one of its browser's."""
    secret = getattr(request.request, "cookies", {}).get(BROWSER_COOKIE, "") if request.request else ""
    return f"{request.session_hash} {secret}".strip()
