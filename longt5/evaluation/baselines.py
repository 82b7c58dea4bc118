"""Summaries to compare a model's with: sentences of the paper, as many words as the model wrote.

Every baseline takes the same proper sentences (no headings, no debris of tables) and differs in their ranking alone:
in order, at random, or by LexRank (Erkan and Radev 2004), TextRank (Mihalcea and Tarau 2004) and LSA (Steinberger and
Ježek 2004) as sumy has them. The oracle knows the abstract: it is the ceiling of what whole sentences can reach.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence
from sumy.nlp.stemmers import Stemmer
from sumy.summarizers.lex_rank import LexRankSummarizer
from sumy.summarizers.lsa import LsaSummarizer
from sumy.summarizers.text_rank import TextRankSummarizer
from sumy.utils import get_stop_words

from longt5.evaluation.metrics import WORD, rouge_tokenizer, words_of
from longt5.text.papers import Paper
from longt5.text.sentences import is_whole_sentence, split_sentences

_SUMMARIZERS = {"LexRank": LexRankSummarizer, "TextRank": TextRankSummarizer, "LSA": LsaSummarizer}
ORACLE = "oracle extract (ceiling)"
BASELINES = ("first sentences", "random sentences", *_SUMMARIZERS, ORACLE)


@dataclass(frozen=True)
class Ranking:
    """Indices of a paper's proper sentences, best first, and the seconds it took to rank them."""

    order: list[int]
    seconds: float


def proper_sentences(text: str) -> list[str]:
    """The whole sentences of `text`, without headings and debris of tables."""
    cased = not text.islower()
    sentences = (text[start:end] for start, end in split_sentences(text))
    return [sentence for sentence in sentences if is_whole_sentence(sentence, cased)]


def fingerprint(sentences: Sequence[str]) -> str:
    """Tells whether a kept ranking is one of these sentences."""
    return hashlib.sha256("\n".join(sentences).encode()).hexdigest()[:16]


def rank(sentences: Sequence[str]) -> dict[str, Ranking]:
    """The rankings of sumy's summarizers by their names.

    They compare each sentence with each other in Python: seconds together for a paper of 400 sentences.
    """
    words = _Words()
    document = ObjectDocumentModel([Paragraph([Sentence(sentence, words) for sentence in sentences])])
    rankings = {}
    for name, kind in _SUMMARIZERS.items():
        summarizer = kind(Stemmer("english"))
        summarizer.stop_words = get_stop_words("english")
        order: list[int] = []

        def keep(ranked: Sequence, order: list[int] = order) -> Sequence:
            """In place of a count of sentences: sumy hands it all of them, best first, to choose from."""
            order.extend(information.order for information in ranked)
            return ranked

        start = time.perf_counter()
        summarizer(document, keep)
        rankings[name] = Ranking(order, time.perf_counter() - start)
    return rankings


def extract(sentences: Sequence[str], order: Iterable[int], words: int) -> str:
    """The first sentences of `order` that reach `words` words, in the paper's order, cut to as many."""
    chosen: list[int] = []
    length = 0
    for index in order:
        if length >= words:
            break
        chosen.append(index)
        length += len(words_of(sentences[index]))
    return cut_to_words(" ".join(sentences[index] for index in sorted(chosen)), words)


def random_order(count: int, seed: str) -> list[int]:
    """The numbers below `count` shuffled, always the same for a seed."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order


def oracle(sentences: Sequence[str], abstract: str, words: int) -> str:
    """Sentences chosen greedily for ROUGE-1 + ROUGE-2 F1 against `abstract`, at most `words` words together.

    Sentences are whole, and none is taken that lowers the score: it may be shorter than `words`, even empty.
    """
    tokenizer = rouge_tokenizer(abstract)
    numbers: dict[str, int] = {}
    reference, *units = (
        np.array(
            [numbers.setdefault(unit, len(numbers)) for unit in tokenizer.tokenize(text)], dtype=np.int64
        )
        for text in (abstract, *sentences)
    )
    lengths = np.array([len(words_of(sentence)) for sentence in sentences], dtype=np.int64)
    chosen = oracle_extract(units, reference, lengths=lengths, budget=words)
    return " ".join(sentences[index] for index in chosen)


def oracle_extract(
    sentences: Sequence[np.ndarray], reference: np.ndarray, *, lengths: np.ndarray, budget: int
) -> list[int]:
    """Sentences chosen greedily for ROUGE-1 + ROUGE-2 F1 (Nallapati et al. 2017), in the text's order.

    Args:
        sentences: a number for each word of each sentence.
        reference: those of the abstract.
        lengths: `(sentences,)` what each sentence costs.
        budget: the most that all chosen sentences may cost together.

    Returns:
        Their indices; none where nothing that fits raises the score.
    """
    measures = [
        _hits(sentences, reference),
        _hits([_bigrams(sentence) for sentence in sentences], _bigrams(reference)),
    ]
    allowed = np.ones(len(sentences), dtype=bool)
    chosen: list[int] = []
    score = 0.0
    while (allowed := allowed & (lengths <= budget - lengths[chosen].sum())).any():
        scores = np.zeros(len(sentences))  # of the chosen ones with each other one
        for counts, sizes, wanted, wanted_size in measures:
            shared = np.minimum(counts[chosen].sum(axis=0) + counts, wanted).sum(axis=1)
            scores += 2.0 * shared / np.maximum(sizes[chosen].sum() + sizes + wanted_size, 1)
        best = int(np.where(allowed, scores, -1.0).argmax())
        if scores[best] <= score:
            break
        score = float(scores[best])
        allowed[best] = False
        chosen.append(best)
    return sorted(chosen)


def _hits(
    sentences: Sequence[np.ndarray], reference: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Counts `(sentences, units of the reference)` and sizes `(sentences,)`; those of the reference."""
    units, wanted = np.unique(reference, return_counts=True)
    counts = np.zeros((len(sentences), len(units)), dtype=np.int64)
    for row, sentence in zip(counts, sentences, strict=True):
        np.add.at(row, np.searchsorted(units, sentence[np.isin(sentence, units)]), 1)
    return counts, np.array([len(sentence) for sentence in sentences], dtype=np.int64), wanted, len(reference)


def _bigrams(sentence: np.ndarray) -> np.ndarray:
    """One number for each pair of neighbours."""
    return (sentence[:-1] << 32) + sentence[1:]


def baseline_summaries(
    paper: Paper, sentences: Sequence[str], rankings: dict[str, Ranking], words: int
) -> dict[str, str]:
    """The summary of each of `BASELINES` for a paper of those `proper_sentences`, `words` words long."""
    return {
        "first sentences": extract(sentences, range(len(sentences)), words),
        "random sentences": extract(sentences, random_order(len(sentences), paper.id), words),
        **{name: extract(sentences, rankings[name].order, words) for name in _SUMMARIZERS},
        ORACLE: oracle(sentences, paper.abstract, words),
    }


def cut_to_words(text: str, words: int) -> str:
    """`text` up to its `words`-th word."""
    for count, match in enumerate(WORD.finditer(text), start=1):
        if count == words:
            return text[: match.end()]
    return text if words else ""


class _Words:
    """What sumy takes for a tokenizer; its own needs a download."""

    def to_words(self, sentence: str) -> list[str]:
        return words_of(sentence)
