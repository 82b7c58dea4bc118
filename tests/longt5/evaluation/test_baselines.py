import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence
from sumy.nlp.stemmers import Stemmer
from sumy.summarizers.lex_rank import LexRankSummarizer
from sumy.summarizers.lsa import LsaSummarizer
from sumy.summarizers.text_rank import TextRankSummarizer
from sumy.utils import get_stop_words

from longt5.evaluation.baselines import (
    BASELINES,
    ORACLE,
    Ranking,
    baseline_summaries,
    cut_to_words,
    extract,
    fingerprint,
    oracle,
    oracle_extract,
    proper_sentences,
    random_order,
    rank,
)
from longt5.evaluation.metrics import words_of
from longt5.text.papers import Paper

TEXT = (
    "Introduction\nThe encoder reads a band of tokens. It also reads the sums of blocks. Fig. 1\n"
    "Both together reach every part of a paper. The decoder writes what matters to it most."
)
SENTENCES = [
    "The encoder reads a band of tokens.",
    "It also reads the sums of blocks.",
    "Both together reach every part of a paper.",
    "The decoder writes what matters to it most.",
]
# Five about one thing, the third of which shares a word with each other one, and one about another.
TOPIC = [
    "The weather in spring was mild this year.",
    "Whales dive below cold currents.",
    "Whales sing and dive while krill drift north.",
    "Krill drift into warm bays.",
    "Some whales sing at night.",
    "Ships north of bays hear whales sing.",
]


def test_headings_and_captions_are_no_sentences() -> None:
    assert proper_sentences(TEXT) == SENTENCES
    assert proper_sentences('1 Methods\nSee below. He said so, and "nobody knew what to do."') == [
        'He said so, and "nobody knew what to do."'
    ]


def test_the_best_are_put_in_the_papers_order_and_cut() -> None:
    assert extract(SENTENCES, [3, 0, 1, 2], 8) == "The decoder writes what matters to it most"
    # The second best is needed for the tenth word, and stands first in the paper.
    assert extract(SENTENCES, [3, 0, 1, 2], 10) == "The encoder reads a band of tokens. The decoder writes"
    assert extract(SENTENCES, range(4), 9) == "The encoder reads a band of tokens. It also"
    assert extract(SENTENCES, range(4), 0) == ""
    assert extract(SENTENCES, range(4), 100) == " ".join(SENTENCES)


@given(st.permutations(range(4)), st.integers(0, 40))
def test_an_extract_has_as_many_words_as_asked_for(order: list[int], words: int) -> None:
    available = sum(len(words_of(sentence)) for sentence in SENTENCES)
    assert len(words_of(extract(SENTENCES, order, words))) == min(words, available)


def test_cuts() -> None:
    assert cut_to_words("One, two. Three", 2) == "One, two"
    assert cut_to_words("One", 3) == "One"
    assert cut_to_words("One", 0) == ""


def test_chance_is_a_papers_own() -> None:
    assert random_order(50, "a") == random_order(50, "a") != random_order(50, "b")
    assert sorted(random_order(50, "a")) == list(range(50))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("LexRank", LexRankSummarizer), ("TextRank", TextRankSummarizer), ("LSA", LsaSummarizer)],
)
def test_rankings_are_what_sumy_chooses(name: str, kind: type) -> None:
    class Tokenizer:
        def to_words(self, sentence: str) -> list[str]:
            return words_of(sentence)

    tokenizer = Tokenizer()
    document = ObjectDocumentModel([Paragraph([Sentence(sentence, tokenizer) for sentence in TOPIC])])
    summarizer = kind(Stemmer("english"))
    summarizer.stop_words = get_stop_words("english")
    ranking = rank(TOPIC)[name]
    assert sorted(ranking.order) == list(range(len(TOPIC)))
    assert ranking.seconds > 0
    for count in range(1, len(TOPIC)):
        chosen = [str(sentence) for sentence in summarizer(document, count)]
        assert chosen == [TOPIC[index] for index in sorted(ranking.order[:count])]


def test_the_sentence_like_most_others_is_ranked_first() -> None:
    rankings = rank(TOPIC)
    assert rankings["LexRank"].order[0] == rankings["TextRank"].order[0] == 2


