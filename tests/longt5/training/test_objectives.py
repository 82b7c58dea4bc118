"""Each objective on papers made by hand: what goes in, what is asked for."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longt5.training.corpus import PreparedPapers
from longt5.training.objectives import OBJECTIVES, TokenizedPaper, Vocabulary, overlap_with_abstract

EOS, MASK, STOP = 1, 3, 10
# Tokens 20 to 119 are words, 10 is the full stop: nothing else is needed to make papers by hand.
HAND = Vocabulary(
    units=np.array([-1] * 20 + [*range(100)]),
    ends=np.array([token == STOP for token in range(120)]),
    rarity=np.ones(100),
    eos_token_id=EOS,
    mask_token_id=MASK,
)


def paper_of(sentences: list[list[int]], abstract: list[int]) -> TokenizedPaper:
    starts = np.append(0, np.cumsum([len(sentence) for sentence in sentences]))
    return TokenizedPaper(np.concatenate(sentences), starts, np.array(abstract))


def sentence(first_word: int, words: int = 9) -> list[int]:
    return [*range(first_word, first_word + words), STOP]


# Ten sentences of ten tokens; the abstract says what the third and the eighth say.
TEN = [sentence(20 + 9 * number) for number in range(10)]
PAPER = paper_of(TEN, [*TEN[2], *TEN[7]])


def test_overlap_is_the_f1_of_distinct_words() -> None:
    overlap = overlap_with_abstract(PAPER.tokens, PAPER.starts, PAPER.abstract, HAND)
    # 9 of a sentence's 9 words and of the abstract's 18: 2 * 9 / (9 + 18).
    assert overlap.round(5).tolist() == [0, 0, 0.66667, 0, 0, 0, 0, 0.66667, 0, 0]


def test_overlap_weighs_rare_words_more() -> None:
    rarity = np.ones(100)
    rarity[:9] = 3.0  # the first sentence's words
    weighted = dataclasses.replace(HAND, rarity=rarity)
    half = np.array([20, 21, 29, 30])  # two words of the first sentence, two of the second
    overlap = overlap_with_abstract(PAPER.tokens, PAPER.starts, half, weighted)
    assert overlap[0] == pytest.approx(2 * 6 / (27 + 8)) and overlap[1] == pytest.approx(2 * 2 / (9 + 8))


def test_headings_tables_and_halves_are_not_asked_for() -> None:
    short, endless, long = sentence(20, 6), [*range(20, 30)], [*range(20, 110), *range(20, 100), STOP]
    repeated = [20, 20, 20, 20, 20, 20, 20, 20, STOP]
    paper = paper_of([short, endless, long, repeated, sentence(20)], sentence(20))
    overlap = overlap_with_abstract(paper.tokens, paper.starts, paper.abstract, HAND)
    assert overlap[:4].tolist() == [-1, -1, -1, -1] and overlap[4] == pytest.approx(1.0)


def test_gap_sentences_masked_wholly_or_in_part() -> None:
    asked: dict[bool, int] = {True: 0, False: 0}
    for seed in range(200):
        example = OBJECTIVES["gap"](PAPER, HAND, np.random.default_rng(seed), 200, 40)
        assert example is not None
        source, target = example.input_ids.tolist(), example.labels.tolist()
        assert source[-1] == target[-1] == EOS
        chosen = [target[start : start + 10] for start in range(0, len(target) - 1, 10)]
        places = [TEN.index(one) for one in chosen]
        assert places == sorted(set(places))
        # In the input each is either there or one mask token in its place.
        rebuilt, asked_for = [], iter(place for place in places if TEN[place] not in _sentences(source))
        for token in source[:-1]:
            rebuilt += TEN[next(asked_for)] if token == MASK else [token]
        assert rebuilt == PAPER.tokens.tolist()
        for place in places:
            asked[place in (2, 7)] += 1
    assert asked[True] > asked[False]  # what the abstract says is asked for most


def test_gap_sentences_that_were_cut_out_of_the_input_are_not_asked_for() -> None:
    """The target may be half as long as the input, and few of the sentences that make room for it are masked."""
    cut = 0
    for seed in range(400):
        example = OBJECTIVES["gap"](PAPER, HAND, np.random.default_rng(seed), 62, 40)
        if example is None:
            continue
        source, target = example.input_ids[:-1].tolist(), example.labels[:-1].tolist()
        cut += len(source) == 61
        left = _sentences(source)
        places = [TEN.index(target[start : start + 10]) for start in range(0, len(target), 10)]
        # Each is either whole in the input, or has one of its masks.
        assert sum(TEN[place] not in left for place in places) == source.count(MASK)
    assert cut > 100


def _sentences(tokens: list[int]) -> list[list[int]]:
    found: list[list[int]] = [[]]
    for token in tokens:
        if token != MASK:
            found[-1].append(token)
        if token in (STOP, MASK):
            found.append([])
    return found


def test_in_half_of_the_gap_examples_all_are_masked() -> None:
    examples = [OBJECTIVES["gap"](PAPER, HAND, np.random.default_rng(seed), 200, 60) for seed in range(1000)]
    shares = [
        (one.input_ids == MASK).sum() / ((len(one.labels) - 1) // 10) for one in examples if one is not None
    ]
    # Half of them wholly, and of the others those few where all coins fell so.
    assert 0.5 < np.mean([share == 1.0 for share in shares]) < 0.65
    assert np.mean([share for share in shares if share < 1]) == pytest.approx(0.45, abs=0.08)


def test_extracts_are_marked_and_begin_with_the_likeliest() -> None:
    first = []
    for seed in range(100):
        example = OBJECTIVES["extract"](PAPER, HAND, np.random.default_rng(seed), 200, 80)
        assert example is not None
        assert example.input_ids.tolist() == [MASK, *PAPER.tokens.tolist(), EOS]
        target = example.labels[:-1].tolist()
        chosen = [TEN.index(target[start : start + 10]) for start in range(0, len(target), 10)]
        assert len(set(chosen)) == len(chosen) and 6 <= len(chosen) <= 7
        first.append(chosen[0])
    assert set(first) <= {2, 7} and 30 < first.count(2) < 70


def test_continuation_is_what_follows() -> None:
    example = OBJECTIVES["continuation"](PAPER, HAND, np.random.default_rng(3), 51, 21)
    assert example is not None
    whole = [*example.input_ids[:-1].tolist(), *example.labels[:-1].tolist()]
    assert len(whole) == 70
    assert any(PAPER.tokens[start : start + 70].tolist() == whole for start in range(0, 31, 10))
    assert OBJECTIVES["continuation"](PAPER, HAND, np.random.default_rng(3), 80, 40) is None


def test_abstracts_leave_out_some_sentences_of_the_paper() -> None:
    lengths = set()
    for seed in range(50):
        example = OBJECTIVES["abstract"](PAPER, HAND, np.random.default_rng(seed), 200, 40)
        assert example is not None
        assert example.labels.tolist() == [*PAPER.abstract.tolist(), EOS]
        kept = [TEN.index(one) for one in _sentences(example.input_ids[:-1].tolist()) if one]
        assert kept == sorted(set(kept))
        lengths.add(len(kept))
    assert 10 in lengths and min(lengths) >= 5
    assert OBJECTIVES["abstract"](PAPER, HAND, np.random.default_rng(0), 200, 20) is None


def test_a_long_paper_gives_its_beginning_and_its_end() -> None:
    example = OBJECTIVES["abstract"](PAPER, HAND, np.random.default_rng(0), 61, 40)
    assert example is not None
    source = example.input_ids[:-1].tolist()
    assert len(source) <= 60 and source[:10] in TEN[:3] and source[-10:] in TEN[-3:]


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=60, deadline=None)
@given(
    words=st.lists(st.integers(1, 30), min_size=0, max_size=40),
    source_tokens=st.integers(16, 300),
    target_tokens=st.integers(8, 120),
    seed=st.integers(0, 2**32),
)
def test_examples_keep_to_their_lengths(
    objective: str, words: list[int], source_tokens: int, target_tokens: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sentences = [[*rng.integers(20, 120, size=count).tolist(), STOP] for count in words] or [[20]]
    paper = paper_of(sentences, [20, 21, 22, STOP])
    example = OBJECTIVES[objective](paper, HAND, rng, source_tokens, target_tokens)
    if example is not None:
        assert 1 < len(example.input_ids) <= source_tokens and 1 < len(example.labels) <= target_tokens
        assert example.input_ids[-1] == example.labels[-1] == EOS
        assert EOS not in example.input_ids[:-1] and not {EOS, MASK} & set(example.labels[:-1].tolist())


@pytest.mark.parametrize("objective", ["gap", "extract"])
def test_a_tokenizer_without_a_mask_is_a_sentence(objective: str) -> None:
    unmasked = dataclasses.replace(HAND, mask_token_id=None)
    with pytest.raises(ValueError, match="mask token"):
        OBJECTIVES[objective](PAPER, unmasked, np.random.default_rng(0), 200, 40)


def test_a_vocabulary_counts_words_whatever_their_case(vocabulary: Vocabulary, prepared) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(prepared / "tokenizer")
    small, large, stop = (tokenizer.encode(text, add_special_tokens=False)[-1] for text in ("e", "E", "."))
    assert vocabulary.units[small] == vocabulary.units[large] >= 0
    assert vocabulary.units[stop] == -1 and vocabulary.ends[stop] and not vocabulary.ends[small]


def test_real_pieces(papers: PreparedPapers, vocabulary: Vocabulary) -> None:
    for objective in OBJECTIVES.values():
        example = objective(papers[0], vocabulary, np.random.default_rng(0), 400, 90)
        assert example is not None and example.input_ids.dtype == np.int64
