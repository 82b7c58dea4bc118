"""Text in own words by hand-made cases, against every text that is allowed, and in beam search."""

import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig

from longt5 import LongT5ForConditionalGeneration
from longt5.decoding import WritingRules, finish, processors, with_length
from longt5.evaluation.metrics import four_grams, words_of
from longt5.text.sentences import split_sentences
from longt5.training.tokenizer import train_tokenizer
from tests.longt5.factories import randomize, tiny_config

TEXT = "The tree of life is a tree. In 2010 the phylogenetic tree of life was drawn (Smith, 2010), again and again."
SYMBOLS = (
    'f(x) = [1.1] / {2} x_1 ^ * + - % , , ; : " “ ” ) ) ). ( ( 0 1 2 3 4 5 6 7 8 9 '
    "e.g. et al. a) b) A B C Fig. = = ="
)
TOKENIZER = train_tokenizer(iter([TEXT, SYMBOLS] * 9), 420)
END = TOKENIZER.eos_token_id


BYTES = {f"<0x{byte:02X}>" for byte in range(256)}


def barred_after(ids: list[int], rules: WritingRules) -> set[str]:
    """The pieces that may not follow these tokens."""
    scores = rules(torch.tensor([[TOKENIZER.pad_token_id, *ids]]), torch.zeros(1, len(TOKENIZER)))
    return set(TOKENIZER.convert_ids_to_tokens(scores[0].isneginf().nonzero()[:, 0].tolist()))


def barred(text: str, rules: WritingRules) -> set[str]:
    """The pieces that may not follow a text, bytes aside."""
    return barred_after(TOKENIZER(text, add_special_tokens=False)["input_ids"], rules) - BYTES


def barred_words(text: str, size: int = 3) -> set[str]:
    return barred(text, WritingRules(TOKENIZER, END, size))


def barred_symbols(text: str) -> set[str]:
    return barred(text, WritingRules(TOKENIZER, END, no_symbol_loops=True))


def barred_ends(text: str, target_words: int | None = None) -> set[str]:
    return barred(text, WritingRules(TOKENIZER, END, whole_sentences=True, target_words=target_words))


def first_token(word: str) -> str:
    return TOKENIZER.tokenize(word, add_special_tokens=False)[0]


def test_the_word_that_completes_a_run_is_barred() -> None:
    assert barred_words("the tree of life was drawn, the tree") == {first_token("of")}
    assert barred_words("the tree of life was drawn, the life") == set()
    assert barred_words("the tree of life was drawn, the tree", size=4) == set()


def test_case_and_punctuation_make_no_difference() -> None:
    assert barred_words("The tree, of life was drawn. In the Tree") == barred_words(
        "the tree of life was drawn in the tree"
    )


def test_numbers_are_one_word() -> None:
    # Two runs of "2010 the" would be a repeated pair; the digits alone are no words.
    assert barred_words("In 2010 the tree in 201") == set()
    assert first_token("2010") in barred_words("In 2010 the tree in", size=2)


def test_a_text_of_too_few_words_bars_nothing() -> None:
    assert barred_words("the tree") == set()
    assert barred_words("") == set()


@given(st.lists(st.sampled_from(TEXT.split()), min_size=1, max_size=60))
def test_what_is_never_barred_repeats_nothing(words: list[str]) -> None:
    rules = WritingRules(TOKENIZER, END, 4)
    ids = [TOKENIZER.pad_token_id]
    for token in TOKENIZER(" ".join(words), add_special_tokens=False)["input_ids"]:
        if rules(torch.tensor([ids]), torch.zeros(1, len(TOKENIZER)))[0, token].isneginf():
            break
        ids.append(token)
    text = TOKENIZER.decode(ids, skip_special_tokens=True)
    complete = four_grams(words_of(text)[:-1])  # the last word may be half a word
    assert len(set(complete)) == len(complete)


