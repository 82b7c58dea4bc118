"""Which pages characters stand on, and several pages in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.documents import Document


def page_numbers(document: Document, characters: np.ndarray) -> np.ndarray:
    """The number of the page on which each character of the text stands."""
    starts = np.array([page.start for page in document.pages])
    numbers = np.array([page.number for page in document.pages])
    # Empty pages start where the next one does: the last one that starts there has the text.
    return numbers[np.maximum(np.searchsorted(starts, characters, side="right") - 1, 0)]


def pages_of(document: Document, offsets: np.ndarray) -> tuple[int, ...]:
    """Numbers of the pages on which tokens with these `(tokens, 2)` offsets start, ascending."""
    return tuple(np.unique(page_numbers(document, offsets[:, 0])).tolist())


def page_list(pages: Sequence[int]) -> str:
    """`page 3`, `pages 3 to 5`, `pages 1, 4 and 6 to 8`."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and runs[-1][-1] + 1 == page:
            runs[-1].append(page)
        else:
            runs.append([page])
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    text = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    return f"page {text}" if len(pages) == 1 else f"pages {text}"
