"""What one window of a finished summary holds for its attention: bounds, statistics, labels of tokens.

Functions that take a store wait for the model (`ModelStore.use`), not for the summaries in the queue, and encode
the window again if its encoder states are no longer kept. Ranges of tokens are half-open, within the window's
`input_ids`. All raise SummaryError for what does not exist, and Stopped once `stop` is set.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from app.documents.page_numbers import page_numbers
from app.gpu_calls import seconds_for
from app.models import LoadedModel, ModelStore
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Summary, WindowTrace
from app.work import check
from longt5.generation import EncodedText
from longt5.interruption import interruptible
from longt5.maps import (
    AttentionMap,
    HeadName,
    HeadStatistics,
    TeacherForced,
    decoder_statistics,
    head_statistics,
    name_heads,
)
from longt5.maps.statistics import Stack

QUOTE_CHARACTERS = 200


@dataclass(frozen=True)
class Label:
    """What a row or a column of a map stands for."""

    text: str
    """Short, for the axis: the token, or the first of several; for the band the offset, such as "-12"."""
    page: int | None
    """1-based page of its first token; None for offsets and for summary tokens."""
    quote: str
    """For the hover: the text it stands for, at most 200 characters."""
    section: str = ""
    """Heading of the section that its first token stands in."""


@dataclass(frozen=True)
class LabelledMap:
    """An attention map with a label for every row and column; plain text, not HTML."""

    map: AttentionMap
    row_labels: tuple[Label, ...]
    column_labels: tuple[Label, ...]
    tokens: tuple[str, ...] = ()
    """Of a band: texts of the tokens from `tokens_start` on. The key of the cell in row i and column of offset o is
    `tokens[map.row_spans[i][0] + o - tokens_start]`. Empty for other maps."""
    tokens_start: int = 0


@dataclass(frozen=True)
class Outline:
    """What there is to choose from in one window of a summary: bounds for the page's controls."""

    tokens: int
    """Length of the window."""
    pages: tuple[tuple[int, int, int], ...]
    """(page, first token, token after the last) for every page in the window, in order."""
    encoder_layers: int
    decoder_layers: int
    heads: int
    local_radius: int
    globals: int
    """Global blocks; 0 for models with local attention only, and for a text shorter than a block."""
    global_block_size: int
    sentences: tuple[int, ...]
    """Indices into `Summary.sentences` of those written from this window."""


def outline(store: ModelStore, summary: Summary, window: int) -> Outline:
    """What there is to choose from in a window."""
    trace = _trace(summary, window)
    config = store.profile(summary.settings.model).config
    has_globals = config.encoder_attention_type == "transient-global"
    pages = _page_of_tokens(summary, trace)
    turns = np.flatnonzero(np.diff(pages, prepend=-1)).tolist()
    runs = zip(pages[turns].tolist(), turns, [*turns[1:], len(pages)])
    return Outline(
        tokens=len(trace.input_ids),
        pages=tuple({page: (page, start, end) for page, start, end in reversed(list(runs))}.values())[::-1],
        encoder_layers=config.num_layers,
        decoder_layers=config.num_decoder_layers,
        heads=config.num_heads,
        local_radius=config.local_radius,
        globals=len(trace.input_ids) // config.global_block_size if has_globals else 0,
        global_block_size=config.global_block_size,
        sentences=tuple(i for i, sentence in enumerate(summary.sentences) if sentence.window == window),
    )


@dataclass(frozen=True)
class Overview:
    """What every head of a stack does, in numbers and in names."""

    statistics: HeadStatistics
    names: tuple[tuple[HeadName | None, ...], ...]
    """For each layer and head."""


def overview(
    store: ModelStore,
    summary: Summary,
    window: int,
    stop: threading.Event | None = None,
    stack: Stack = "encoder",
    kept: dict[str, Any] | None = None,
) -> Overview:
    """What every head of a stack does."""
    kept = {} if kept is None else kept
    if store.gpu is None:
        return _overview(store, summary, window, stop, stack, kept)
    seconds = gpu_seconds(summary, window)
    found, made = store.gpu.call(_overview_on_gpu, summary, window, stack, kept, seconds=seconds, stop=stop)
    kept.update(made)
    return found