def test_only_barred_scores_change() -> None:
    ids = TOKENIZER(
        "the tree of life was drawn, the tree", add_special_tokens=False, return_tensors="pt"
    ).input_ids
    ids = torch.cat([torch.zeros(1, 1, dtype=torch.long), ids], dim=1).repeat(2, 1)
    ids[1, -1] = TOKENIZER.convert_tokens_to_ids(first_token("again"))
    scores = torch.zeros(2, len(TOKENIZER))
    changed = WritingRules(TOKENIZER, END, 3)(ids, scores)
    spelled = TOKENIZER.convert_tokens_to_ids(sorted(BYTES))
    changed[:, spelled] = 0
    assert changed.isneginf().nonzero().tolist() == [[0, TOKENIZER.convert_tokens_to_ids(first_token("of"))]]
    assert not scores.any()


def written_whole(text: str, rules: WritingRules) -> bool:
    """Whether no token of a text is barred where it stands."""
    ids = [TOKENIZER.pad_token_id]
    for token in TOKENIZER(text, add_special_tokens=False)["input_ids"]:
        if rules(torch.tensor([ids]), torch.zeros(1, len(TOKENIZER)))[0, token].isneginf():
            return False
        ids.append(token)
    return True


@pytest.mark.parametrize(
    "text",
    [
        "a tree 1.1.1.1.1",
        "a tree x_1 x_1 x_1",
        "a tree of x/x/x/x",
        "a tree of = = =",
        "a tree of (((",
        "an (e, e/sqrt(e/sqrt(e",
        "a tree the the the",
        "1" * 9,
    ],
)
def test_loops_of_symbols_are_barred(text: str) -> None:
    assert not written_whole(text, WritingRules(TOKENIZER, END, no_symbol_loops=True))


@pytest.mark.parametrize(
    "text",
    [
        "10,000",
        "1,000,000",
        "1000000",
        "0.0001",
        "1990-2000",
        "(Smith et al., 2010)",
        "f(g(x))",
        "p53, BRCA1, IL-6 and IL-10",
        "x_1, x_2, x_3, ..., x_n",
        "(OR 1.35, 95% CI 1.10-1.66; P = 0.004)",
        "again and again",
        "section 1.1.1",
    ],
)
def test_what_papers_write_is_allowed(text: str) -> None:
    assert written_whole(text, WritingRules(TOKENIZER, END, no_symbol_loops=True, whole_sentences=True))


def test_formulas_without_end_are_left_for_words() -> None:
    numbers = " ".join(f"{number}.{number + 3}," for number in range(10, 30))
    text = f"The tree of {numbers}"
    pieces = barred_symbols(text)
    assert {"1", "=", "▁="} <= pieces and "▁the" not in pieces and ")" not in pieces
    assert "=" not in barred_symbols(f"{text} drawn, and")


def test_a_text_ends_with_a_sentence() -> None:
    assert "</s>" not in barred_ends("The tree of life was drawn.")
    assert "</s>" not in barred_ends("The tree was drawn again (Smith, 2010).")
    for text in (
        "",
        "The tree of life",
        "The tree of life was drawn by Smith et al.",
        "The tree of life, e.g.",
        "The tree of life is 0.",
        "The tree of life (drawn.",
        'The tree of "life is a tree.',
        "The tree of life is a tree. In 2010.",
        "The tree of life was drawn. In",
    ):
        assert "</s>" in barred_ends(text), text


def test_brackets_are_closed_before_the_next_sentence() -> None:
    assert "▁In" in barred_ends("The tree of life (was drawn.")
    assert "▁In" not in barred_ends("The tree of life (was) drawn.")
    assert ")" in barred_ends("The tree") and ")" not in barred_ends("The (tree")


def test_lists_begin_with_their_first_number() -> None:
    assert ")" not in barred_ends("The tree 1")
    assert ")" in barred_ends("The tree 2")
    assert ")" not in barred_ends("The tree 1) is, 2")
    assert ")" in barred_ends("The tree 1) is, 3")


