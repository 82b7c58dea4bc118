"""A document as tokens that know their characters, and its division into windows for the model."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.documents import Document
from app.work import check
from longt5.text.sentences import split_sentences
from longt5.text.shortening import beginning_and_end, shortened, shortened_starts

# Tokenized at a time: a fraction of a second, so that a stop takes effect soon.
PIECE_CHARACTERS = 50_000
# Share of a window that the next one reads again, so that nothing is cut out of its context.
OVERLAP = 1 / 8


@dataclass(frozen=True)
class TokenizedText:
    """Text of a document as tokens, without prefix and end token."""

    ids: np.ndarray
    """`(tokens,)` int."""
    offsets: np.ndarray
    """`(tokens, 2)` int: half-open range of `Document.text` of each token, white space around it left out."""
    sentence_starts: np.ndarray
    """`(sentences,)` int: index of the first token of each sentence, ascending, the first 0."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Window:
    """Tokens `start` to `end` (half-open) of a TokenizedText."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


def tokenize(
    tokenizer: Any,
    document: Document,
    ranges: Sequence[tuple[int, int]],
    stop: threading.Event | None = None,
) -> TokenizedText:
    """Tokens of the given ranges of `document.text`.

    Raises:
        Stopped: `stop` was set.
    """
    ids: list[int] = []
    offsets: list[np.ndarray] = []
    sentence_starts: list[int] = []
    for start, end in ranges:
        for piece_start, piece_end in _pieces(document.text, start, end):
            check(stop)
            text = document.text[piece_start:piece_end]
            encoding = tokenizer(
                text,
                add_special_tokens=False,
                return_attention_mask=False,
                return_offsets_mapping=True,
                split_special_tokens=True,  # a paper may well write "</s>"
                verbose=False,
            )
            if not encoding["input_ids"]:
                continue
            piece_offsets = _tight(text, encoding["offset_mapping"])
            for sentence_start, _ in split_sentences(text):
                sentence_starts.append(
                    len(ids) + int(np.searchsorted(piece_offsets[:, 0], sentence_start, side="left"))
                )
            ids += encoding["input_ids"]
            offsets.append(piece_offsets + piece_start)
    starts = np.unique(np.array([0, *sentence_starts], dtype=np.int64))
    return TokenizedText(
        ids=np.array(ids, dtype=np.int64),
        offsets=np.concatenate(offsets) if offsets else np.zeros((0, 2), dtype=np.int64),
        sentence_starts=starts[starts < len(ids)],
    )


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts a range into pieces of at most `PIECE_CHARACTERS`, at paragraphs, lines or words if it can."""
    while end - start > PIECE_CHARACTERS:
        limit = start + PIECE_CHARACTERS
        cut = limit
        for separator in ("\n\n", "\n", " "):
            found = text.rfind(separator, start + PIECE_CHARACTERS // 2, limit)
            if found != -1:
                cut = found + len(separator)
                break
        yield start, cut
        start = cut
    if start < end:
        yield start, end


def _tight(text: str, offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    """Token offsets without white space, which tokenizers count to the token after or before it."""
    tight = np.array(offsets, dtype=np.int64).reshape(-1, 2)
    for i, (start, end) in enumerate(offsets):
        if start < end and (text[start].isspace() or text[end - 1].isspace()):
            piece = text[start:end]
            tight[i] = end - len(piece.lstrip()), start + len(piece.rstrip()) if piece.strip() else end
    return tight


def join(texts: Sequence[TokenizedText]) -> TokenizedText:
    """Several texts as one."""
    lengths = np.cumsum([0, *map(len, texts)])
    return TokenizedText(
        ids=np.concatenate([text.ids for text in texts]),
        offsets=np.concatenate([text.offsets for text in texts]),
        sentence_starts=np.concatenate(
            [text.sentence_starts + before for text, before in zip(texts, lengths, strict=False)]
        ),
    )


def excerpt(text: TokenizedText, window: Window) -> TokenizedText:
    """The tokens of a window as a text of their own."""
    starts = text.sentence_starts
    inside = starts[(starts > window.start) & (starts < window.end)] - window.start
    return TokenizedText(
        text.ids[window.start : window.end],
        text.offsets[window.start : window.end],
        np.array([0, *inside] if len(window) else [], dtype=np.int64),
    )


def truncate(text: TokenizedText, size: int) -> list[Window]:
    """One window of the first `size` tokens."""
    return [Window(0, min(size, len(text)))]


def shorten(text: TokenizedText, size: int) -> TokenizedText:
    """The text, or at most `size` tokens of its beginning and its end (`longt5.text.shortening`)."""
    cut = beginning_and_end(text.sentence_starts, len(text), size)
    starts = shortened_starts(text.sentence_starts, cut)
    return TokenizedText(shortened(text.ids, cut), shortened(text.offsets, cut), starts)


def windows_at_sections(text: TokenizedText, size: int, section_starts: Sequence[int]) -> list[Window]:
    """Windows of at most `size` tokens that together hold every token, in order.

    They are about equally long and end where a section ends, as long as that costs no window more than are needed.
    Where no section ends nearby a sentence does, and the next window begins at a sentence within the last eighth of
    the one before, so that nothing is cut out of its context.
    """
    total, overlap = len(text), int(size * OVERLAP)
    sections = np.unique(np.array(section_starts, dtype=np.int64))
    windows: list[Window] = []
    start = 0
    while total - start > size:
        left = total - start
        count = -(-(left - overlap) // (size - overlap))
        even = start + -(-left // count)
        # What is left must fit into the windows that are left.
        earliest, limit = max(start + 1, total - (count - 1) * (size - overlap)), start + size
        possible = sections[(sections >= earliest) & (sections <= limit)]
        if len(possible):
            end = start_of_next = int(possible[np.abs(possible - even).argmin()])
        else:
            limit = min(limit, even + overlap)
            end = _sentence_start(text, max(earliest, limit - overlap) + 1, limit + 1, last=True) or limit
            first = max(start + 1, end - overlap)
            start_of_next = _sentence_start(text, first, end, last=False) or first
        windows.append(Window(start, end))
        start = start_of_next
    return [*windows, Window(start, total)]


def _sentence_start(text: TokenizedText, start: int, end: int, *, last: bool) -> int | None:
    """The first or last sentence start within the tokens `start` (above 0) to `end`, or None."""
    first, after = np.searchsorted(text.sentence_starts, [start, end])
    if first >= after:
        return None
    return int(text.sentence_starts[after - 1 if last else first])
