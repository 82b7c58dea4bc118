"""What the server keeps for each open page: its paper, its summary, and the way to stop its work.

Bounded in number and in age, whatever browsers do: a page that is closed is dropped at once, one
that is left open when it has been idle too long, and the idlest one when there are too many.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from app.documents import Document
from app.inspecting.inspection import Inspection
from app.summarizing.summary import Summary

MOST_SESSIONS = 200


@dataclass
class Session:
    """The state of one page; changed by that page's own events only."""

    document: Document | None = None
    summary: Summary | None = None
    upload: Path | None = None
    """A file that waits for its password; every other upload is deleted as soon as it has been read."""
    upload_name: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    working: bool = False
    inspection: Inspection | None = None
    """What its attention tab shows."""
    opening: Summary | None = None
    """The summary whose attention tab is being filled."""
    link: str = ""
    """The question in the address that the page was opened with; its first inspection asks it."""
    wanted: int | None = None
    """Sentence whose attention was asked for; whichever event comes to the tab first takes it."""
    maps_stop: threading.Event = field(default_factory=threading.Event)
    last_used: float = field(default_factory=time.monotonic)

    def begin(self) -> threading.Event:
        """Ends what this page was doing and returns the stop event of what it does next."""
        self.stop.set()
        self.stop = threading.Event()
        self.working = True
        return self.stop

    def end(self, stop: threading.Event) -> None:
        """The work begun with `stop` is over, however it ended."""
        stop.set()  # whatever still runs on its behalf
        if stop is self.stop:
            self.working = False
        self.last_used = time.monotonic()

    def begin_maps(self) -> threading.Event:
        """The same for the attention tab, whose work runs beside a summary."""
        self.maps_stop.set()
        self.maps_stop = threading.Event()
        return self.maps_stop

    def forget_upload(self) -> None:
        """Deletes the file that waited for its password."""
        if self.upload is not None:
            self.upload.unlink(missing_ok=True)
        self.upload = self.upload_name = None


class Sessions:
    """Sessions by key. All methods may be called from any thread."""

    def __init__(self, seconds: float, most: int = MOST_SESSIONS) -> None:
        self._seconds = seconds
        self._most = most
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, key: str) -> Session:
        """The session of that key, a new one if there is none (any more)."""
        with self._lock:
            session = self._sessions.setdefault(key, Session())
            session.last_used = time.monotonic()
            self._sessions.move_to_end(key)
            for old in self._stale(keep=key):
                _close(self._sessions.pop(old))
            return session

    def find(self, key: str) -> Session | None:
        """The session of that key, if it is still there."""
        with self._lock:
            if key not in self._sessions:
                return None
        return self.open(key)

    def drop(self, key: str) -> None:
        """Stops the work of a session and forgets it."""
        with self._lock:
            session = self._sessions.pop(key, None)
        if session is not None:
            _close(session)

    def _stale(self, keep: str) -> list[str]:
        now = time.monotonic()
        idle = [k for k, s in self._sessions.items() if k != keep and not s.working]
        old = [k for k in idle if now - self._sessions[k].last_used > self._seconds]
        surplus = len(self._sessions) - len(old) - self._most
        return old + [k for k in idle if k not in old][: max(0, surplus)]


def _close(session: Session) -> None:
    session.stop.set()
    session.maps_stop.set()
    session.forget_upload()