def test_the_length_asked_for() -> None:
    def sentences(words: int) -> str:
        return " ".join(["life"] * (words - 1)) + " drawn."

    assert "</s>" in barred_ends(sentences(80), target_words=100)
    assert barred_ends(sentences(98), target_words=100) == set(TOKENIZER.get_vocab()) - {"</s>"} - BYTES
    assert barred_ends(sentences(89)[:-1], target_words=100) == barred_ends(sentences(9)[:-1])
    # A point after a digit may go on as a number: there it may end, but need not.
    number = barred_ends(" ".join(["life"] * 97) + " 3.", target_words=100)
    assert "</s>" not in number and "5" not in number
    # Nothing ends it: then it ends anywhere.
    assert "▁the" in barred_ends(" ".join(["life"] * 170), target_words=100)


def test_a_full_stop_becomes_likelier_when_a_sentence_would_pass_the_length() -> None:
    ids = [TOKENIZER.pad_token_id]
    rules = WritingRules(TOKENIZER, END, target_words=20)
    stop = TOKENIZER.convert_tokens_to_ids(".")
    likelihoods = []
    for token in TOKENIZER(" ".join(["the life"] * 11), add_special_tokens=False)["input_ids"]:
        ids.append(token)
        scores = torch.zeros(1, len(TOKENIZER)).log_softmax(-1)
        likelihoods.append(float(rules(torch.tensor([ids]), scores)[0, stop]))
    assert likelihoods[0] == pytest.approx(-math.log(len(TOKENIZER)))
    assert max(likelihoods) > likelihoods[0] + 3


def test_unfinished_sentences_are_dropped() -> None:
    config = GenerationConfig(whole_sentences=True)

    def finished(text: str, target_words: int | None = None) -> str:
        ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
        return TOKENIZER.decode(finish(TOKENIZER, config, ids, target_words))

    two = "The tree of life is a tree. In 2010 it was drawn (Smith, 2010)."
    assert finished(two) == two
    assert finished(two + " The tree of") == two
    assert finished("The tree of life") == "The tree of life"
    assert finished("") == ""
    assert finished(two, target_words=7) == "The tree of life is a tree."
    assert finished(two, target_words=13) == two
    # Nothing ends within the interval: what is nearest to the length.
    assert finished(two, target_words=9) == "The tree of life is a tree."
    ids = TOKENIZER("The tree is drawn. The tree", add_special_tokens=False)["input_ids"]
    assert finish(TOKENIZER, GenerationConfig(), ids) == tuple(ids)


def test_a_configuration_asks_for_it() -> None:
    assert processors(TOKENIZER, GenerationConfig()) == []
    for fields in (
        {"no_repeat_word_ngram_size": 4},
        {"no_symbol_loops": True},
        {"whole_sentences": True},
    ):
        [rules] = processors(TOKENIZER, GenerationConfig(eos_token_id=END, **fields))
        assert isinstance(rules, WritingRules)
    [rules] = processors(TOKENIZER, GenerationConfig(eos_token_id=END), target_words=80)
    config = with_length(GenerationConfig(min_new_tokens=100, max_new_tokens=100), 80)
    assert not config.min_new_tokens and config.max_new_tokens >= 80 * 1.15 * 2


@pytest.mark.parametrize("beams", [1, 3])
def test_a_model_writes_whole_sentences_of_a_length(beams: int) -> None:
    model = randomize(LongT5ForConditionalGeneration(tiny_config(vocab_size=len(TOKENIZER))), seed=3)
    config = GenerationConfig(
        num_beams=beams, eos_token_id=END, pad_token_id=0, decoder_start_token_id=0, max_new_tokens=150
    )
    written = model.generate(
        torch.randint(4, 300, (2, 40), generator=torch.Generator().manual_seed(0)),
        generation_config=config,
        logits_processor=[WritingRules(TOKENIZER, END, 3, True, True, target_words=20)],
    )
    for row in written.tolist():
        text = TOKENIZER.decode([token for token in row if token > END])
        assert len(text.split()) < 20 * 1.7


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.lists(st.integers(0, len(TOKENIZER) + 5), min_size=1, max_size=30), min_size=1, max_size=4)
)
def test_what_is_kept_of_prefixes_changes_nothing(texts: list[list[int]]) -> None:
    width = min(map(len, texts))
    rows = torch.tensor([text[:width] for text in texts])
    kept = WritingRules(TOKENIZER, END, 3, True, True, target_words=9)
    for length in range(1, width + 1):
        scores = torch.zeros(len(rows), len(TOKENIZER) + 6)
        fresh = WritingRules(TOKENIZER, END, 3, True, True, target_words=9)(rows[:, :length], scores)
        assert torch.equal(kept(rows[:, :length], scores), fresh)


