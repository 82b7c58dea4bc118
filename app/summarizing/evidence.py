"""Summary sentence -> the passages and pages of the paper it rests on, read out of the cross-attention.

Where a model comes with `evidence_head_weights` (layers x heads, in its generation config), a passage's score is in
proportion to the drop of the sentence's log-probability that these foretell if the decoder did not see it: the sum
over heads of weight times attention, as AT2 has it (Cohen-Wang et al. 2025, arXiv 2504.13752, section 3), less what a
passage of its length gets on average. `python -m benchmarks.evidence` fits and tests them; docs/evidence.md has the
figures.

For any other model, as openai/whisper reads word times out of cross-attention (its timing.py), with what a long paper
asks for:

1. Normalise. Every head looks at some tokens of the source (full stops, the end token) whatever it writes. So
   the weights on each source token are standardised over the tokens of the summary: what is always attended
   to has mean z = 0. Below 0 is cut off. A floor under the deviation keeps weights far below a uniform one
   from counting.
2. Choose heads. Some follow the text, others look at the sinks only or everywhere. A head's focus is the
   largest weight above its mean that a summary token puts on one source token, averaged over the summary:
   high for heads that look at single tokens, others each time. A quarter of the heads, at most 10,
   are used.
3. Average over these heads and over the tokens of a sentence, then smooth along the source with a median
   filter.
4. Sum over each source sentence, less what a passage of its length gets on average: over 16,384 tokens the little
   that falls everywhere would outweigh the rest. A passage's score is its share of what remains.

Heads are taken one at a time and reduced to one row per summary sentence at once, so that memory stays that
of one head however long the paper.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from app.documents import Document
from app.summarizing.drafts import DraftSentence
from app.summarizing.summary import Evidence, WindowTrace
from app.summarizing.windows import TokenizedText, Window
from longt5.generation import EncodedText
from longt5.maps import TeacherForced, cross_attention_heads

HEAD_SHARE = 1 / 4
MOST_HEADS = 10
FILTER_WIDTH = 7  # tokens, as in Whisper
MOST_PASSAGES = 3
MOST_PASSAGE_TOKENS = 80  # longer "sentences" are tables or lists; they are cut into pieces


def passage_ranges(text: TokenizedText, window: Window, first_token: int) -> np.ndarray:
    """`(passages, 2)`: the source sentences of a window as half-open ranges of its `input_ids`.

    Args:
        first_token: index of the window's first token of text in its `input_ids`, after the prefix.
    """
    within = (text.sentence_starts > window.start) & (text.sentence_starts < window.end)
    bounds = [window.start, *text.sentence_starts[within].tolist(), window.end]
    starts = [piece for start, end in pairwise(bounds) for piece in range(start, end, MOST_PASSAGE_TOKENS)]
    ranges = np.array([starts, [*starts[1:], window.end]], dtype=np.int64).T
    return ranges - window.start + first_token


def find_evidence(
    model: Any,
    encoded: EncodedText,
    forced: TeacherForced,
    trace: WindowTrace,
    document: Document,
    sentences: Sequence[DraftSentence],
    passages: np.ndarray,
) -> list[tuple[Evidence, ...]]:
    """For each of one or more sentences written from a window at most three passages of the paper, best first.

    Args:
        forced: the window's summary, as the decoder read it.
        passages: `(passages, 2)`, see `passage_ranges`.
    """
    ranges = [(sentence.token_start, sentence.token_end) for sentence in sentences]
    head_weights = head_weights_of(model)
    counted = None if head_weights is None else np.argwhere(head_weights).tolist()
    heads = (weights for _, _, weights in cross_attention_heads(model, encoded, forced, counted))
    if head_weights is None:
        rows = relevance(heads, ranges, model.config.num_decoder_layers * model.config.num_heads)
    else:
        rows = weighted_attention(heads, ranges, head_weights[head_weights > 0])
    found = []
    for scores in passage_scores(rows, passages):
        best = [i for i in np.argsort(-scores, kind="stable")[:MOST_PASSAGES] if scores[i] > 0]
        found.append(tuple(_evidence(document, trace, passages[i], float(scores[i])) for i in best))
    return found


def head_weights_of(model: Any) -> np.ndarray | None:
    """`(layers, heads)`: the weights of the decoder's heads that a model comes with.

    None where it has none, or such as are not of its size, below 0 or all 0: files of the Hub may hold anything.
    """
    given = getattr(model.generation_config, "evidence_head_weights", None)
    try:
        weights = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    usable = weights.shape == (model.config.num_decoder_layers, model.config.num_heads) and (
        np.isfinite(weights).all() and (weights >= 0).all() and weights.any()
    )
    return weights if usable else None


def weighted_attention(
    heads: Iterable[np.ndarray], sentences: Sequence[tuple[int, int]], head_weights: np.ndarray
) -> np.ndarray:
    """The drop of a summary sentence's log-probability that head weights foretell for each source token, up to a scale.

    Args:
        heads: cross-attention weights of each head, `(summary tokens, source tokens)`.
        sentences: half-open ranges of summary tokens.
        head_weights: `(heads,)`.

    Returns:
        `(sentences, source tokens)`, not negative.
    """
    return sum(
        weight * np.stack([attention[start:end].mean(axis=0, dtype=np.float64) for start, end in sentences])
        for attention, weight in zip(heads, head_weights, strict=True)
    )


def relevance(
    heads: Iterable[np.ndarray], sentences: Sequence[tuple[int, int]], num_heads: int
) -> np.ndarray:
    """How much each summary sentence looked at each source token beyond what every token looks at.

    Args:
        heads: cross-attention weights of each head, `(summary tokens, source tokens)`.
        sentences: half-open ranges of summary tokens.

    Returns:
        `(sentences, source tokens)`, not negative.
    """
    count = min(MOST_HEADS, max(1, round(num_heads * HEAD_SHARE)))
    best: list[tuple[float, int, np.ndarray]] = []  # a heap of the most focused so far
    for index, weights in enumerate(heads):
        excess = weights - weights.mean(axis=0)
        focus = float(excess.max(axis=1).mean())
        if len(best) == count and focus <= best[0][0]:
            continue
        deviation = np.sqrt(np.square(excess).mean(axis=0)) + 1 / weights.shape[1]
        excess /= deviation
        np.maximum(excess, 0, out=excess)
        rows = np.stack([excess[start:end].mean(axis=0) for start, end in sentences])
        entry = (focus, -index, rows)
        if len(best) < count:
            heapq.heappush(best, entry)
        else:
            heapq.heapreplace(best, entry)
    return _median_filtered(np.mean([rows for _, _, rows in best], axis=0))


def passage_scores(rows: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """`(sentences, passages)`: each passage's share of a sentence's relevance above the average, 0..1.

    Args:
        rows: `(sentences, source tokens)`, see `relevance`.
        passages: `(passages, 2)` half-open ranges of source tokens, ascending, without overlap.
    """
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1, dtype=np.float64)], axis=1)
    within = sums[:, passages[:, 1]] - sums[:, passages[:, 0]]
    lengths = passages[:, 1] - passages[:, 0]
    total = within.sum(axis=1, keepdims=True)
    if len(passages) > 1:
        within = within - lengths * (total / lengths.sum())
    scores = np.where(within > 1e-9 * total, within, 0)  # an even spread must not leave rounding errors
    return scores / np.maximum(scores.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _median_filtered(rows: np.ndarray) -> np.ndarray:
    """Each row smoothed by the median of `FILTER_WIDTH` neighbours, unless that would empty it."""
    half = FILTER_WIDTH // 2
    if rows.shape[1] <= half:
        return rows
    padded = np.pad(rows, ((0, 0), (half, half)), mode="reflect")
    smooth = np.stack([np.median(sliding_window_view(row, FILTER_WIDTH), axis=-1) for row in padded])
    return np.where(smooth.any(axis=1, keepdims=True), smooth, rows)


def _evidence(document: Document, trace: WindowTrace, passage: np.ndarray, score: float) -> Evidence:
    first, after = passage.tolist()
    start, end = trace.offsets[first][0], trace.offsets[after - 1][1]
    return Evidence(
        start=start,
        end=end,
        page=document.page_of(start),
        quote=" ".join(document.text[start:end].split()),
        score=min(1.0, score),
    )
