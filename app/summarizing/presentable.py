"""Which sentences of those written a person is shown: whole ones that stand by themselves and say something new."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.documents.headings import heading_label
from app.summarizing.drafts import DraftSentence
from app.summarizing.joints import Joints
from app.summarizing.tldr import states_aim
from longt5.evaluation.faithfulness import content_words
from longt5.text.citations import points_elsewhere
from longt5.text.sentences import leans_on_another, may_end_text

# Share of a sentence that must be words; the rest is numbers, names of variables, symbols.
LEAST_WORDS = 0.66
_RUN = re.compile(r"[^\W\d_]{31,}")
# What a footnote or the legend of a figure's panel begins with: it belongs to something else.
_BELONGS_ELSEWHERE = re.compile(r"\W?\s?[*∗†‡§¶#]|\([A-Za-z](?:\s?[,–-]\s?[A-Za-z])?\)\s")
_QUANTIFIER = re.compile(r"[∀∃]")
# A heading within a paragraph: "Semantic Modeling We use ...".
_TITLE_WORD = r"(?:[A-Z][\w-]*\s(?:(?:and|of|for|in|on|with|the|to|a)\s)*)"
_RUN_IN_HEADING = re.compile(
    rf"\A(?:{_TITLE_WORD}{{1,6}}(?=(?:We|The|In|This|To|Our|An)\s[a-z])|{_TITLE_WORD}{{3,6}}(?=A\s[a-z]))"
)
_WORDS = re.compile(r"[^\W\d_]{2,}")
_FEWEST_WORDS = 3
_WORD = re.compile(r"\W{0,2}[^\W\d_]{2,}(?:[-’'/][^\W_]+)*\W{0,3}|a|A|I|\W?[A-Z][\w-]*\W{0,2}")
# Of a sentence's content words, four at least, the share from which an earlier sentence has said it. What is written
# late of the same is often wrong.
_SAID, _FEWEST_SAID = 0.7, 4
# How a paper speaks of what it says; whoever says so says the same.
_SAYING = frozenset(
    "show shows shown showed demonstrate demonstrates present presents propose proposes introduce introduces find "
    "found suggest suggests result results findings experiments work method approach model framework new novel".split()
)


def presentable(
    drafts: Sequence[DraftSentence], joints: Joints, headings: Iterable[str] = ()
) -> list[DraftSentence]:
    """The whole sentences, without debris of formulas and tables and without first ones that hang in the air.

    Those that lead to a figure or a section are left out too, as a summary has none, and those that say again what was
    said.

    Args:
        joints: of the paper; of sentences melted together the last is kept.
        headings: of the paper; one that was copied with the sentence under it is taken off.
    """
    names = sorted({_without_number(heading) for heading in headings} - {""}, key=len, reverse=True)
    bare = [replace(draft, text=joints.after_last(_without_heading(draft.text, names))) for draft in drafts]
    kept = [draft for draft in bare if may_end_text(draft.text) and _reads_well(draft.text)]
    while len(kept) > 1 and leans_on_another(kept[0].text):
        del kept[0]
    words = [set(content_words(draft.text)) for draft in kept]
    # What a paper is about may have stood among what others did.
    return [
        draft
        for i, draft in enumerate(kept)
        if states_aim(draft.text) or not _are_said(words[i] - _SAYING, words[:i])
    ]


def _are_said(words: set[str], earlier: Sequence[set[str]]) -> bool:
    """Whether the content words of an earlier sentence say what these do."""
    return len(words) >= _FEWEST_SAID and any(len(words & others) >= _SAID * len(words) for others in earlier)


def _without_heading(sentence: str, names: Sequence[str]) -> str:
    """The sentence without the first of these headings that it begins with; nothing of one that is all there is."""
    for text in (sentence, _without_number(sentence)):
        for name in filter(text.startswith, names):
            rest = text[len(name) :].lstrip(" .:")
            if not _WORDS.search(rest):
                return ""
            # "Results show ..." begins with no heading, "Results We show ..." does.
            if rest[0].isupper() and len(rest.split()) >= _FEWEST_WORDS:
                return rest
    return _RUN_IN_HEADING.sub("", sentence)


def _without_number(text: str) -> str:
    label = heading_label(text)
    return text[label.end :] if label else text


def _reads_well(sentence: str) -> bool:
    """Whether most of a sentence is words that stand by themselves: no formula, footnote or legend, nor a pointer."""
    chunks = sentence.split()
    words = sum(_WORD.fullmatch(chunk) is not None for chunk in chunks)
    return (
        max(_FEWEST_WORDS, LEAST_WORDS * len(chunks)) <= words
        and not _RUN.search(sentence)
        and not _QUANTIFIER.search(sentence)
        and not _BELONGS_ELSEWHERE.match(sentence)
        and not points_elsewhere(sentence)
    )
