"""Plain sentences about what the model read of a paper and what it did not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.documents import Document


def pages_of(document: Document, offsets: np.ndarray) -> tuple[int, ...]:
    """Numbers of the pages that hold the tokens with these `(tokens, 2)` offsets, ascending."""
    starts = np.array([page.start for page in document.pages])
    numbers = np.array([page.number for page in document.pages])
    found = np.unique(np.searchsorted(starts, offsets[:, 0], side="right") - 1)
    return tuple(numbers[np.maximum(found, 0)].tolist()) if len(offsets) else ()


def reading_notes(
    *,
    windows: int,
    max_input_tokens: int,
    tokens_read: int,
    tokens_cut: int,
    pages_cut: Sequence[int],
    end_read: bool,
    reference_tokens: int,
    reference_pages: Sequence[int],
    repeats_dropped: int,
    ends_early: bool,
) -> tuple[str, ...]:
    """What was read, in how many windows, and everything that was left out.

    Args:
        tokens_cut: tokens left out because of the input limit; `pages_cut`: pages of which not a token was read
            because of it; `end_read`: whether they stand before what was read last.
        reference_tokens: tokens of a reference list left out, on `reference_pages`.
        repeats_dropped: summary sentences left out because an earlier window had said the same.
        ends_early: whether the summary, or a window's part of it, was cut at its longest length.
    """
    notes = []
    if windows > 1:
        notes.append(
            f"The paper is longer than the {max_input_tokens:,} tokens that the model reads at once: its "
            f"{tokens_read:,} tokens were read in {windows} overlapping windows and their summaries joined."
        )
    if tokens_cut:
        pages = f", all of {page_list(pages_cut)} among them," if pages_cut else ""
        total = f"{tokens_read + tokens_cut:,} tokens"
        if end_read:
            notes.append(
                f"Only the beginning and the end were read, {tokens_read:,} of {total}; "
                f"the {tokens_cut:,} between them{pages} were left out."
            )
        else:
            notes.append(
                f"Only the first {tokens_read:,} of {total} were read; "
                f"the last {tokens_cut:,}{pages} were left out."
            )
    if reference_tokens:
        pages = f" on {page_list(reference_pages)}" if reference_pages else ""
        notes.append(f"The reference list{pages} was left out ({reference_tokens:,} tokens).")
    if repeats_dropped == 1:
        notes.append("One sentence that repeated an earlier one was left out of the summary.")
    elif repeats_dropped:
        notes.append(f"{repeats_dropped} sentences that repeated earlier ones were left out of the summary.")
    if ends_early:
        part = "A part of the summary" if windows > 1 else "The summary"
        notes.append(f"{part} was cut off at its longest length, so it may end in mid-sentence.")
    if not tokens_cut and not reference_tokens:
        notes.append(f"All {tokens_read:,} tokens of the text were read.")
    return tuple(notes)


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
