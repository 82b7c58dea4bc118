"""Means of many papers' scores with bootstrap intervals, as Markdown tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longt5.evaluation.faithfulness import WINDOW
from longt5.evaluation.metrics import ROUGE, Scores


@dataclass(frozen=True)
class Row:
    """One line of the tables: a system, its mean of each measure, and 95 % intervals of the ROUGE means."""

    system: str
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def summarize_scores(system: str, scores: Sequence[Scores], samples: int = 1000) -> Row:
    """Mean of each measure, with percentile bootstrap intervals over papers for ROUGE.

    `scores` must not be empty. The papers drawn are the same for every system of as many papers.
    """
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(scores), size=(samples, len(scores)))
    values = {
        entry.name: np.array([getattr(one, entry.name) for one in scores], dtype=float)
        for entry in dataclasses.fields(Scores)
    }
    intervals = {}
    for name in ROUGE:
        low, high = np.percentile(values[name][drawn].mean(axis=1), [2.5, 97.5])
        intervals[name] = (float(low), float(high))
    return Row(system, {name: float(array.mean()) for name, array in values.items()}, intervals)


def rouge_table(rows: Sequence[Row]) -> str:
    """ROUGE in per cent with its intervals, length in words, seconds a paper."""
    cells = []
    for row in rows:
        rouge = [
            f"{100 * row.means[name]:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
            for name, (low, high) in row.intervals.items()
        ]
        cells.append([row.system, *rouge, f"{row.means['words']:.0f}", f"{row.means['seconds']:.2f}"])
    return _markdown(["system", "ROUGE-1", "ROUGE-2", "ROUGE-Lsum", "words", "s/paper"], cells)


def faithfulness_table(rows: Sequence[Row]) -> str:
    """What of the summaries stands in the papers, and what they repeat, in per cent."""
    columns = {
        "words_in_paper": "words in paper",
        "content_words_in_paper": "content words in paper",
        "four_grams_in_paper": "4-grams in paper",
        "repeated_four_grams": "repeated 4-grams",
        "repeats_none": "papers without repeated 4-grams",
    }
    return _shares(rows, columns)


def claims_table(rows: Sequence[Row]) -> str:
    """What the summaries claim that does not stand in the papers, in per cent."""
    columns = {
        "supported": "summaries without an unsupported item",
        "item_precision": "items supported",
        "in_one_window": f"sentences within {WINDOW} words of the paper",
    }
    return _shares(rows, columns)


def _shares(rows: Sequence[Row], columns: dict[str, str]) -> str:
    cells = [[row.system, *(f"{100 * row.means[name]:.1f} %" for name in columns)] for row in rows]
    return _markdown(["system", *columns.values()], cells)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
