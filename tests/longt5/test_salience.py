"""Salience: learned where the truth is known, and the same numbers in the encoder it is written into."""

import numpy as np
import pytest
import torch

from longt5 import LongT5ForConditionalGeneration
from longt5.copy_initialization import initialize_for_copying
from longt5.objectives import Selectable
from longt5.salience import Salience, learn_salience, salience_loss, scored_text
from longt5.salience_circuit import Gains, write_salience
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
    everything = np.append(tokens.ravel(), 1)
    return Selectable(everything, np.arange(20) * SENTENCE, likely / likely.sum())


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


def salient_model(score: float = 1.0) -> tuple[LongT5ForConditionalGeneration, Salience, Selectable]:
    """A model with some salience in it, and a text for it."""
    own = model(d_model=128)
    initialize_for_copying(own)
    buckets = own.config.relative_attention_num_buckets, own.config.relative_attention_max_distance
    salience = Salience(99, *buckets)
    chance = np.random.default_rng(1)
    texts = [text(chance, "topic") for _ in range(200)]
    salience.count(texts)
    torch.nn.init.normal_(salience.match, std=3.0)
    torch.nn.init.normal_(salience.ahead)
    one = texts[0]
    samples = [torch.from_numpy(one.tokens)]
    wide = write_salience(own, salience, torch.tensor([END]), samples, Gains(score, 3.0, 10.0, 10.0))
    return wide.eval(), salience, one


def cross_attention(
    wide: LongT5ForConditionalGeneration, one: Selectable, written: list[int], prompt: tuple[int, ...] = (1,)
) -> torch.Tensor:
    """What the last token written attends to in the first layer: (heads, tokens)."""
    inputs = torch.from_numpy(one.tokens)[None], torch.tensor([[0, *prompt, *written]])
    with torch.no_grad():
        output = wide(input_ids=inputs[0], decoder_input_ids=inputs[1], output_attentions=True)
    return output.cross_attentions[0][0, :, -1]


def test_the_decoder_attends_as_the_salience_says() -> None:
    wide, salience, one = salient_model()
    tokens = torch.from_numpy(one.tokens)
    everywhere = Selectable(one.tokens, np.arange(len(tokens)), np.full(len(tokens), 1 / len(tokens)))
    with torch.no_grad():
        wanted = salience(scored_text(model(d_model=128), everywhere)).softmax(-1)
    assert float(wanted[one.starts].sum()) > 0.9 and float(wanted.max()) < 0.5
    for written in ([], [40, 41, END]):  # at the start, and after the end of a sentence
        found = cross_attention(wide, one, written)[-2]
        assert float((found - wanted).abs().sum()) / 2 < 0.2


def test_the_second_token_follows_the_first() -> None:
    wide, _, one = salient_model()
    first = int(one.tokens[one.starts[3]])
    found = cross_attention(wide, one, [first])[-1]
    seconds = [start + 1 for start in one.starts.tolist() if one.tokens[start] == first]
    assert float(found[seconds].sum()) > 0.8


@pytest.mark.parametrize(
    ("written", "prompt", "heads"),
    [
        ([], (), [0, 1]),  # quotes are not asked for
        ([40, END], (), [0, 1]),
        ([END, 40], (), [0, 1]),
        ([40, 41], (1,), [0, 1]),  # within a sentence
        ([40, END], (1,), [1]),
        ([40], (1,), [0]),
    ],
)
def test_heads_rest_on_the_end_token_when_nothing_is_asked(
    written: list[int], prompt: tuple[int, ...], heads: list[int]
) -> None:
    wide, _, one = salient_model(score=3.0)
    found = cross_attention(wide, one, written, prompt)[-2:][heads]
    assert (found[:, one.tokens == 1].sum(-1) > 0.99).all()
