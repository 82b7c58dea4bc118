"""Salience: learned where the truth is known, and the same numbers in the encoder it is written into."""

import numpy as np
import pytest
import torch

from longt5 import LongT5ForConditionalGeneration
from longt5.objectives import Selectable
from longt5.salience import Salience, learn_salience, salience_loss, scored_text
from longt5.salience_circuit import write_salience
from tests.longt5.factories import tiny_config

SENTENCE = 12  # tokens
TOPICS = torch.arange(10, 90).view(8, 10).numpy()
FINDING = 5  # the word of good sentences
END = 3


def model(**changes: object) -> LongT5ForConditionalGeneration:
    torch.manual_seed(0)
    settings = {"d_model": 64, "d_kv": 32, "num_heads": 2, "local_radius": 127, **changes}
    config = tiny_config(vocab_size=99, tie_word_embeddings=True, feed_forward_proj="gated-gelu", **settings)
    return LongT5ForConditionalGeneration(config).eval()


def text(chance: np.random.Generator, good: str) -> Selectable:
    """Ten sentences about a topic and ten about others; good ones have a word, or are about the topic."""
    topics = chance.permutation(8)
    of_sentence = np.concatenate([np.full(10, topics[0]), chance.choice(topics[1:], 10)])
    chance.shuffle(of_sentence)
    tokens = np.stack([np.append(chance.choice(TOPICS[topic], SENTENCE - 1), END) for topic in of_sentence])
    finding = chance.random(20) < 0.3
    tokens[finding, chance.integers(SENTENCE - 1)] = FINDING
    likely = np.where(finding if good == "word" else of_sentence == topics[0], 9.0, 1.0)
    return Selectable(tokens.ravel(), np.arange(20) * SENTENCE, likely / likely.sum())


@pytest.mark.parametrize("good", ["word", "topic"])
def test_words_and_topics_are_found(good: str) -> None:
    chance = np.random.default_rng(0)
    texts = [text(chance, good) for _ in range(800)]
    own = model()
    salience = learn_salience(own, texts[:700], epochs=2)
    equal = np.mean([float((one.shares * np.log(one.shares * 20)).sum()) for one in texts[700:]])
    with torch.no_grad():
        left = np.mean([float(salience_loss(salience, scored_text(own, one))) for one in texts[700:]])
    assert left < equal / 2


def test_the_encoder_computes_the_scores() -> None:
    own = model(d_model=256)
    torch.manual_seed(1)
    buckets = own.config.relative_attention_num_buckets, own.config.relative_attention_max_distance
    salience = Salience(torch.full((99,), 3.0), 1000, *buckets)
    torch.nn.init.normal_(salience.match, std=1.5)
    torch.nn.init.normal_(salience.words, std=0.2)
    torch.nn.init.normal_(salience.ahead)
    tokens = torch.randint(4, 99, (600,))
    starts = np.arange(0, 560, 7)
    wide = write_salience(own, salience, [tokens])
    assert wide.config.num_heads == own.config.num_heads + 2
    inputs = {"input_ids": tokens[None], "output_hidden_states": True}
    with torch.no_grad():
        states = wide.encoder(**inputs).hidden_states[1][0]
        wanted = salience(scored_text(own, Selectable(tokens.numpy(), starts, np.full(80, 1 / 80))))
        assert 0.3 < float(wanted.std()) < 1.5
        # Of all dimensions it is the one that is written to last.
        scores = states[torch.from_numpy(starts), own.config.d_model + 60]
    assert np.corrcoef(scores.numpy(), wanted.numpy())[0, 1] > 0.97