@pytest.mark.slow
def test_a_step_stays_cheap_however_long_the_text() -> None:
    rules = WritingRules(TOKENIZER, END, 4, True, True, target_words=200)
    ids = torch.randint(4, len(TOKENIZER), (64, 300), generator=torch.Generator().manual_seed(0))
    scores = torch.zeros(64, len(TOKENIZER))
    seconds = []
    for length in range(1, 301):
        start = time.thread_time()
        rules(ids[:, :length], scores)
        seconds.append(time.thread_time() - start)
    assert sum(seconds) / (64 * 300) < 200e-6  # 25 microseconds on an idle core


def test_the_sentence_that_ends_is_one_of_the_splitter() -> None:
    text = "The tree of life is a tree. In 2010 it was drawn by Smith et al. in Fig. 2 (again). It was"
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    finished = TOKENIZER.decode(finish(TOKENIZER, GenerationConfig(whole_sentences=True), ids))
    assert finished == text[: split_sentences(text)[-2][1]]


def test_characters_in_bytes_are_spelled_to_their_ends() -> None:
    rules = WritingRules(TOKENIZER, END, 4)
    continuations = {f"<0x{byte:02X}>" for byte in range(0x80, 0xC0)}
    for character in ("ϒ", "→", "𝛼"):
        ids = TOKENIZER.convert_tokens_to_ids([f"<0x{byte:02X}>" for byte in character.encode()])
        for length in range(1, len(ids)):
            assert barred_after(ids[:length], rules) == set(TOKENIZER.get_vocab()) - continuations
        assert continuations <= barred_after(ids, rules) and "<0xE2>" not in barred_after(ids, rules)


def test_no_web_address_is_begun() -> None:
    tokenizer = train_tokenizer(
        iter([TEXT, "See https://www.tree.org/life or www.tree.org and http://a.b"] * 9), 420
    )
    rules = WritingRules(tokenizer, tokenizer.eos_token_id, no_addresses=True)
    allowed = rules(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, len(tokenizer)))[0].isfinite()
    for address in ("https://www.tree.org/life", "www.tree.org", "http://a.b"):
        assert not allowed[tokenizer(address, add_special_tokens=False)["input_ids"]].all()
    assert allowed[tokenizer("the tree of life", add_special_tokens=False)["input_ids"]].all()


def test_nothing_leads_up_to_an_address() -> None:
    """Which could not follow: a model that has written "is available at" has nothing left to say."""
    tokenizer = train_tokenizer(
        iter([TEXT, "The code is available at a.b, available via it: looked at it"] * 9), 420
    )
    rules = WritingRules(tokenizer, tokenizer.eos_token_id, no_addresses=True)

    def may_follow(text: str, word: str) -> bool:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        scores = rules(torch.tensor([[tokenizer.pad_token_id, *ids]]), torch.zeros(1, len(tokenizer)))
        return bool(scores[0, tokenizer.convert_tokens_to_ids(word)].isfinite())

    for word in ("▁at", "▁via", ":"):
        assert not may_follow("The code is available", word)
        assert may_follow("The code is available, looked", word)
    assert not may_follow("The tree.", "a") and may_follow("The tree.", "▁at")
    for text in ("The tree", "The tree i.", "The tree 0."):
        assert may_follow(text, "a")
