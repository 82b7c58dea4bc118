"""Salience: found where the truth is known."""

import numpy as np
import pytest

from longt5 import LongT5Config
from longt5.training.objectives import Selectable, Vocabulary
from longt5.training.salience import TokenKnowledge, learn_tokens

VOCABULARY = 60
END = 3  # ends sentences
OPENERS = (10, 11)  # begin them
FINDING, METHOD = 5, 6
SENTENCE = 12  # tokens


def vocabulary() -> Vocabulary:
    units = np.arange(VOCABULARY)
    return Vocabulary(units, ends=units == END, eos_token_id=1, mask_token_id=None)


def text(chance: np.random.Generator) -> Selectable:
    """Twenty sentences; those with FINDING are four times as likely as others, those with METHOD a quarter."""
    tokens = chance.integers(12, VOCABULARY, size=(20, SENTENCE))
    tokens[:, 0] = chance.choice(OPENERS, 20)
    tokens[:, -1] = END
    kind = chance.integers(3, size=20)
    for row, of in enumerate(kind):
        if of:
            tokens[row, chance.integers(1, 4)] = (FINDING, METHOD)[of - 1]
    shares = np.array([1.0, 4.0, 0.25])[kind]
    starts = np.arange(20) * SENTENCE
    return Selectable(np.append(tokens.ravel(), 1), starts, starts, shares / shares.sum())


@pytest.fixture(scope="module")
def knowledge() -> TokenKnowledge:
    chance = np.random.default_rng(0)
    texts = [text(chance) for _ in range(1200)]
    return learn_tokens(LongT5Config(vocab_size=VOCABULARY + 4), vocabulary(), texts)


def test_words_that_matter_are_found(knowledge: TokenKnowledge) -> None:
    others = knowledge.salience[12:VOCABULARY]
    assert knowledge.salience[FINDING] > others.max() + 2
    assert knowledge.salience[METHOD] < others.min() - 2


def test_where_sentences_begin_and_end(knowledge: TokenKnowledge) -> None:
    assert knowledge.begins.nonzero()[:, 0].tolist() == list(OPENERS)
    assert knowledge.ends.nonzero()[:, 0].tolist() == [END]
    assert knowledge.first.sum() == knowledge.first[list(OPENERS)].sum() == 1200 * 20


def test_nearer_tokens_count_more_than_those_of_the_next_sentence(knowledge: TokenKnowledge) -> None:
    inside, far = (
        knowledge.ahead[17:20],
        knowledge.ahead[28:32],
    )  # buckets of 1 to 3, and of more than 60 tokens
    assert inside.min() > far.max()


def test_what_every_text_has_is_not_rare(knowledge: TokenKnowledge) -> None:
    assert knowledge.rarity[END] < 0.01
    assert knowledge.rarity[VOCABULARY] == 1  # never seen
