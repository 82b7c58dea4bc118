"""The one or two sentences of a summary that say what was done and what came out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from longt5.text.sentences import leans_on_another

# How English abstracts say what they do and what they found: "In this paper, we propose ...", "Our results show ...".
_AIM = re.compile(
    r"\b(?:in this (?:paper|study|work|article|review|report|thesis)|this (?:paper|study|work|article|review|thesis)|"
    r"the (?:aim|goal|purpose|objective)s?\b|here,? we|we (?:present|propose|introduce|describe|develop|investigate|"
    r"study|examine|address|report|consider|analy[sz]e|explore|compare|review|design|evaluate))",
    re.IGNORECASE,
)
_FINDING = re.compile(
    r"\b(?:we (?:show|find|found|demonstrate|conclude|observe|observed|prove|identif|showed|demonstrated|achieve)|"
    r"(?:results?|findings?|data|experiments?|analys[ei]s|evaluations?|study|simulations?)\b.{0,60}\b(?:show|suggest|"
    r"indicate|demonstrate|reveal|confirm|support)|outperform|in conclusion|taken together|significantly)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{4,}")


def states_aim(sentence: str) -> bool:
    """Whether a sentence says what its paper does."""
    return _AIM.search(sentence) is not None


def choose_tldr(sentences: Sequence[str], title: str) -> list[int]:
    """Indices of one or two sentences that stand by themselves, in their order: an aim, and a finding if there is one.

    Where no sentence reads like either, the one that shares the most words with the title and the others.
    """
    free = [i for i, sentence in enumerate(sentences) if not leans_on_another(sentence)] or list(
        range(len(sentences))
    )
    weights = _centrality(sentences, title)
    aims = [i for i in free if states_aim(sentences[i])]
    findings = [i for i in free if _FINDING.search(sentences[i]) and i not in aims[:1]]
    chosen = aims[:1] + ([max(findings, key=lambda i: weights[i])] if findings else [])
    return sorted(chosen) or [max(free, key=lambda i: weights[i])] if free else []


def _centrality(sentences: Sequence[str], title: str) -> list[float]:
    """How much each sentence shares with the others and the title: the mean share of their words that it has."""
    words = [_words(sentence) for sentence in sentences]
    subject = _words(title)

    def shared(one: set[str], other: set[str]) -> float:
        return len(one & other) / max(1, len(other))

    return [
        2 * shared(own, subject)
        + sum(shared(own, other) for j, other in enumerate(words) if j != i) / len(words)
        for i, own in enumerate(words)
    ]


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}
