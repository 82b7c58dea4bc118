"""What is measured of one summary: ROUGE, how much of it stands in the paper, how much it repeats itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rouge_score import rouge_scorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer
from sumy.utils import get_stop_words

from longt5.evaluation.faithfulness import ReadText
from longt5.text.papers import Paper
from longt5.text.sentences import split_sentences

ROUGE = ("rouge1", "rouge2", "rougeLsum")
WORD = re.compile(r"[^\W_]+")
# Thai, Lao, Burmese, Khmer, Japanese and Chinese have no spaces between words.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_SIGNS_AND_WORDS = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+")


@dataclass(frozen=True)
class Scores:
    """One summary of one paper, measured. ROUGE is F1; shares are 0..1; `seconds` is the time to write it.

    `seconds` is 0 where it was not measured: for baselines, only sumy's rankings are timed. A summary without
    words has shares of 0, and repeats nothing.
    """

    rouge1: float
    rouge2: float
    rougeLsum: float
    words: int
    words_in_paper: float
    content_words_in_paper: float
    four_grams_in_paper: float
    repeated_four_grams: float
    repeats_none: bool
    supported: bool
    """Whether all its numbers, units, names and acronyms stand in the paper."""
    item_precision: float
    """Share of them that do; 1 if there are none."""
    in_one_window: float
    """Share of its sentences whose content words stand together in the paper (`longt5.evaluation.faithfulness`)."""
    seconds: float


class Scorer:
    """Measures summaries."""

    def __init__(self) -> None:
        self._read = lru_cache(maxsize=1)(ReadText)  # all systems summarize one paper after the other

    def __call__(self, summary: str, paper: Paper, seconds: float = 0.0) -> Scores:
        """Measures `summary` against the paper's abstract and its text."""
        scorer = rouge_scorer.RougeScorer(list(ROUGE), tokenizer=rouge_tokenizer(paper.abstract))
        rouge = scorer.score(_one_sentence_a_line(paper.abstract), _one_sentence_a_line(summary))
        written, read = words_of(summary), words_of(paper.text)
        known = set(read)
        grams = four_grams(written)
        distinct = set(grams)
        faithfulness = self._read(paper.text).check(summary)
        return Scores(
            **{name: rouge[name].fmeasure for name in ROUGE},
            words=len(written),
            words_in_paper=_share(written, known),
            content_words_in_paper=_share([word for word in written if word not in STOP_WORDS], known),
            four_grams_in_paper=_share(grams, set(four_grams(read))),
            repeated_four_grams=1.0 - len(distinct) / len(grams) if grams else 0.0,
            repeats_none=len(distinct) == len(grams),
            supported=not faithfulness.unsupported,
            item_precision=faithfulness.precision,
            in_one_window=faithfulness.in_one_window,
            seconds=seconds,
        )


class _WordsOfAnyScript(Tokenizer):
    """Words for ROUGE in scripts other than Latin; of those without spaces between words, each character."""

    def tokenize(self, text: str) -> list[str]:
        return _SIGNS_AND_WORDS.findall(text.lower())


def rouge_tokenizer(reference: str) -> Tokenizer:
    """What ROUGE against `reference` takes for words, in both texts."""
    # The usual words of ROUGE are made of a-z and 0-9: it would count none of a text in Russian or Chinese.
    return DefaultTokenizer(use_stemmer=True) if _is_latin(reference) else _WordsOfAnyScript()


def _is_latin(text: str) -> bool:
    """Whether most letters of a text are those that ROUGE counts."""
    letters = sum(map(str.isalpha, text))
    return 2 * sum(character.isascii() and character.isalpha() for character in text) >= letters


def words_of(text: str) -> list[str]:
    """Lower-case words and numbers of `text`, without punctuation."""
    return WORD.findall(text.lower())


def four_grams(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Every four words in a row."""
    return [tuple(words[start : start + 4]) for start in range(len(words) - 3)]


# What is left are content words. sumy carries the SMART system's list (Salton 1971) with contractions, which are
# taken apart here as `words_of` takes them apart.
STOP_WORDS = frozenset(word for entry in get_stop_words("english") for word in words_of(entry))


def _one_sentence_a_line(text: str) -> str:
    """ROUGE-Lsum compares line by line, so that a sentence that runs over two of them is put on one."""
    return "\n".join(" ".join(text[start:end].split()) for start, end in split_sentences(text))


def _share(items: Sequence[object], known: set[str] | set[tuple[str, ...]]) -> float:
    return sum(item in known for item in items) / len(items) if items else 0.0
