"""The words of a stretch of the paper, with the attention that each of them and the summary's words give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from app.documents.page_numbers import page_list
from app.inspecting.drawing import ColouredText, Word
from app.inspecting.figures import describe
from app.inspecting.inspector import EncodedWindow, shorten
from app.inspecting.questions import WHOLE_SUMMARY, Question
from longt5.maps.weights import CrossWeights, EncoderWeights
from longt5.text.sentences import split_sentences

MOST_WORDS = 480  # about a page: more would be slow to colour, and to send
BINS = 64  # parts of the whole paper in the strip
ALIGNING_HEADS = 6


@torch.inference_mode()
def coloured_text(
    window: EncodedWindow, layer: int, heads: Sequence[int], question: Question
) -> ColouredText:
    """The words from the question's start on, at most `MOST_WORDS` of them."""
    start, end = question.start, min(question.end, question.start + MOST_WORDS)
    weights = EncoderWeights(window.loaded.model, window.encoded, layer, heads)
    length = len(window.trace.input_ids)
    bins = min(BINS, length)
    bin_of_token = np.arange(length) * bins // length
    chunks = [(band.mean(0), globals_.mean(0)) for _, band, globals_ in weights.chunks(start, end)]
    band, globals_ = (torch.cat(parts).cpu().numpy() for parts in zip(*chunks))
    spans = weights.global_spans.numpy()
    bin_of_block = bin_of_token[np.minimum(spans[:, 0], length - 1)] if len(spans) else np.zeros(0, int)
    shown = np.flatnonzero((spans[:, 0] < end) & (spans[:, 1] > start)) if len(spans) else np.zeros(0, int)
    block_of_word = np.full(end - start, -1)
    for column, block in enumerate(shown.tolist()):
        block_of_word[max(spans[block, 0] - start, 0) : spans[block, 1] - start] = column
    # The same whichever encoder head is shown: nobody waits for it twice.
    key = f"cross of {question.sentence}"
    if key not in window.kept:
        window.kept[key] = _cross(window, question)
    written, cross = window.kept[key]
    return ColouredText(
        words=_words(window, start, end),
        first=start,
        written=written,
        band=band,
        blocks=globals_[:, shown],
        block_of_word=block_of_word,
        sentence_of_word=_sentences(window, start, end),
        strip=_summed(globals_, bin_of_block, bins),
        cross=cross[:, start:end],
        cross_strip=_summed(cross, bin_of_token, bins),
        bins=_bin_labels(window, bin_of_token, bins),
        shown_bins=(int(bin_of_token[start]), int(bin_of_token[end - 1]) + 1),
        asking=("paper", (end - start) // 2),
    )


def _summed(weights: np.ndarray, bin_of_column: np.ndarray, bins: int) -> np.ndarray:
    """`(rows, columns)` -> `(rows, bins)`; the columns stand in the order of their bins."""
    bounds = np.searchsorted(bin_of_column, np.arange(bins + 1))
    # A product with a matrix takes ten times as long.
    sums = np.pad(np.cumsum(weights, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
    return np.diff(sums[:, bounds], axis=1).astype(np.float32)


def _words(window: EncodedWindow, start: int, end: int) -> tuple[Word, ...]:
    """The tokens with the white space before them, and what lies between two of them that was not read."""
    document, offsets = window.summary.document, window.trace.offsets
    labels = window.source_labels(np.stack([np.arange(start, end), np.arange(start, end) + 1], axis=1))
    words: list[Word] = []
    after = offsets[start][0]
    for index, label in zip(range(start, end), labels):
        first, last = offsets[index]
        gap = document.text[after:first] if window.reads_paper and first > after else ""
        if gap.strip():
            words.append(Word(f"\n[{_count(gap)} not read]\n", f"not read: {shorten(gap, 90)}", read=False))
            gap = ""
        # Prefix and end token stand nowhere in the paper; a lone space before a word is part of the gap.
        text = window.spelled(index) or label.text.replace("\u2581", " ").rstrip()
        words.append(Word(gap + text, describe(label, index, index + 1)))
        after = max(after, last)
    return tuple(words)


def _count(text: str) -> str:
    return f"{len(text.split()):,} words"


def _sentences(window: EncodedWindow, start: int, end: int) -> np.ndarray:
    """`(words,)`: the number of the sentence that each stands in."""
    offsets = np.array(window.trace.offsets[start:end])
    first, last = int(offsets[:, 0].min()), int(offsets[:, 1].max())
    found = split_sentences(window.summary.document.text[first:last])
    starts = np.array([sentence_start for sentence_start, _ in found], dtype=int) + first
    return np.searchsorted(starts, offsets[:, 0], side="right")


def _cross(window: EncodedWindow, question: Question) -> tuple[tuple[Word, ...], np.ndarray]:
    """The words of the chosen sentence, and their attention `(words, tokens)`, mean of the heads that align best."""
    length = len(window.trace.input_ids)
    sentences = window.summary.sentences
    if not window.trace.summary_ids or not sentences:
        return (), np.zeros((0, length), dtype=np.float32)
    steps = (0, len(window.trace.summary_ids))
    if question.sentence != WHOLE_SUMMARY:
        steps = sentences[question.sentence].token_start, sentences[question.sentence].token_end
    focus = window.overview("cross").statistics.measures["focus"]
    best = [divmod(int(i), focus.shape[1]) for i in np.argsort(-focus, axis=None)[:ALIGNING_HEADS]]
    total = torch.zeros(steps[1] - steps[0], length)
    forced, shown = window.teacher_forced(), window.shown()
    for layer in sorted({layer for layer, _ in best}):
        chosen = [head for at, head in best if at == layer]
        weights = CrossWeights(window.loaded.model, shown, forced, layer, chosen)
        for index in range(len(chosen)):
            total += weights.head(index, *steps).cpu() / len(best)
    labels = window.written_labels(np.stack([np.arange(*steps), np.arange(*steps) + 1], axis=1))
    tokenizer = window.loaded.tokenizer
    pieces = tokenizer.convert_ids_to_tokens(list(window.trace.summary_ids[slice(*steps)]))
    words = tuple(
        Word((" " if piece.startswith("\u2581") else "") + label.text, f"word of the summary: {label.text}")
        for piece, label in zip(pieces, labels)
    )
    return words, total.numpy()


def _bin_labels(window: EncodedWindow, bin_of_token: np.ndarray, bins: int) -> tuple[str, ...]:
    """Pages and section of each part of the paper."""
    document, offsets = window.summary.document, window.trace.offsets
    firsts = np.searchsorted(bin_of_token, np.arange(bins))
    lasts = np.append(firsts[1:], len(bin_of_token)) - 1
    labels = []
    for first, last in zip(firsts.tolist(), lasts.tolist()):
        start, end = offsets[first][0], offsets[last][0]
        bounds = sorted((document.page_of(start), document.page_of(end)))
        pages = list(range(bounds[0], bounds[1] + 1))
        heading = document.section_of(start).heading
        where = f"{page_list(pages)}, {heading}" if heading else page_list(pages)
        labels.append(f"tokens {first:,}\u2013{last:,} \u00b7 {where}")
    return tuple(labels)
