"""The same functions for programs: named endpoints for `gradio_client`, and MCP tools where asked for.

An endpoint hands out a `summary_id`; with it the attention of that summary can be asked for. The id
can't be guessed, and what it stands for is kept as long as an open page would keep its paper.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import gradio as gr
import numpy as np

from app import export
from app.documents import DocumentError
from app.inspecting import inspector
from app.inspecting.inspection import Inspection, answer, first_question, within
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY, Question
from app.inspecting.views import VIEWS
from app.models import ModelStore
from app.page import presentation
from app.page.sessions import Session, Sessions
from app.page.summary_panel import BROKEN
from app.summarizing.settings import SummaryError, changed, schema
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done

log = logging.getLogger(__name__)
MAPS = tuple(name for name, view in VIEWS.items() if view.is_map)
UNKNOWN = "No summary of that summary_id is kept: summarize the paper again."


class Api:
    """Builds its endpoints where it is made, inside a `gr.Blocks` context."""

    def __init__(self, store: ModelStore, sessions: Sessions) -> None:
        self._store = store
        self._sessions = sessions
        # A file has to pass Gradio's check that it was uploaded, which only a component's event makes:
        # with gr.api a caller could name any file of the server.
        settings = gr.JSON({}, visible=False)
        settings.api_info = schema  # of an object that names every setting, not of any JSON
        inputs = [
            gr.File(visible=False),
            gr.Textbox("", visible=False),
            settings,
            gr.Textbox("", visible=False),
        ]
        gr.Button(visible=False).click(
            self.summarize,
            inputs,
            gr.JSON(visible=False),
            api_name="summarize",
            concurrency_limit=None,
            concurrency_id="work",
        )
        gr.api(self.models, api_name="models", queue=False)
        gr.api(self.attention_overview, api_name="attention_overview", concurrency_id="maps")
        gr.api(self.attention_map, api_name="attention_map", concurrency_id="maps")

    def summarize(
        self, file: str, model: str, settings: dict[str, Any] | None, password: str
    ) -> Iterator[dict[str, Any]]:
        """Summarize a paper and say for each sentence of the summary on which passages and pages it rests.

        While it works it yields {"status": ...}; the last result has the summary, its sentences with
        evidence, what was read and left out, and a summary_id for the attention endpoints.

        Parameters:
            file: the paper, a PDF, text or Markdown file.
            model: one of the names that /models lists; empty for the default.
            settings: what to change from the model's defaults, such as {"length": "short",
                "long_papers": "truncate"}; /models lists every name with its default.
            password: of an encrypted PDF, else empty.
        """
        if not file:
            raise gr.Error("Send a file to summarize.", print_exception=False)
        path, key = Path(file), secrets.token_urlsafe(16)
        session = self._sessions.open(key)
        stop = session.begin()
        try:
            with _plainly():
                defaults = self._store.profile(model or self._store.choices[0]).defaults
                wanted = changed(defaults, settings or {})
                events = summarize(
                    path, wanted, self._store, name=path.name, password=password or None, stop=stop
                )
                with closing(events):
                    for event in events:
                        if isinstance(event, Done):
                            session.document, session.summary = event.summary.document, event.summary
                            yield {"summary_id": key, **export.to_dict(event.summary)}
                        else:
                            line = presentation.status_of(event)
                            yield {"status": f"{line.phase} {line.detail}".strip()}
        finally:
            session.end(stop)
            path.unlink(missing_ok=True)
            if session.summary is None:
                self._sessions.drop(key)

    def models(self) -> list[dict]:
        """The models on offer, the default first: name, longest input in tokens, default settings."""
        with _plainly():
            profiles = [self._store.profile(name) for name in self._store.choices]
        return [
            {"name": p.name, "max_input_tokens": p.max_input_tokens, "defaults": asdict(p.defaults)}
            for p in profiles
        ]

    def attention_overview(self, summary_id: str, window: int = 0) -> dict:
        """How every head of the encoder attended to the paper of a summary.

        Parameters:
            summary_id: as /summarize gave it.
            window: which part of a paper that was read in several, from 0.

        Returns:
            layers, heads, views, tokens and pages of the window; global_share (0 to 1), mean_distance (tokens) and
            entropy (nats), each as a list of layers with one number a head, and names, what each head does.
        """
        with _plainly():
            held = self._inspect(summary_id, window)
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
        summary_id: str,
        view: str = MAPS[0],
        layer: int = 0,
        head: int = ALL_HEADS,
        start: int = 0,
        count: int = 0,
        window: int = 0,
        sentence: int = 0,
    ) -> dict:
        """The attention of a layer and head as an array of at most 512 x 512 weights, with its texts.

        Parameters:
            summary_id: as /summarize gave it.
            view: which one; /attention_overview lists those that there are.
            layer: of the view's stack, from 0.
            head: from 0; -1 for the mean of all.
            start: first token of the paper to show.
            count: how many tokens to show; 0 for all. More than 512 are pooled.
            window: which part of a paper that was read in several, from 0; a sentence has its own.
            sentence: which sentence of the summary, from 0, for views of one; -1 for the whole summary.
        """
        with _plainly():
            session = self._session(summary_id)
            assert session.summary is not None
            if view not in MAPS:
                raise SummaryError(f"There is no view {view!r}; there are {', '.join(MAPS)}.")
            of_sentence = "sentence" in VIEWS[view].controls
            if of_sentence and 0 <= sentence < len(session.summary.sentences):
                window = session.summary.sentences[sentence].window
            held = self._inspect(summary_id, window)
            sentence = sentence if of_sentence else WHOLE_SUMMARY
            option = VIEWS[view].options[0][1]
            asked = Question(window, view, layer, head, sentence, start, count or held.outline.tokens, option)
            if replace(within(held.outline, asked), count=asked.count) != asked:
                raise SummaryError(
                    "There is no such layer, head, sentence or token: ask /attention_overview."
                )
            asked = within(held.outline, asked)
            found = answer(self._store, held, asked, session.begin_maps()).arrays
        named = ("row_spans", "column_spans", "row_texts", "column_texts", "pooling")
        return {"weights": _digits(found["weights"]), **{name: found[name].tolist() for name in named}}

    def _session(self, summary_id: str) -> Session:
        session = self._sessions.find(summary_id)
        if session is None or session.summary is None:
            raise SummaryError(UNKNOWN)
        return session

    def _inspect(self, summary_id: str, window: int) -> Inspection:
        """The window under inspection; its statistics are computed once."""
        session = self._session(summary_id)
        summary, held = session.summary, session.inspection
        assert summary is not None
        if not 0 <= window < len(summary.windows):
            raise SummaryError(f"This paper was read in {len(summary.windows)} part(s), numbered from 0.")
        if held is None or held.summary is not summary or held.question.window != window:
            outline = inspector.outline(self._store, summary, window)
            overview = inspector.overview(self._store, summary, window, session.begin_maps())
            asked = first_question(outline, window)
            held = session.inspection = Inspection(summary, outline, {"encoder": overview}, asked)
        return held


Api.attention_map.__annotations__["view"] = Literal[MAPS]  # the schema names every view


@contextmanager
def _plainly() -> Iterator[None]:
    """Turns what a caller can do something about into one sentence, anything else into an apology."""
    try:
        yield
    except (DocumentError, SummaryError) as error:
        raise gr.Error(str(error), print_exception=False) from None
    except (TypeError, ValueError) as error:
        raise gr.Error(f"A parameter can't be used: {error}", print_exception=False) from None
    except Exception:
        log.exception("unexpected error")
        raise gr.Error(BROKEN, print_exception=False) from None


def _digits(values: np.ndarray) -> list[Any]:
    """Numbers to four significant digits: enough to read, half as much to send."""
    return [[float(f"{value:.4g}") for value in line] for line in values.tolist()]
