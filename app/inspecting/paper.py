"""A paper under inspection outside of the page: what the terminal's `inspect` does, and a few lines of Python.

paper = InspectedPaper.read("paper.pdf")
paper.ask("globals", layer=4, head=1).save("figure.svg")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from app import documents
from app.documents import Document, DocumentError
from app.inspecting import files, inspector
from app.inspecting.drawing import Scale
from app.inspecting.inspection import Inspection, answer, drawing, file_arrays, first_question, within
from app.inspecting.questions import Question
from app.inspecting.svg import to_svg
from app.inspecting.views import VIEWS
from app.models import ModelStore
from app.settings import from_environment
from app.summarizing.plan import ranges_to_read
from app.summarizing.settings import SummaryError, SummarySettings
from app.summarizing.summary import Part, Sentence, Summary, WindowTrace
from app.summarizing.windows import tokenize
from longt5.text.sentences import split_sentences

SUFFIXES = tuple(kind for kind in files.KINDS if kind != "png")  # that one is painted by a browser


def kind_of(path: str | Path) -> str:
    """What kind of figure is written to a file, by the ending of its name.

    Raises:
        SummaryError: there is no such kind, or the file can't be written for want of a folder.
    """
    path = Path(path)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in SUFFIXES:
        raise SummaryError(f"Name a file that ends in .{', .'.join(SUFFIXES)}, not {path.name!r}.")
    if path.is_dir():
        raise SummaryError(f"{path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise SummaryError(f"There is no folder {path.parent}; make it, or name a file in another one.")
    return kind


@dataclass(frozen=True)
class Figure:
    """An answer to one question, to look at, to save and to compute with."""

    inspection: Inspection
    scale: Scale = "log"

    @property
    def says(self) -> str:
        """What it shows, in a sentence."""
        return drawing(self.inspection, self.scale).says

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Its numbers by name, with the exact question, the paper and the model."""
        return file_arrays(self.inspection)

    def save(self, path: str | Path) -> None:
        """Writes an SVG, PDF, HTML or NPZ file, as the ending of its name says.

        Raises:
            SummaryError: another ending, or the file can't be written there.
        """
        content = files.file(self.inspection, kind_of(path), self.scale)[2]
        try:
            Path(path).write_bytes(content)
        except OSError as error:
            raise SummaryError(f"{path} can't be written ({error.strerror}); name another file.") from error

    def _repr_svg_(self) -> str:
        """How a notebook shows it."""
        return to_svg(drawing(self.inspection, self.scale))


@dataclass(frozen=True)
class InspectedPaper:
    """A paper that a model has read, with words about it that the decoder was given."""

    store: ModelStore
    summary: Summary

    @classmethod
    def read(
        cls,
        path: str | Path,
        words: str = "",
        *,
        store: ModelStore | None = None,
        password: str | None = None,
    ) -> InspectedPaper:
        """Has the first model of `store`, by default of LONGT5_MODELS, read a file.

        Args:
            words: what views of the summary's words are about: a summary, an abstract, any claim about the paper.

        Raises:
            DocumentError: the file can't be read. SummaryError: the model can't be loaded, or nothing is left to read.
        """
        store = store or ModelStore(from_environment())
        document = documents.read(path, password=password)
        return cls(store, read_with(document, store.profile(store.choices[0]).defaults, store, words))

    def ask(
        self,
        view: str,
        *,
        scale: Scale = "log",
        progress: Callable[[float], None] = lambda fraction: None,
        **asked: Any,
    ) -> Figure:
        """What a view shows.

        Args:
            view: a name in `VIEWS`. asked: other fields of `Question`; by default layer 0, head 0, the whole text.

        Raises:
            SummaryError: there is no such view, layer, head, sentence or token, in one sentence.
        """
        outline = inspector.outline(self.store, self.summary, 0)
        first = first_question(outline)
        if view not in VIEWS or not VIEWS[view].exists(outline):
            there = [name for name, entry in VIEWS.items() if entry.exists(outline)]
            raise SummaryError(f"This model and text have no view {view!r}; choose {', '.join(there)}.")
        if scale not in get_args(Scale):
            raise SummaryError(f"Colours are {' or '.join(get_args(Scale))}, not {scale!r}.")
        option = VIEWS[view].options[0][1]
        wanted = replace(first, view=view, option=option)
        try:
            wanted = replace(wanted, **asked)
        except TypeError as error:
            known = ", ".join(Question.__dataclass_fields__)
            raise SummaryError(f"A question has {known}, not {', '.join(asked)}.") from error
        wanted = replace(wanted, count=min(wanted.count, outline.tokens - wanted.start))
        if within(outline, wanted) != wanted:
            raise SummaryError(
                f"There is no such layer, head, option, sentence or token: there are "
                f"{VIEWS[view].layers(outline)} layers "
                f"and {outline.heads} heads of this view, {outline.tokens:,} tokens, "
                f"{len(outline.sentences)} sentences."
            )
        held = Inspection(self.summary, outline, {}, wanted)
        held.answered = answer(self.store, held, wanted, progress=progress)
        return Figure(held, scale)


def read_with(document: Document, settings: SummarySettings, store: ModelStore, words: str) -> Summary:
    """A summary that nobody wrote: the beginning of the paper as the model reads it, and the words given about it."""
    with store.use(settings.model) as loaded:
        tokenizer, prefix_text = loaded.tokenizer, loaded.profile.prefix
        prefix = tokenizer(prefix_text, add_special_tokens=False)["input_ids"]
        text = tokenize(tokenizer, document, ranges_to_read(document, settings))
        size = min(len(text), settings.max_input_tokens - len(prefix) - 1)
        if size < 1:
            raise DocumentError("Nothing of this file is left to read; choose another one.")
        offsets = [tuple(place) for place in text.offsets[:size].tolist()]
        start, end = offsets[0][0], offsets[-1][1]
        sentences, written = _given(tokenizer, words)
        input_ids = (*prefix, *text.ids[:size].tolist(), tokenizer.eos_token_id)
        places = (*[(start, start)] * len(prefix), *offsets, (end, end))
        trace = WindowTrace("the paper", input_ids, places, written, (0, len(input_ids)))
    pages = tuple(page.number for page in document.pages if page.start < end)
    return Summary(
        document=document,
        parts=(Part("summary", sentences),),
        settings=settings,
        tokens_read=size,
        tokens_left_out=len(text) - size,
        pages_read=pages,
        notes=(),
        seconds=0.0,
        windows=(trace,),
    )


def _given(tokenizer: Any, words: str) -> tuple[tuple[Sentence, ...], tuple[int, ...]]:
    """The sentences of words that are given, and all their tokens."""
    sentences: list[Sentence] = []
    written: list[int] = []
    for start, end in split_sentences(words):
        ids = tokenizer(words[start:end], add_special_tokens=False)["input_ids"]
        after = len(written) + len(ids)
        sentences.append(Sentence(words[start:end], 0, len(written), after))
        written += ids
    return tuple(sentences), tuple(written)
