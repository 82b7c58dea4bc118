"""The functions for programs, whatever they come through: a paper's summary, the models, its attention.

A summary comes with a `summary_id`; with it its attention can be asked for. The id can't be guessed, and what it
stands for is kept for as long as an open page would keep its paper. Whatever goes wrong is a SummaryError or a
DocumentError of one sentence.
"""

from __future__ import annotations

import logging
import reprlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from app import export
from app.documents import DocumentError
from app.inspecting import inspector
from app.inspecting.inspection import Inspection, answer, first_question, within
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY, Question
from app.inspecting.views import VIEWS
from app.models import ModelStore
from app.summarizing.settings import SummaryError, changed
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Event, Summary
from app.turns import Caller
from app.work import Stopped

log = logging.getLogger(__name__)

BROKEN = "Something went wrong on our side, and it has been written to the log. Please try again."
MAPS = tuple(name for name, view in VIEWS.items() if view.is_map)
"""The views that are an array of weights."""
MOST_SUMMARIES = 200
MOST_OF_A_VISITOR = 10


class Programs:
    """The functions. All methods may be called from any thread."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._kept = _KeptSummaries(store.settings.session_seconds)

    def summarize(
        self,
        path: Path,
        *,
        name: str,
        model: Any = None,
        settings: Any = None,
        password: Any = None,
        caller: Caller | None = None,
        stop: threading.Event | None = None,
    ) -> Generator[Event | dict[str, Any], None, None]:
        """Yields the events on the way, and last what `export.to_dict` says of the summary, with its summary_id."""
        with _plainly():
            given = {} if settings is None else settings
            if not isinstance(given, Mapping):
                raise SummaryError("settings must be an object of names and values.")
            defaults = self._store.profile(_text("model", model) or self._store.choices[0]).defaults
            wanted = changed(defaults, given)
            key = _text("password", password) or None
            events = summarize(path, wanted, self._store, name=name, password=key, caller=caller, stop=stop)
            with closing(events):
                for event in events:
                    if isinstance(event, Done):
                        summary_id = self._kept.add(event.summary, caller or Caller())
                        yield {"summary_id": summary_id, **export.to_dict(event.summary)}
                    else:
                        yield event

    def models(self) -> list[dict[str, Any]]:
        """The models on offer, the default first: name, longest input in tokens, default settings.

        Those whose files can't be read are left out, unless there is no other.
        """
        profiles, problem = [], None
        with _plainly():
            for name in self._store.choices:
                try:
                    profiles.append(self._store.profile(name))
                except SummaryError as error:
                    log.warning("A model is not on offer: %s", error)
                    problem = problem or error
            if problem is not None and not profiles:
                raise problem
        return [
            {"name": p.name, "max_input_tokens": p.max_input_tokens, "defaults": asdict(p.defaults)}
            for p in profiles
        ]

    def attention_overview(
        self, summary_id: Any, window: Any = 0, stop: threading.Event | None = None
    ) -> dict[str, Any]:
        """How every head of the encoder attended to the paper of a summary, and what there is to choose from."""
        with _plainly():
            held = self._inspect(summary_id, _whole("window", window, 0), stop)
        outline, overview = held.outline, held.overviews["encoder"]
        found = overview.statistics.measures
        return {
            "layers": outline.encoder_layers,
            "decoder_layers": outline.decoder_layers,
            "heads": outline.heads,
            "views": [
                {"name": view.name, "shows": view.caption, "layers": view.layers(outline)}
                for view in VIEWS.values()
                if view.is_map and view.exists(outline)
            ],
            "tokens": outline.tokens,
            "pages": [{"page": page, "start": start, "end": end} for page, start, end in outline.pages],
            "global_share": _digits(found["global_share"]),
            "mean_distance": _digits(found["mean_distance"]),
            "entropy": _digits(found["entropy"]),
            "names": [[name.name if name else "" for name in layer] for layer in overview.names],
        }

    def attention_map(
        self,
        summary_id: Any,
        view: Any = None,
        *,
        layer: Any = 0,
        head: Any = ALL_HEADS,
        start: Any = 0,
        count: Any = 0,
        window: Any = 0,
        sentence: Any = 0,
        stop: threading.Event | None = None,
    ) -> dict[str, Any]:
        """The attention of a layer and head as an array of at most 512 x 512 weights, with its texts."""
        with _plainly():
            summary = self._kept.find(summary_id).summary
            name = _text("view", view) or MAPS[0]
            if name not in MAPS:
                raise SummaryError(f"There is no view {reprlib.repr(name)}; there are {', '.join(MAPS)}.")
            of_sentence = "sentence" in VIEWS[name].controls
            asked = Question(
                _whole("window", window, 0),
                name,
                _whole("layer", layer, 0),
                _whole("head", head, ALL_HEADS),
                _whole("sentence", sentence, 0) if of_sentence else WHOLE_SUMMARY,
                _whole("start", start, 0),
                _whole("count", count, 0),
                VIEWS[name].options[0][1],
            )
            if of_sentence and 0 <= asked.sentence < len(summary.sentences):
                asked = replace(asked, window=summary.sentences[asked.sentence].window)
            held = self._inspect(summary_id, asked.window, stop)
            asked = replace(asked, count=asked.count or held.outline.tokens)
            if replace(within(held.outline, asked), count=asked.count) != asked:
                raise SummaryError(
                    "There is no such layer, head, sentence or token: ask attention_overview which there are."
                )
            found = answer(self._store, held, within(held.outline, asked), stop).arrays
        named = ("row_spans", "column_spans", "row_texts", "column_texts", "pooling")
        return {"weights": _digits(found["weights"]), **{name: found[name].tolist() for name in named}}

    def _inspect(self, summary_id: Any, window: int, stop: threading.Event | None) -> Inspection:
        """The window under inspection; its statistics are computed once."""
        kept = self._kept.find(summary_id)
        summary, held = kept.summary, kept.inspection
        if not 0 <= window < len(summary.windows):
            raise SummaryError(f"This paper was read in {len(summary.windows)} part(s), numbered from 0.")
        if held is None or held.question.window != window:
            outline = inspector.outline(self._store, summary, window)
            overview = inspector.overview(self._store, summary, window, stop)
            asked = first_question(outline, window)
            held = kept.inspection = Inspection(summary, outline, {"encoder": overview}, asked)
        return held


class _Kept:
    """A summary that attention can be asked of."""

    def __init__(self, summary: Summary, caller: Caller) -> None:
        self.summary = summary
        self.caller = caller
        self.inspection: Inspection | None = None
        self.last_used = time.monotonic()


class _KeptSummaries:
    """Summaries by id, bounded in number, by caller and in age: nobody can push out those of others by himself."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # the idlest first

    def add(self, summary: Summary, caller: Caller) -> str:
        """Keeps a summary and returns its id."""
        summary_id = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[summary_id] = _Kept(summary, caller)
            self._forget_old()
            own = [key for key, kept in self._kept.items() if kept.caller.address == caller.address]
            for key in own[: max(0, len(own) - MOST_OF_A_VISITOR)]:
                del self._kept[key]
            while len(self._kept) > MOST_SUMMARIES:
                self._kept.popitem(last=False)
        return summary_id

    def find(self, summary_id: Any) -> _Kept:
        """What is kept under an id.

        Raises:
            SummaryError: nothing is, or not any more.
        """
        with self._lock:
            self._forget_old()
            kept = self._kept.get(_text("summary_id", summary_id))
            if kept is None:
                raise SummaryError("No summary of that summary_id is kept: summarize the paper again.")
            kept.last_used = time.monotonic()
            self._kept.move_to_end(_text("summary_id", summary_id))
            return kept

    def _forget_old(self) -> None:
        now = time.monotonic()
        while self._kept and now - next(iter(self._kept.values())).last_used > self._seconds:
            self._kept.popitem(last=False)


@contextmanager
def _plainly() -> Iterator[None]:
    """Turns what nobody foresaw into an apology, with the rest in the log."""
    try:
        yield
    except (DocumentError, SummaryError, Stopped, GeneratorExit):
        raise
    except Exception:
        log.exception("unexpected error")
        raise SummaryError(BROKEN) from None


def _text(name: str, value: Any) -> str:
    """A text that was given; nothing is an empty one."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SummaryError(f"{name} must be a text, but it is {reprlib.repr(value)}.")
    return value


def _whole(name: str, value: Any, default: int) -> int:
    """A whole number that was given; nothing is the default."""
    if value is None:
        return default
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not whole or abs(value) > 2**53:
        raise SummaryError(f"{name} must be a whole number, but it is {reprlib.repr(value)}.")
    return int(value)


def _digits(values: np.ndarray) -> list[Any]:
    """Numbers to four significant digits: enough to read, half as much to send."""
    return [[float(f"{value:.4g}") for value in line] for line in values.tolist()]
