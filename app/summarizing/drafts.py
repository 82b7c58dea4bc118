"""The tokens written from one window as sentences, and the sentences of all windows as one summary."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from app.documents.headings import heading_label
from app.summarizing.joints import Joints
from app.summarizing.tldr import states_aim
from longt5.evaluation.faithfulness import content_words
from longt5.text.citations import points_elsewhere, without_citations
from longt5.text.sentences import leans_on_another, may_end_text, split_sentences

# Share of words in common, of all words in either, from which two sentences say the same; and of a sentence's content
# words, four at least, from which an earlier one has said it. What is written late of the same is often wrong.
SAME_WORDS = 0.7
_SAID, _FEWEST_SAID = 0.7, 4
# How a paper speaks of what it says; whoever says so says the same.
_SAYING = frozenset(
    "show shows shown showed demonstrate demonstrates present presents propose proposes introduce introduces find "
    "found suggest suggests result results findings experiments work method approach model framework new novel".split()
)
# Words said twice in a row: "P. mirabilis (Pisauridae) mirabilis (Pisauridae)".
_STUTTER = re.compile(r"(?<!\S)(\S+(?: \S+){1,7})(?: \1)+(?!\S)")
# Share of a sentence that must be words; the rest is numbers, names of variables, symbols.
LEAST_WORDS = 0.66
_RUN = re.compile(r"[^\W\d_]{31,}")
# What a footnote or the legend of a figure's panel begins with: it belongs to something else.
_BELONGS_ELSEWHERE = re.compile(r"\W?\s?[*∗†‡§¶#]|\([A-Za-z](?:\s?[,–-]\s?[A-Za-z])?\)\s")
_QUANTIFIER = re.compile(r"[∀∃]")
# A heading within a paragraph: "Semantic Modeling We use ...".
_SMALL_WORDS = "and|of|for|in|on|with|the|to|a"
_RUN_IN_HEADING = re.compile(
    rf"(?:[A-Z][\w-]*\s(?:(?:{_SMALL_WORDS})\s)*){{1,6}}(?=(?:We|The|In|This|To|Our|An)\s[a-z])"
    rf"|(?:[A-Z][\w-]*\s(?:(?:{_SMALL_WORDS})\s)*){{3,6}}(?=A\s[a-z])"
)
_WORDS = re.compile(r"[^\W\d_]{2,}")
_FEWEST_WORDS = 3
_WORD = re.compile(r"\W{0,2}[^\W\d_]{2,}(?:[-’'/][^\W_]+)*\W{0,3}|a|A|I|\W?[A-Z][\w-]*\W{0,2}")


@dataclass(frozen=True)
class DraftSentence:
    """A sentence with the half-open range of the written tokens it was made of."""

    text: str
    token_start: int
    token_end: int


def decoded(tokenizer: Any, token_ids: Sequence[int]) -> str:
    """The text of written tokens, special ones left out."""
    return tokenizer.decode(token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def draft_sentences(tokenizer: Any, token_ids: Sequence[int]) -> list[DraftSentence]:
    """The sentences of the text of `token_ids`, in order, without the citations copied with them."""
    text = decoded(tokenizer, token_ids)
    # A token's end in the text is the length of the text up to it. Bytes of an unfinished character decode
    # to a replacement sign, maybe longer than what it becomes: hence the running maximum and the cap.
    lengths = (len(decoded(tokenizer, token_ids[: i + 1])) for i in range(len(token_ids)))
    ends = [min(end, len(text)) for end in accumulate(lengths, max)]
    return [
        DraftSentence(sentence, bisect_right(ends, start), bisect_left(ends, end) + 1)
        for start, end in split_sentences(text)
        if (sentence := _STUTTER.sub(r"\1", without_citations(text[start:end])))
    ]


def finished_sentences(tokenizer: Any, token_ids: Sequence[int]) -> list[DraftSentence]:
    """The same of a text that may break off within its last sentence, which is left out then."""
    drafts = draft_sentences(tokenizer, token_ids)
    return [
        draft for number, draft in enumerate(drafts, 1) if number < len(drafts) or may_end_text(draft.text)
    ]


def presentable(
    drafts: Sequence[DraftSentence], joints: Joints, headings: Iterable[str] = ()
) -> list[DraftSentence]:
    """The whole sentences, without debris of formulas and tables and without first ones that hang in the air.

    Args:
        joints: of the paper; of sentences melted together the last is kept.
        headings: of the paper; one that was copied with the sentence under it is taken off.

    Sentences that lead to a figure or a section are left out too, as a summary has none, and those that say again
    what was said.
    """
    names = sorted({_without_number(heading) for heading in headings} - {""}, key=len, reverse=True)
    bare = [replace(draft, text=joints.after_last(_without_heading(draft.text, names))) for draft in drafts]
    kept = [draft for draft in bare if may_end_text(draft.text) and _reads_well(draft.text)]
    while len(kept) > 1 and leans_on_another(kept[0].text):
        del kept[0]
    return [draft for i, draft in enumerate(kept) if not _is_said(draft.text, kept[:i])]


def _is_said(sentence: str, earlier: Sequence[DraftSentence]) -> bool:
    """Whether an earlier sentence says all of it; what a paper is about may have stood among what others did."""
    words = set(content_words(sentence)) - _SAYING
    if len(words) < _FEWEST_SAID or states_aim(sentence):
        return False
    return any(len(words & set(content_words(draft.text))) >= _SAID * len(words) for draft in earlier)


def nearest_count(words: int, texts: Iterable[str]) -> int:
    """How many of the texts, from the first one on, come nearest to a number of words; one at least."""
    totals = list(accumulate(len(text.split()) for text in texts))
    return 1 + min(range(len(totals)), key=lambda last: abs(totals[last] - words), default=-1)


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
    return _RUN_IN_HEADING.sub("", sentence, count=1) if _RUN_IN_HEADING.match(sentence) else sentence


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


def without_repeats(
    sentences: Sequence[DraftSentence], earlier: Sequence[str]
) -> tuple[list[DraftSentence], int]:
    """The sentences that none of the `earlier` ones said already, and how many were dropped."""
    said = [_words(sentence) for sentence in earlier]

    def is_repeat(words: frozenset[str]) -> bool:
        return any(len(words & others) / max(1, len(words | others)) >= SAME_WORDS for others in said)

    fresh = [sentence for sentence in sentences if not is_repeat(_words(sentence.text))]
    return fresh, len(sentences) - len(fresh)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))
