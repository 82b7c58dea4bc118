"""The copying initialisation: an untrained model that continues a passage of its input."""

import pytest
import torch

from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.copy_initialization import initialize_for_copying

SIZES = {
    "vocab_size": 512,
    "d_model": 128,
    "d_kv": 32,
    "d_ff": 64,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "feed_forward_proj": "gated-gelu",
    "encoder_attention_type": "transient-global",
    "decoder_start_token_id": 0,
    "dropout_rate": 0.0,
}


def copying_accuracy(model: LongT5ForConditionalGeneration, length: int) -> float:
    """How often the model predicts the next token of a passage of random text that its decoder is reading."""
    generator = torch.Generator().manual_seed(1)
    text = torch.randint(2, SIZES["vocab_size"], (4, length), generator=generator)
    passage = text[:, length // 3 : length // 3 + 30]
    with torch.no_grad():
        predicted = model(input_ids=text, labels=passage).logits.argmax(-1)
    # The first two tokens have no two predecessors to be found by.
    return (predicted == passage)[:, 2:].float().mean().item()


@pytest.mark.parametrize("length", [100, 400])
def test_an_untrained_model_copies(length: int) -> None:
    torch.manual_seed(0)
    model = LongT5ForConditionalGeneration(LongT5Config(**SIZES)).eval()
    assert copying_accuracy(model, length) < 0.1
    initialize_for_copying(model)
    assert copying_accuracy(model, length) > 0.8


def test_it_is_repeatable_and_follows_its_seed() -> None:
    models = [LongT5ForConditionalGeneration(LongT5Config(**SIZES)) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        initialize_for_copying(model, seed)
    first, same, other = (m.decoder.block[0].layer[1].EncDecAttention.q.weight for m in models)
    torch.testing.assert_close(first, same, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_local_attention_works_too() -> None:
    torch.manual_seed(0)
    config = LongT5Config(**{**SIZES, "encoder_attention_type": "local"})
    model = LongT5ForConditionalGeneration(config).eval()
    initialize_for_copying(model)
    assert copying_accuracy(model, 200) > 0.8


@pytest.mark.parametrize(
    "change",
    [
        {"num_heads": 1},
        {"d_kv": 33},
        {"d_kv": 64},
        {"tie_word_embeddings": False},
        {"num_heads": 2, "d_kv": 16},
    ],
)
def test_a_model_without_room_is_refused(change: dict) -> None:
    model = LongT5ForConditionalGeneration(LongT5Config(**{**SIZES, **change}))
    with pytest.raises(ValueError, match="copying initialisation needs"):
        initialize_for_copying(model)
