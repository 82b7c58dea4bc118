"""The extractive initialisation: a model that was never trained writes good sentences of its input."""

import dataclasses
from itertools import chain

import pytest
import torch
from torch.nn import functional as F

from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.training.extractive_initialization import initialize_as_extractor
from longt5.training.salience import TokenKnowledge

PAD, EOS, STOP = 0, 1, 2
OPENERS = range(10, 60)
GOOD = 5  # a word of salient sentences
WORDS = range(60, 600)
SIZES = {
    "vocab_size": 600,
    "d_model": 272,
    "d_kv": 96,
    "d_ff": 64,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "encoder_attention_type": "transient-global",
    "decoder_start_token_id": PAD,
    "eos_token_id": EOS,
    "dropout_rate": 0.0,
}


def knowledge() -> TokenKnowledge:
    tokens = torch.arange(SIZES["vocab_size"])
    opens = (tokens >= OPENERS.start) & (tokens < OPENERS.stop)
    ahead = torch.zeros(32)
    ahead[28:] = -6.0
    # As a sentence has nine tokens in 23, its salience is 36 a salient word, divided by those ahead.
    salience = torch.where(tokens == GOOD, 36.0, 0.0) + torch.linspace(-0.5, 0.5, len(tokens))
    return TokenKnowledge(
        salience=salience,
        ahead=ahead,
        rarity=torch.full((len(tokens),), 0.8),
        ends=tokens == STOP,
        begins=opens,
        first=opens.float(),
    )


def sentences(count: int, good: tuple[int, ...], seed: int = 0) -> list[list[int]]:
    """Random sentences of 9 to 14 tokens with openers of their own; ``good`` ones have a salient word."""
    chance = torch.Generator().manual_seed(seed)
    openers = torch.randperm(len(OPENERS), generator=chance)[:count] + OPENERS.start
    found = []
    for index in range(count):
        length = int(torch.randint(7, 13, (1,), generator=chance))
        words = torch.randint(WORDS.start, WORDS.stop, (length,), generator=chance).tolist()
        if index in good:
            words[2] = words[4] = GOOD
        found.append([int(openers[index]), *words, STOP])
    return found


def model(seed: int = 0, **changes: object) -> LongT5ForConditionalGeneration:
    torch.manual_seed(0)
    fresh = LongT5ForConditionalGeneration(LongT5Config(**{**SIZES, **changes})).eval()
    samples = [torch.tensor([*chain(*sentences(20, (), seed)), EOS]) for seed in (7, 8)]
    initialize_as_extractor(fresh, knowledge(), samples, seed)
    return fresh


@pytest.fixture(scope="module")
def extractor() -> LongT5ForConditionalGeneration:
    return model()


def written(
    extractor: LongT5ForConditionalGeneration, paper: list[list[int]], tokens: int
) -> list[list[int]]:
    source = torch.tensor([[*chain(*paper), EOS]])
    output = extractor.generate(source, max_new_tokens=tokens, do_sample=False, suppress_tokens=[EOS])[
        0, 1:
    ].tolist()
    found: list[list[int]] = [[]]
    for token in output:
        found[-1].append(token)
        if token == STOP:
            found.append([])
    return found[:-1]


def test_it_writes_salient_sentences_word_for_word(extractor: LongT5ForConditionalGeneration) -> None:
    good = (3, 11, 22)
    paper = sentences(30, good)
    first, *_ = written(extractor, paper, 20)
    assert first in [paper[index] for index in good]


@pytest.mark.parametrize("count", [10, 50])
def test_it_copies_on_from_any_place(extractor: LongT5ForConditionalGeneration, count: int) -> None:
    paper = sentences(count, (), seed=3)
    source = torch.tensor([[*chain(*paper), EOS]])
    target = torch.tensor([[*chain(*paper[count // 2 : count // 2 + 3])]])
    with torch.no_grad():
        predicted = extractor(input_ids=source, decoder_input_ids=F.pad(target, (1, 0))).logits.argmax(-1)[
            :, :-1
        ]
    before = F.pad(target, (2, 0), value=STOP)
    inside = (before[:, 1:-1] != STOP) & (before[:, :-2] != STOP)  # neither first nor second tokens
    assert (predicted == target)[inside].float().mean() > 0.95


def test_it_is_repeatable_and_follows_its_seed() -> None:
    first, same, other = (model(seed).shared.weight for seed in (1, 1, 2))
    torch.testing.assert_close(first, same, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_all_of_it_can_be_trained(extractor: LongT5ForConditionalGeneration) -> None:
    own = model().train()
    paper = sentences(30, (3,))
    target = torch.tensor([[*paper[3], *paper[9], EOS]])
    own(input_ids=torch.tensor([[*chain(*paper), EOS]]), labels=target).loss.backward()
    for name, parameter in own.named_parameters():
        if name.endswith(
            ("o.weight", "wo.weight", "bias.weight", "EncDecAttention.q.weight", "shared.weight")
        ):
            assert parameter.grad is not None and parameter.grad.any(), name


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_heads": 3}, "num_heads of 4"),
        ({"d_kv": 90}, "d_kv of 94"),
        ({"d_model": 240}, "d_model of 2"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"feed_forward_proj": "relu"}, "gated-gelu"),
        ({"encoder_attention_type": "local"}, "transient-global"),
    ],
)
def test_a_model_without_room_is_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        model(**change)


def test_the_knowledge_is_used() -> None:
    """Without salient words none of the sentences is preferred so clearly."""
    paper = sentences(30, (3,))
    source = torch.tensor([[*chain(*paper), EOS]])

    def preference(known: TokenKnowledge) -> float:
        torch.manual_seed(0)
        fresh = LongT5ForConditionalGeneration(LongT5Config(**SIZES)).eval()
        initialize_as_extractor(fresh, known, [source[0]])
        with torch.no_grad():
            logits = fresh(input_ids=source, decoder_input_ids=torch.tensor([[PAD]])).logits[0, 0]
        return float(logits.softmax(-1)[paper[3][0]])

    ignorant = dataclasses.replace(knowledge(), salience=torch.linspace(-0.5, 0.5, SIZES["vocab_size"]))
    assert preference(knowledge()) > 5 * preference(ignorant)
