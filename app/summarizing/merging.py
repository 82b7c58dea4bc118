"""What the second pass over a long paper reads: the parts' summaries, framed by its introduction and its conclusion."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from app.documents import Document
from app.summarizing.summary import Sentence, WindowTrace
from app.summarizing.windows import TokenizedText, Window, excerpt

_INTRODUCTION = re.compile(
    r"\W*(?:(?:chapter )?[\dIVX]{1,4}\W+)?(?:introduction|background|einleitung|einführung|introducción|introduzione|"
    r"引言).{0,60}",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"\W*(?:(?:chapter )?[\dIVX]{1,4}\W+)?(?:.{0,30}\b(?:conclusions?|concluding)|discussion|summary|fazit|"
    r"schluss|zusammenfassung|conclusión|conclusioni|结论).{0,60}",
    re.IGNORECASE,
)


def frame(document: Document, text: TokenizedText, most: int) -> tuple[TokenizedText, TokenizedText]:
    """Introduction and conclusion, of each at most `most` tokens.

    Where no heading names them they are taken from the beginning and the end of the text.
    """
    body = [section for section in document.sections if section.kind == "body"]
    named = [section for section in body if _INTRODUCTION.fullmatch(section.heading)]
    start = _token(text, named[0].start) if named else 0
    introduction = Window(start, min(len(text), start + most))
    named = [section for section in body if _CONCLUSION.fullmatch(section.heading)]
    end = _token(text, named[-1].end) if named else len(text)
    least = _token(text, named[-1].start) if named else 0
    conclusion = Window(max(introduction.end, least, end - most), max(introduction.end, end))
    return excerpt(text, introduction), excerpt(text, conclusion)


def sources_of(
    sentences: Sequence[Sentence], traces: Sequence[WindowTrace], text: TokenizedText
) -> TokenizedText:
    """Sentences written about parts as tokens to be read, each of which stands for the passage its sentence rests on.

    Quotes are read as they stand in the paper, each of their tokens for itself. A sentence that rests on nothing has no
    place to stand for, and is not read again.
    """
    ids: list[int] = []
    offsets: list[np.ndarray] = []
    starts: list[int] = []
    for sentence in sentences:
        if not sentence.evidence:
            continue
        passage = sentence.evidence[0]
        starts.append(len(ids))
        if sentence.quoted:
            first, after = _token(text, passage.start), _token(text, passage.end)
            ids += text.ids[first:after].tolist()
            offsets.append(text.offsets[first:after])
            continue
        own = traces[sentence.window].summary_ids[sentence.token_start : sentence.token_end]
        ids += own
        offsets.append(np.tile([passage.start, passage.end], (len(own), 1)))
    return TokenizedText(
        np.array(ids, dtype=np.int64),
        np.concatenate(offsets) if offsets else np.zeros((0, 2), dtype=np.int64),
        np.array(starts, dtype=np.int64),
    )


def _token(text: TokenizedText, character: int) -> int:
    """The first token that begins at `character` or after it."""
    return int(np.searchsorted(text.offsets[:, 0], character))
