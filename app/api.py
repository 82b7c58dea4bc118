"""The functions for programs as named endpoints for `gradio_client`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from app.documents import DocumentError
from app.inspecting.questions import ALL_HEADS
from app.page import presentation
from app.programs import MAPS, Programs
from app.service.uploads import Uploads
from app.summarizing.settings import SummaryError, schema
from app.turns import Caller

STATUS_SECONDS = 0.3  # between two words about one phase; each takes some 10 ms of the whole server


class Api:
    """Builds its endpoints where it is made, inside a `gr.Blocks` context."""

    def __init__(self, programs: Programs, uploads: Uploads) -> None:
        self._programs = programs
        self._uploads = uploads
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
        self,
        file: Path | None,
        model: str,
        settings: dict[str, Any] | None,
        password: str,
        request: gr.Request,
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
        with _plainly():
            path, stop = self._uploads.find(str(file or "")), threading.Event()
            if path is None:
                raise SummaryError("Send a file to summarize: none was sent, or it has been read already.")
            try:
                results = self._programs.summarize(
                    path,
                    name=path.name,
                    model=model,
                    settings=settings,
                    password=password,
                    caller=caller(request),
                    stop=stop,
                )
                with closing(results):
                    yield from _told(results)
            finally:
                stop.set()
                self._uploads.discard(path)

    def models(self) -> list[dict]:
        """The models on offer, the default first: name, longest input in tokens, default settings."""
        with _plainly():
            return self._programs.models()

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
            return self._programs.attention_overview(summary_id, window)

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
            return self._programs.attention_map(
                summary_id,
                view,
                layer=layer,
                head=head,
                start=start,
                count=count,
                window=window,
                sentence=sentence,
            )


Api.attention_map.__annotations__["view"] = Literal[MAPS]  # the schema names every view


def _told(results: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """What is told of results and the events before them: every phase, and how far it is every so often."""
    phase, again = "", 0.0
    for result in results:
        if isinstance(result, dict):
            yield result
            continue
        line = presentation.status_of(result)
        if line.phase != phase or time.monotonic() >= again:
            yield {"status": f"{line.phase} {line.detail}".strip()}
            # A phase without a figure does not hold up its first one.
            phase, again = line.phase, time.monotonic() + (STATUS_SECONDS if line.detail else 0.0)


def caller(request: gr.Request) -> Caller:
    """Who asks: a client that keeps a session by that, all others of an address are one."""
    client = request.client
    lasting = not str(request.url.path).rpartition("/gradio_api/")[2].startswith("call/")
    return Caller(client.host if client else "unknown", str(request.session_hash) if lasting else "")


@contextmanager
def _plainly() -> Iterator[None]:
    """Says no in a sentence."""
    try:
        yield
    except (DocumentError, SummaryError) as error:
        raise gr.Error(str(error), print_exception=False) from None
