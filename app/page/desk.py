"""Where a visitor's papers are worked on: one is read at a time, one is summarized at a time, in the order of asking.

The work runs in threads of its own and writes what it finds into the `Paper`; whoever shows it waits for changes. So a
page that is closed, loaded again or turned to another paper neither disturbs the work nor loses any of it.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from app.documents import DocumentError, PasswordNeeded
from app.page.papers import Paper, Progress
from app.programs import BROKEN
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Done, Read
from app.work import Stopped

Task: TypeAlias = Literal["reading", "summarizing"]
Ending: TypeAlias = Literal["done", "stopped", "locked", "failed"]
Work: TypeAlias = Callable[..., Generator[Progress, None, None]]
"""Called as `work(stop=event)`; yields what it has come to, last `Read` or `Done`."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Job:
    paper: Paper
    work: Work
    stop: threading.Event
    context: contextvars.Context
    """Of the request that asked for it, by which a GPU that is lent knows for whom."""

    @property
    def overtaken(self) -> bool:
        """Whether something else has been asked for the paper since."""
        return self.paper.stop is not self.stop


@dataclass
class _Line:
    """Those who wait for one task, and whether a thread is at it."""

    jobs: deque[_Job] = field(default_factory=deque)
    at_work: bool = False


class Desk:
    """The work on the papers of one visitor. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards the lines and the version
        self._version = 0
        self._lines: dict[Task, _Line] = {"reading": _Line(), "summarizing": _Line()}

    def start(self, paper: Paper, task: Task, work: Work, *, first: bool = False) -> None:
        """Puts a paper in line, as the next one with `first`. What was being done on it before ends."""
        self._end(paper)
        job = _Job(paper, work, threading.Event(), contextvars.copy_context())
        with self._changed:
            paper.stop = job.stop
            paper.state, paper.problem, paper.progress = "waiting", "", None
            line = self._lines[task]
            if first:
                line.jobs.appendleft(job)
            else:
                line.jobs.append(job)
            if not line.at_work:
                line.at_work = True
                threading.Thread(
                    target=self._run, args=(task, line), name=f"longt5-{task}", daemon=True
                ).start()
        self.changed()

    def stop(self, paper: Paper) -> None:
        """Ends the work on a paper, soon if it is going on, at once if it waits; what was read and written is kept."""
        if self._end(paper):
            _rest(paper, "stopped")
        self.changed()

    def changed(self) -> None:
        """Wakes whoever waits for a change."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def wait(self, version: int, seconds: float) -> int:
        """Returns as soon as something has changed since `version`, or after so many seconds; the version then."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, seconds)
            return self._version

    def ahead_of(self, paper: Paper) -> int:
        """How many of the visitor's own papers come before one that waits."""
        with self._changed:
            for line in self._lines.values():
                for place, job in enumerate(line.jobs):
                    if job.paper is paper:
                        return place + line.at_work
        return 0

    def _end(self, paper: Paper) -> bool:
        """Ends what is done on a paper; returns whether it was still waiting."""
        paper.stop.set()
        with self._changed:
            for line in self._lines.values():
                for job in line.jobs:
                    if job.paper is paper:
                        line.jobs.remove(job)
                        return True
        return False

    def _run(self, task: Task, line: _Line) -> None:
        while True:
            with self._changed:
                if not line.jobs:
                    line.at_work = False
                    return
                job = line.jobs.popleft()
                job.paper.state = task
            self.changed()
            job.context.run(self._do, job)
            self.changed()

    def _do(self, job: _Job) -> None:
        """Does a job, whatever comes of it."""
        ended: Ending = "done"
        problem = ""
        try:
            with closing(job.work(stop=job.stop)) as events:
                for event in events:
                    if job.overtaken:
                        return
                    _keep(job.paper, event)
                    self.changed()
        except PasswordNeeded as error:
            ended, problem = "locked", str(error)
        except (DocumentError, SummaryError) as error:
            ended, problem = "failed", str(error)
        except Stopped:
            ended = "stopped"
        except Exception:
            log.exception("unexpected error")
            ended, problem = "failed", BROKEN
        if not job.overtaken:
            job.paper.problem = problem
            _rest(job.paper, ended)


def _keep(paper: Paper, event: Progress) -> None:
    if isinstance(event, Read):
        paper.document = event.document
    elif isinstance(event, Done):
        paper.summary = event.summary
    else:
        paper.progress = event


def _rest(paper: Paper, ended: Ending) -> None:
    """The work on a paper is over."""
    paper.progress = None
    if ended in ("locked", "failed"):
        paper.state = ended
    elif paper.summary is not None:
        paper.state = "done" if paper.summary.complete else "stopped"
    else:
        paper.state = "read" if ended == "done" and paper.document is not None else "stopped"
