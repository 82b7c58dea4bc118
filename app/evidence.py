"""Summary sentence -> the passages and pages of the paper it rests on, read out of the cross-attention."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.summary import Evidence, Sentence

if TYPE_CHECKING:
    from app.documents import Document
    from app.models import LoadedModel
    from app.summary import WindowTrace
    from longt5.generation import EncodedText

__all__ = ["Evidence", "find_evidence"]


def find_evidence(
    loaded: LoadedModel,
    encoded: EncodedText,
    trace: WindowTrace,
    document: Document,
    sentences: Sequence[Sentence],
    stop: threading.Event | None = None,
) -> list[tuple[Evidence, ...]]:
    """For each sentence of one window at most three passages of the paper, best first."""
    raise NotImplementedError