def _overview(
    store: ModelStore,
    summary: Summary,
    window: int,
    stop: threading.Event | None,
    stack: Stack,
    kept: dict[str, Any],
) -> Overview:
    with encoded_window(store, summary, window, stop, kept) as held:
        return held.overview(stack)


def _overview_on_gpu(
    store: ModelStore,
    report: Callable[[Any], None],
    stop: threading.Event,
    summary: Summary,
    window: int,
    stack: Stack,
    kept: dict[str, Any],
) -> tuple[Overview, dict[str, Any]]:
    """In a process that was lent a GPU; with all that is kept now."""
    return _overview(store, summary, window, stop, stack, kept), kept


def gpu_seconds(summary: Summary, window: int) -> int:
    """How long a GPU is asked for, to read a window again and look at what was written from it."""
    return seconds_for(len(_trace(summary, window).input_ids), 0)


def _named(statistics: HeadStatistics) -> Overview:
    return Overview(statistics, tuple(map(tuple, name_heads(statistics))))


@dataclass(frozen=True)
class EncodedWindow:
    """What one window of a summary read and wrote, with the model and the encoder states to ask for its attention."""

    store: ModelStore
    summary: Summary
    trace: WindowTrace
    loaded: LoadedModel
    encoded: EncodedText
    kept: dict[str, Any]
    """What several answers need, made when it is first asked for: overviews by stack, and what views put there under
    names of their own. It outlives this loan."""
    progress: Callable[[float], None]
    """Told how much of an answer that takes long is done, 0..1."""

    def overview(self, stack: Stack) -> Overview:
        """What every head of a stack does in this window."""
        if stack not in self.kept:
            if stack == "encoder":
                self.kept[stack] = _named(
                    head_statistics(self.loaded.model, self.encoded, self.punctuation())
                )
            else:
                found = decoder_statistics(
                    self.loaded.model, self.shown(), self.teacher_forced(), self.punctuation()
                )
                self.kept.update({statistics.stack: _named(statistics) for statistics in found})
        return self.kept[stack]

    def shown(self) -> EncodedText:
        """The encoded text as far as the decoder was shown it: all of it, or a section."""
        return self.encoded.showing(torch.from_numpy(self.trace.decoder_mask))

    def teacher_forced(self) -> TeacherForced:
        """What the decoder made of the tokens written."""
        return self.store.teacher_forced(
            self.loaded, self.trace.input_ids, self.shown(), self.trace.summary_ids
        )

    def punctuation(self) -> tuple[int, ...]:
        """Ids of the tokens that are nothing but punctuation."""
        return punctuation_ids(self.loaded.tokenizer)

    def token(self, index: int) -> str:
        """A token as the paper has it; prefix, end token and lone white space as the tokenizer has them."""
        return self.spelled(index).strip() or self.loaded.tokenizer.convert_ids_to_tokens(
            self.trace.input_ids[index]
        )

    def spelled(self, index: int) -> str:
        """A token with the space before it, if it begins a word; empty for prefix, end token and lone white space."""
        start, end = self.trace.offsets[index]
        if self.reads_paper:
            return self.summary.document.text[start:end]
        piece = self.loaded.tokenizer.convert_ids_to_tokens(self.trace.input_ids[index])
        return piece.replace("\u2581", " ") if start < end else ""

    @cached_property
    def reads_paper(self) -> bool:
        """Whether the tokens are the paper's own, and not those of summaries of its parts."""
        places = [place for place in self.trace.offsets if place[0] < place[1]]
        return all(before != after for before, after in pairwise(places))

    def source_labels(self, spans: np.ndarray) -> tuple[Label, ...]:
        """A label for each of the `(labels, 2)` ranges of tokens read."""
        pages = _page_of_tokens(self.summary, self.trace)
        labels = []
        for first, after in spans.tolist():
            if first >= after:
                labels.append(Label("", None, ""))
                continue
            start, end = self.trace.offsets[first][0], self.trace.offsets[after - 1][1]
            token = self.token(first)
            document = self.summary.document
            words = document.text[start:end]
            if not self.reads_paper:
                words = self.loaded.tokenizer.decode(list(self.trace.input_ids[first:after]))
            quote = shorten(words or token, QUOTE_CHARACTERS)
            labels.append(Label(token, int(pages[first]), quote, document.section_of(start).heading))
        return tuple(labels)

    def written_labels(self, spans: np.ndarray) -> tuple[Label, ...]:
        """A label for each of the `(labels, 2)` ranges of tokens written; -1 is the start token."""
        tokenizer = self.loaded.tokenizer
        labels = []
        for first, after in spans.tolist():
            if first < 0:
                labels.append(Label("(start)", None, "the start token"))
                continue
            ids = self.trace.summary_ids[first:after]
            token = tokenizer.decode(ids[:1]).strip() or tokenizer.convert_ids_to_tokens(ids[0])
            labels.append(Label(token, None, shorten(tokenizer.decode(ids), QUOTE_CHARACTERS)))
        return tuple(labels)


