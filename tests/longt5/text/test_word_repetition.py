"""Runs of words that were written are not written again, by hand-made cases and against every text that is allowed."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig

from longt5.evaluation.metrics import four_grams, words_of
from longt5.text.word_repetition import NoRepeatedWords, word_processors
from longt5.training.tokenizer import train_tokenizer

TEXT = "The tree of life is a tree. In 2010 the phylogenetic tree of life was drawn (Smith, 2010), again and again."
TOKENIZER = train_tokenizer(iter([TEXT] * 9), 330)


def barred(text: str, size: int = 3) -> list[str]:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    tokens = NoRepeatedWords(TOKENIZER, size).barred([TOKENIZER.pad_token_id, *ids])
    return TOKENIZER.convert_ids_to_tokens(tokens)


def first_token(word: str) -> str:
    return TOKENIZER.tokenize(word, add_special_tokens=False)[0]


def test_the_word_that_completes_a_run_is_barred() -> None:
    assert barred("the tree of life was drawn, the tree") == [first_token("of")]
    assert barred("the tree of life was drawn, the life") == []
    assert barred("the tree of life was drawn, the tree", size=4) == []


def test_case_and_punctuation_make_no_difference() -> None:
    assert barred("The tree, of life was drawn. In the Tree") == barred(
        "the tree of life was drawn in the tree"
    )


def test_numbers_are_one_word() -> None:
    # Two runs of "2010 the" would be a repeated pair; the digits alone are no words.
    assert barred("In 2010 the tree in 201") == []
    assert barred("In 2010 the tree in", size=2) == [first_token("2010")]


def test_a_text_of_too_few_words_bars_nothing() -> None:
    assert barred("the tree") == []
    assert barred("") == []


def test_only_barred_scores_change() -> None:
    ids = TOKENIZER(
        "the tree of life was drawn, the tree", add_special_tokens=False, return_tensors="pt"
    ).input_ids
    ids = torch.cat([torch.zeros(1, 1, dtype=torch.long), ids], dim=1).repeat(2, 1)
    ids[1, -1] = TOKENIZER.convert_tokens_to_ids(first_token("again"))
    scores = torch.zeros(2, len(TOKENIZER))
    changed = NoRepeatedWords(TOKENIZER, 3)(ids, scores)
    assert changed.isneginf().nonzero().tolist() == [[0, TOKENIZER.convert_tokens_to_ids(first_token("of"))]]
    assert not scores.any()


def test_a_configuration_asks_for_it() -> None:
    assert word_processors(TOKENIZER, GenerationConfig()) == []
    [processor] = word_processors(TOKENIZER, GenerationConfig(no_repeat_word_ngram_size=4))
    assert isinstance(processor, NoRepeatedWords)


@given(st.lists(st.sampled_from(TEXT.split()), min_size=1, max_size=60))
def test_what_is_never_barred_repeats_nothing(words: list[str]) -> None:
    processor = NoRepeatedWords(TOKENIZER, 4)
    ids = [TOKENIZER.pad_token_id]
    for token in TOKENIZER(" ".join(words), add_special_tokens=False)["input_ids"]:
        if token in processor.barred(ids):
            break
        ids.append(token)
    text = TOKENIZER.decode(ids, skip_special_tokens=True)
    complete = four_grams(words_of(text)[:-1])  # the last word may be half a word
    assert len(set(complete)) == len(complete)
