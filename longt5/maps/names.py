"""A name for what a head does, with the measure and the threshold behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from longt5.maps.statistics import HeadStatistics, Stack

NEAR = 8  # tokens: "a few", in the names below
ONE_OFFSET = 0.2  # of the attention at one offset gives a head its name


@dataclass(frozen=True)
class HeadName:
    """What a head does, as far as one of its measures is above a threshold."""

    name: str
    """A few words, e.g. "previous token"."""
    says: str
    """What the head does, e.g. "looks one token back"."""
    measure: str
    """What was measured, in words."""
    value: float
    """A share, 0 to 1."""
    threshold: float


@dataclass(frozen=True)
class _Rule:
    """A name that a head gets where a measure is at least `threshold`."""

    name: str
    says: str
    measure: str
    threshold: float
    value: Callable[[HeadStatistics, int, int], float]
    stacks: tuple[Stack, ...]
    wide: bool = False
    """Whether a name that says at which offset would say more."""


def _measured(name: str) -> Callable[[HeadStatistics, int, int], float]:
    return lambda found, layer, head: float(found.measures[name][layer, head])


def _within(low: int, high: int) -> Callable[[HeadStatistics, int, int], float]:
    """The share of the offsets low to high, both included."""

    def value(found: HeadStatistics, layer: int, head: int) -> float:
        offsets = found.by_offset[layer, head]
        if found.stack == "decoder":  # 0, -1, -2, ...
            return float(offsets[max(0, -high) : 1 - low].sum())
        radius = len(offsets) // 2
        return float(offsets[max(0, radius + low) : max(0, radius + high + 1)].sum())

    return value


def _further(found: HeadStatistics, layer: int, head: int) -> float:
    """The share of the offsets more than `NEAR` tokens away, on either side."""
    return float(found.by_offset[layer, head].sum()) - _within(-NEAR, NEAR)(found, layer, head)


_BOTH: tuple[Stack, ...] = ("encoder", "decoder")
_ALL: tuple[Stack, ...] = ("encoder", "decoder", "cross")
# In order: of several names that fit, a head gets the first. What is told by single tokens comes before what is told by
# many, and "even" last.
_RULES = (
    _Rule(
        "previous token",
        "looks one token back",
        "attention on the token before",
        0.35,
        _measured("previous"),
        _BOTH,
    ),
    _Rule(
        "next token",
        "looks one token ahead",
        "attention on the token after",
        0.35,
        _measured("next"),
        ("encoder",),
    ),
    _Rule(
        "itself",
        "looks at the token itself",
        "attention on the token itself",
        0.35,
        _measured("itself"),
        _BOTH,
    ),
    _Rule(
        "copies",
        "looks at the word that it is about to write",
        "steps whose top token is the one written",
        0.3,
        _measured("copies"),
        ("cross",),
    ),
    _Rule(
        "globals",
        "reads the globals",
        "attention on global blocks",
        0.25,
        _measured("global_share"),
        ("encoder",),
    ),
    _Rule(
        "same word",
        "looks for the same word elsewhere",
        "attention on other tokens of the same word",
        0.25,
        _measured("same_token"),
        _BOTH,
    ),
    _Rule(
        "rests on the start",
        "rests on the start of the text",
        "attention on the first token",
        0.35,
        _measured("first"),
        _ALL,
    ),
    _Rule(
        "rests on the end",
        "rests on the end token",
        "attention on the last token",
        0.35,
        _measured("last"),
        ("cross",),
    ),
    _Rule(
        "punctuation", "looks at punctuation", "attention on punctuation", 0.4, _measured("punctuation"), _ALL
    ),
    _Rule(
        "aligns",
        "follows the text, a place at a time",
        "largest weight above its mean, averaged over steps",
        0.15,
        _measured("focus"),
        ("cross",),
    ),
    _Rule(
        "a few back",
        "looks a few tokens back",
        f"attention on the {NEAR} tokens before",
        0.5,
        _within(-NEAR, -1),
        _BOTH,
        wide=True,
    ),
    _Rule(
        "a few ahead",
        "looks a few tokens ahead",
        f"attention on the {NEAR} tokens after",
        0.5,
        _within(1, NEAR),
        ("encoder",),
        wide=True,
    ),
    _Rule(
        "neighbours",
        "looks at its neighbours",
        f"attention within {NEAR} tokens",
        0.6,
        _within(-NEAR, NEAR),
        _BOTH,
        wide=True,
    ),
    _Rule(
        "the text before",
        "looks back over the band",
        "attention on the band before the token",
        0.7,
        _within(-(10**6), -1),
        ("encoder",),
        wide=True,
    ),
    _Rule(
        "the text after",
        "looks ahead over the band",
        "attention on the band after the token",
        0.7,
        _within(1, 10**6),
        ("encoder",),
        wide=True,
    ),
    _Rule(
        "the text around",
        f"looks around, further than {NEAR} tokens away",
        f"attention on the band further than {NEAR} tokens away",
        0.6,
        _further,
        ("encoder",),
        wide=True,
    ),
    _Rule(
        "even",
        "spreads evenly over what it sees",
        "entropy as a share of the highest there could be",
        0.85,
        _measured("evenness"),
        _ALL,
        wide=True,
    ),
)


def name_heads(found: HeadStatistics) -> list[list[HeadName | None]]:
    """A name for each head of each layer, None where none fits."""
    layers, heads = next(iter(found.measures.values())).shape
    return [[_name(found, layer, head) for head in range(heads)] for layer in range(layers)]


def _name(found: HeadStatistics, layer: int, head: int) -> HeadName | None:
    values = ((rule, rule.value(found, layer, head)) for rule in _RULES if found.stack in rule.stacks)
    fitting = next(((rule, value) for rule, value in values if value >= rule.threshold), None)
    if fitting is None or fitting[0].wide:
        nearer = _one_offset(found, layer, head)
        if nearer is not None or fitting is None:
            return nearer
    rule, value = fitting
    return HeadName(rule.name, rule.says, rule.measure, value, rule.threshold)


def _one_offset(found: HeadStatistics, layer: int, head: int) -> HeadName | None:
    """The name of a head that looks at one distance further away than a token."""
    if found.stack == "cross":
        return None
    offsets = found.by_offset[layer, head]
    best = int(np.argmax(offsets))
    offset = -best if found.stack == "decoder" else best - len(offsets) // 2
    if abs(offset) < 2 or offsets[best] < ONE_OFFSET:
        return None
    side = "back" if offset < 0 else "ahead"
    says = f"looks {abs(offset)} tokens {side}"
    return HeadName(
        says.removeprefix("looks "),
        says,
        f"attention at offset {offset:+d}",
        float(offsets[best]),
        ONE_OFFSET,
    )
