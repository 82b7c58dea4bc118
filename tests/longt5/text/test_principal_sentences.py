import numpy as np
import pytest

from longt5.text.principal_sentences import oracle_extract, principal_sentences


def units(*sentences: str) -> list[np.ndarray]:
    """Each letter is a unit."""
    return [np.array([ord(letter) for letter in sentence], dtype=np.int64) for sentence in sentences]


def f1(left: str, right: str) -> float:
    shared = sum(min(left.count(letter), right.count(letter)) for letter in set(left))
    return 2 * shared / (len(left) + len(right))


def test_independent_choice_by_hand() -> None:
    # Against the rest: "ab" shares both letters with "abcd"+"xy" (2*2/8); "abcd" shares a, b (2*2/8) - the first of
    # equals wins -; "xy" shares nothing.
    assert principal_sentences(units("ab", "abcd", "xy"), 3, sequential=False) == [0, 1, 2]
    # "abc" against "abzabc": 2*3/9; "abz" against "abcabc": 2*2/9.
    assert principal_sentences(units("abz", "abc", "abc"), 1, sequential=False) == [1]


def test_unique_ngrams_count_once() -> None:
    # Counted as often as they occur, "aaaa" shares four a with the rest; as a set it shares one of one.
    text = units("aaaa", "bcbc", "aaaabcqq")
    assert principal_sentences(text, 1, sequential=False)[0] == 2
    orig = [f1("aaaa", "bcbcaaaabcqq"), f1("bcbc", "aaaaaaaabcqq"), f1("aaaabcqq", "aaaabcbc")]
    assert orig.index(max(orig)) == 2
    # As sets: "aaaa" {a} of {a,b,c,q}: 2/5; "bcbc" {b,c} of {a,b,c,q}: 4/6; "aaaabcqq" {a,b,c} of {a,b,c}: 6/7.
    assert principal_sentences(text, 2, sequential=False, unique=True) == [2, 1]


def test_sequential_choice_looks_at_all_chosen_sentences_together() -> None:
    # "abcd" and its double are each the best alone; after one is chosen, "efgh" adds what is missing.
    text = units("abcd", "abcd", "efgh", "efgh")
    assert principal_sentences(text, 2, sequential=False) == [0, 1]
    assert principal_sentences(text, 2, sequential=True) == [0, 2]


def test_sequential_choice_equals_the_definition_written_out() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        texts = ["".join(rng.choice(list("abcdefg"), size=rng.integers(1, 9))) for _ in range(7)]
        chosen: list[int] = []
        for _ in range(4):
            scores = {
                index: f1(
                    "".join(texts[i] for i in (*chosen, index)),
                    "".join(text for i, text in enumerate(texts) if i not in (*chosen, index)),
                )
                for index in range(7)
                if index not in chosen
            }
            chosen.append(max(scores, key=scores.__getitem__))
        assert principal_sentences(units(*texts), 4) == chosen


def test_candidates_empty_sentences_and_counts() -> None:
    text = units("ab", "", "ab")
    assert principal_sentences(text, 5) == [0, 2]
    assert principal_sentences(text, 5, candidates=np.array([False, True, True])) == [2]
    assert principal_sentences([], 3) == []


def test_oracle_by_hand() -> None:
    text = units("abc", "xyz", "def", "abcdef")
    lengths = np.array([3, 3, 3, 6])
    reference = units("abcdef")[0]
    assert oracle_extract(text, reference, lengths=lengths, budget=10) == [3]
    # The whole does not fit; its two halves do, and come in the text's order.
    assert oracle_extract(text, reference, lengths=lengths, budget=6) == [3]
    assert oracle_extract(text, reference, lengths=np.array([3, 3, 3, 9]), budget=6) == [0, 2]
    assert oracle_extract(text, reference, lengths=lengths, budget=2) == []
    assert oracle_extract(
        text, reference, lengths=lengths, budget=9, candidates=np.array([1, 1, 0, 0], bool)
    ) == [0]


def test_oracle_prefers_order_of_words() -> None:
    # Same letters; only the second has the reference's bigrams.
    assert oracle_extract(units("badc", "abcd"), units("abcd")[0], lengths=np.array([4, 4]), budget=4) == [1]


@pytest.mark.parametrize("reference", ["", "a"])
def test_oracle_of_nothing(reference: str) -> None:
    assert oracle_extract(units("bc"), units(reference)[0], lengths=np.array([2]), budget=4) == []
    assert oracle_extract([], units(reference)[0], lengths=np.array([], dtype=int), budget=4) == []
