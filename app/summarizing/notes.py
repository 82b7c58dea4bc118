"""Plain sentences about what the model read of a paper and what it did not."""

from __future__ import annotations

from collections.abc import Sequence

from app.documents.page_numbers import page_list


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