def offset_labels(spans: np.ndarray) -> tuple[Label, ...]:
    """A label for each of the `(labels, 2)` ranges of offsets from a query to its keys."""
    return tuple(_offset_label(first, after) for first, after in spans.tolist())


@lru_cache(maxsize=2)  # a walk over the vocabulary: 30 ms for 32,000 tokens
def punctuation_ids(tokenizer: Any) -> tuple[int, ...]:
    """Ids of a tokenizer's tokens that hold no letter and no digit; special tokens are none of them."""
    special = set(tokenizer.all_special_ids)
    texts = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    return tuple(
        index
        for index, text in enumerate(texts)
        if index not in special and text.strip("\u2581") and not any(map(str.isalnum, text))
    )


@contextmanager
def encoded_window(
    store: ModelStore,
    summary: Summary,
    window: int,
    stop: threading.Event | None = None,
    kept: dict[str, Any] | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Iterator[EncodedWindow]:
    """Lends out the model and the encoder states of a window.

    Args:
        kept: what was made of this window before; what is new is put there.
    """
    trace = _trace(summary, window)
    with store.use(summary.settings.model, stop) as loaded, interruptible(partial(check, stop)):
        encoded = store.encoded(loaded, trace.input_ids)
        try:
            yield EncodedWindow(
                store, summary, trace, loaded, encoded, {} if kept is None else kept, progress
            )
        except ValueError as error:  # no such layer, head or range; the sentence says which
            raise SummaryError(str(error)) from error


def _trace(summary: Summary, window: int) -> WindowTrace:
    if not 0 <= window < len(summary.windows):
        raise SummaryError(f"The paper was not read in {window + 1} windows; choose one that exists.")
    return summary.windows[window]


def _page_of_tokens(summary: Summary, trace: WindowTrace) -> np.ndarray:
    """`(tokens,)`: page number of every token."""
    pages = page_numbers(summary.document, np.array(trace.offsets)[:, 0])
    pages[-1] = pages[-2]  # the end token stands where the last token ends, which may be where a page begins
    return pages


def _offset_label(first: int, after: int) -> Label:
    name = f"{first:+d}" if first else "0"
    if after - first > 1:
        return Label(name, None, f"{first:+d} to {after - 1:+d} tokens")
    if first == 0:
        return Label(name, None, "the token itself")
    side = "before" if first < 0 else "after"
    return Label(name, None, f"{abs(first)} token{'s' if abs(first) > 1 else ''} {side}")


def shorten(text: str, length: int) -> str:
    """Text on one line, of at most `length` characters, an ellipsis for what was left out."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
