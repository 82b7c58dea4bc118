"""Plain sentences about what the model read of a paper and what it did not."""

from __future__ import annotations

from collections.abc import Iterator

from app.documents import Document
from app.documents.left_out import left_out
from app.documents.page_numbers import page_list, pages_of
from app.summarizing.plan import INCLUDING, Plan
from app.summarizing.settings import SummarySettings
from app.summarizing.windows import TokenizedText


def reading_notes(
    document: Document,
    settings: SummarySettings,
    plan: Plan,
    read: int,
    *,
    repeats_dropped: int,
    ends_early: bool,
    complete: bool,
) -> tuple[str, ...]:
    """What was read, in how many parts, and everything that was left out.

    Args:
        read: tokens of `plan.text` that were read.
        repeats_dropped: sentences left out because an earlier one of their kind had said the same.
        ends_early: whether the summary was cut at its longest length.
        complete: False for a summary that was stopped.
    """
    notes = list(_not_read(document, plan, read, complete))
    left_out = [*left_out_notes(document, settings)]
    if len(plan.windows) > 1 and complete:
        notes.append(
            f"The paper is longer than the {settings.max_input_tokens:,} tokens that the model reads at once: all "
            f"{read:,} were read in {len(plan.windows)} parts, and their summaries, with introduction and conclusion, "
            "became the summary."
        )
    if not notes and not left_out:
        notes.append(f"All {read:,} tokens of the text were read.")
    notes += left_out
    if repeats_dropped == 1:
        notes.append("One sentence that repeated an earlier one was left out of the summary.")
    elif repeats_dropped:
        notes.append(f"{repeats_dropped} sentences that repeated earlier ones were left out of the summary.")
    if ends_early:
        notes.append("The summary was cut off at its longest length, so it may end in mid-sentence.")
    return tuple(notes)


def left_out_notes(document: Document, settings: SummarySettings) -> Iterator[str]:
    """What surrounds the paper and is not read, with its pages."""
    for found in left_out(document):
        if not getattr(settings, INCLUDING[found.kind]):
            yield f"Left out: {found.what} ({page_list(found.pages)})."


def _not_read(document: Document, plan: Plan, read: int, complete: bool) -> Iterator[str]:
    """What was cut, because of the input limit or because the work was stopped."""
    cut = len(plan.whole) - read
    total = f"{len(plan.whole):,} tokens"
    if not complete:
        if read < len(plan.text):
            yield f"Stopped: {read:,} of {total} had been read{_pages_cut(document, plan, read)}."
        else:
            yield "Stopped before the summary was finished."
    elif cut and len(plan.text) < len(plan.whole):
        yield (
            f"Only the beginning and the end were read, {read:,} of {total}; "
            f"the {cut:,} between them{_pages_cut(document, plan, read)} were left out."
        )
    elif cut:
        yield (
            f"Only the first {read:,} of {total} were read; "
            f"the last {cut:,}{_pages_cut(document, plan, read)} were left out."
        )


def _pages_cut(document: Document, plan: Plan, read: int) -> str:
    """The pages of which not a token was read."""
    seen = set(_pages(document, plan.text, read))
    cut = [page for page in _pages(document, plan.whole, len(plan.whole)) if page not in seen]
    return f", all of {page_list(cut)} among them," if cut else ""


def _pages(document: Document, text: TokenizedText, end: int) -> tuple[int, ...]:
    return pages_of(document, text.offsets[:end]) if end else ()
