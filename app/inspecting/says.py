"""What a view shows for the head at hand, in a sentence."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np

from app.inspecting.inspector import EncodedWindow, LabelledMap, Overview, shorten
from app.inspecting.questions import ALL_HEADS, Question

AROUND = 8  # tokens on either side, so that a place can be recognized by its words
_STACKS = {"encoder": "encoder", "decoder": "decoder", "cross": "cross-attention"}


def of_all_heads(overview: Overview) -> str:
    """Which names the heads of a stack have, and how many of each."""
    names = [name for layer in overview.names for name in layer]
    counts = Counter(name.name for name in names if name)
    told = ", ".join(f"{count} \u201c{name}\u201d" for name, count in counts.most_common(5))
    unnamed = sum(name is None for name in names)
    rest = len(counts) - 5
    more = f", {rest} other kinds" if rest > 0 else ""
    left = f"; {unnamed} have no name" if unnamed else ""
    first = f"{len(names)} {_STACKS[overview.statistics.stack]} heads: {told or 'none that a name fits'}{more}{left}."
    if overview.statistics.stack != "encoder":
        return first
    shares = overview.statistics.measures["global_share"]
    layer, head = np.unravel_index(int(np.argmax(shares)), shares.shape)
    if shares[layer, head] < 0.01:
        return first
    reader = f"layer {layer}, head {head}: {percent(float(shares[layer, head]))} of its attention"
    return f"{first} The globals are read most by {reader}."


def of_head(
    window: EncodedWindow, question: Question, stack: Literal["encoder", "decoder", "cross"] = "encoder"
) -> str:
    """What the chosen head does, over the whole text."""
    overview = window.overview(stack)
    if question.head == ALL_HEADS:
        names = [name for name in overview.names[question.layer] if name]
        counts = Counter(name.name for name in names)
        told = ", ".join(f"{count} \u201c{name}\u201d" for name, count in counts.most_common(3))
        return f"The mean of {len(overview.names[question.layer])} heads" + (
            f", among them {told}." if told else "."
        )
    name = overview.names[question.layer][question.head]
    which = f"Layer {question.layer}, head {question.head}"
    measures = {
        key: float(values[question.layer, question.head])
        for key, values in overview.statistics.measures.items()
    }
    shares = (
        f", {percent(measures['global_share'])} on the globals"
        if measures.get("global_share", 0) >= 0.005
        else ""
    )
    if name is None:
        even = f"{percent(measures['evenness'])} as even as it could be"
        return f"{which} has no one habit: its attention is {even}{shares}."
    if name.measure == "attention on global blocks":
        shares = ""
    return f"{which} {name.says}: {percent(name.value)} {name.measure}{shares}."


def where(window: EncodedWindow, labelled: LabelledMap, who: str) -> str:
    """Which section and which passage get most of a map whose columns are the paper's."""
    totals = np.nan_to_num(labelled.map.weights).sum(axis=0)
    widths = np.diff(labelled.map.column_spans)[:, 0]
    if labelled.map.kind == "cross":
        totals = totals * widths  # a cell is the mean of its tokens
    totals = totals / max(len(labelled.map.weights), 1)
    seen = totals.sum()
    if seen <= 0:
        return f"{who} gave nothing to what is shown."
    sections: dict[str, float] = {}
    for label, total in zip(labelled.column_labels, totals):
        if label.section:
            sections[label.section] = sections.get(label.section, 0.0) + float(total)
    middle = int(labelled.map.column_spans[int(np.argmax(totals))].mean())
    around = np.array([[max(middle - AROUND, 0), min(middle + AROUND, len(window.trace.input_ids))]])
    (best,) = window.source_labels(around)
    passage = f"most of all to \u201c{shorten(best.quote, 80)}\u201d (p. {best.page})"
    if not sections:
        return f"{who} gave {passage}."
    heading, share = max(sections.items(), key=lambda item: item[1])
    return f"{who} gave {percent(share / seen)} to \u201c{shorten(heading, 40)}\u201d, {passage}."


def place(labelled: LabelledMap, row: int) -> str:
    """The passage of the paper that gets most of a row, and how much."""
    weights = np.nan_to_num(labelled.map.weights[row])
    column = int(np.argmax(weights))
    best = labelled.column_labels[column]
    page = f", p. {best.page}" if best.page else ""
    return f"\u201c{shorten(best.quote or best.text, 60)}\u201d ({percent(float(weights[column]))}{page})"


def percent(share: float) -> str:
    """A share in words that fit a sentence: 42 %, 3.1 %, under 0.1 %."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{share:.0%}".replace("%", " %") if share >= 0.1 or share == 0 else f"{100 * share:.1f} %"