def test_nothing_to_rank() -> None:
    assert [ranking.order for ranking in rank([]).values()] == [[], [], []]


def test_a_fingerprint_is_of_every_sentence() -> None:
    assert fingerprint(SENTENCES) == fingerprint(list(SENTENCES))
    assert fingerprint(SENTENCES) != fingerprint(SENTENCES[:3])


def test_oracle_by_hand() -> None:
    sentences = [
        "We thank all our many friends.",  # nothing of the abstract
        "Whales dive deep and sing.",  # four of its words in a row, and a word more
        "Whales dive.",  # two of its words
        "Krill were drifting north then.",  # stemmed, two of its words
    ]
    abstract = "Whales dive deep and hear. Krill drift north."
    assert oracle(sentences, abstract, 100) == f"{sentences[1]} {sentences[3]}"
    assert oracle(sentences, abstract, 9) == sentences[1]  # the other has five words, too many
    assert oracle(sentences, abstract, 4) == sentences[2]
    assert oracle(sentences, abstract, 1) == ""


@pytest.mark.parametrize(
    "sentences",
    [
        ["В работе рассматривается задача.", "Память растёт линейно с длиной.", "Кот спит."],
        ["本文研究长文档摘要问题。", "内存消耗随长度线性增长。", "猫在睡觉。"],
    ],
)
def test_oracle_knows_the_words_of_other_scripts(sentences: list[str]) -> None:
    assert oracle(sentences, " ".join(sentences[:2]), 100) == " ".join(sentences[:2])


def units(*sentences: str) -> list[np.ndarray]:
    """Each letter is a unit."""
    return [np.array([ord(letter) for letter in sentence], dtype=np.int64) for sentence in sentences]


def test_oracle_of_letters_by_hand() -> None:
    text = units("abc", "xyz", "def", "abcdef")
    lengths = np.array([3, 3, 3, 6])
    reference = units("abcdef")[0]
    assert oracle_extract(text, reference, lengths=lengths, budget=10) == [3]
    # The whole does not fit; its two halves do, and come in the text's order.
    assert oracle_extract(text, reference, lengths=lengths, budget=6) == [3]
    assert oracle_extract(text, reference, lengths=np.array([3, 3, 3, 9]), budget=6) == [0, 2]
    assert oracle_extract(text, reference, lengths=lengths, budget=2) == []
    assert oracle_extract(text[:2], reference, lengths=lengths[:2], budget=9) == [0]


def test_oracle_prefers_order_of_words() -> None:
    # Same letters; only the second has the reference's bigrams.
    assert oracle_extract(units("badc", "abcd"), units("abcd")[0], lengths=np.array([4, 4]), budget=4) == [1]


@pytest.mark.parametrize("reference", ["", "a"])
def test_oracle_of_nothing(reference: str) -> None:
    assert oracle_extract(units("bc"), units(reference)[0], lengths=np.array([2]), budget=4) == []
    assert oracle_extract([], units(reference)[0], lengths=np.array([], dtype=int), budget=4) == []


def test_all_baselines_are_as_long_as_the_summary() -> None:
    paper = Paper(id="a", title="", text=TEXT, abstract="The decoder writes what matters.")
    rankings = {"LexRank": [1, 0, 2, 3], "TextRank": [2, 0, 1, 3], "LSA": [3, 0, 1, 2]}
    summaries = baseline_summaries(
        paper, SENTENCES, {name: Ranking(order, 0.0) for name, order in rankings.items()}, 8
    )
    assert tuple(summaries) == BASELINES
    assert {len(words_of(summary)) for summary in summaries.values()} == {8}
    assert summaries["first sentences"] == "The encoder reads a band of tokens. It"
    assert summaries["LexRank"] == "The encoder reads a band of tokens. It"
    assert summaries["TextRank"] == "Both together reach every part of a paper"
    assert summaries["LSA"] == "The decoder writes what matters to it most"
    assert summaries[ORACLE] == SENTENCES[3]


def test_texts_in_lower_case_have_sentences_too() -> None:
    lower = "the encoder reads a band of tokens . it also reads the sums of blocks . see below"
    assert proper_sentences(lower) == [
        "the encoder reads a band of tokens .",
        "it also reads the sums of blocks .",
    ]
